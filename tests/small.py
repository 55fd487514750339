"""Small fields with their references: each is one plain function g(theta, w, step), written in torch.

The field makes its pullback of vector-Jacobian products; the references take dense Jacobians of g, and
derivatives of the whole training loop, in float64, with torch.autograd and nothing of the package.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch

from crossloss.core import FULL_BATCH, Field, Linearisation
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.settings import make_settings
from crossloss.objectives.custom import Function, as_objective
from crossloss.objectives.weat import Weat
from crossloss.optimisers import HeavyBall
from crossloss.run.trajectory import MemoryStates, Training
from crossloss.text.pairs import count_pairs
from crossloss.text.read import from_sentences
from crossloss.text.vocabulary import build_vocabulary
from dense import DenseSkipGram, dense_counts, random_sentences

STEPS, MOMENTUM = 9, 0.5


class Sums:
    def __init__(self, k, n, dtype):
        self.sums = torch.zeros(k, n, dtype=dtype)

    def samples(self):
        return self.sums

    def tensors(self):
        return {"sums": self.sums}


class GivenField(Field):
    """A field of any differentiable g(theta, w, step) of n samples."""

    def __init__(self, g, n):
        self.g, self.n = g, n

    def gradient(self, theta, w, step):
        return self.g(theta, w, step).detach()

    def at(self, theta, w, step):
        return GivenPoint(self, theta, w, step)

    def accumulator(self, k):
        return Sums(k, self.n, torch.float64)

    def view(self, theta):
        return theta


class GivenPoint(Linearisation):
    def pullback(self, a, into):
        _, vjp = torch.func.vjp(lambda theta, w: self.field.g(theta, w, self.step), self.theta, self.w)
        by_theta, by_weight = torch.func.vmap(vjp)(a)
        into.sums += by_weight
        return by_theta


@dataclass
class Case:
    """A trained run, and g in float64 as its reference."""

    run: Training
    g: Any
    damping: float
    objectives: list = field(default_factory=list)

    @property
    def theta(self):
        return self.run.theta.double()

    def jacobians(self, theta=None, step=FULL_BATCH):
        """dg/dtheta (p, p) and dg/dw (p, n), dense, at the end or elsewhere."""
        theta = self.theta if theta is None else theta
        return torch.autograd.functional.jacobian(lambda th, w: self.g(th, w, step), (theta, self.run.weights.double()))

    def slopes(self, theta=None):
        """Gradients of the objectives (k, p)."""
        theta = self.theta if theta is None else theta
        return torch.stack(
            [torch.autograd.functional.jacobian(lambda th, f=f: f(self.view(th)), theta) for f in self.objectives]
        )

    def view(self, theta):
        return self.run.field.view(theta)

    def trained(self, w):
        """Final parameters, differentiable in ``w``: heavy ball written out."""
        theta, velocity = self.run.initial.double(), 0
        for t in range(self.run.steps):
            velocity = MOMENTUM * velocity + self.g(theta, w, t)
            theta = theta - self.run.optimiser.scale.double() * velocity
        return theta

    def sensitivity(self):
        """d theta_T/dw (p, n) through the whole loop."""
        return torch.autograd.functional.jacobian(self.trained, self.run.weights.double())

    def states(self):
        """theta before each step, float64."""
        return [state["theta"].double() for _, state in self.run.backwards(self.run.steps)][::-1]


def sine(theta):
    """A cross-loss objective of plain parameters."""
    return torch.sin(theta).sum() / theta.norm()


def cubic(theta):
    return (theta**3).sum() + theta[0]


def _data(seed=0, n=14):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return x, (x @ torch.randn(3, 3, generator=generator, dtype=torch.float64)).argmax(1)


def _batched(w, step, batches=2):
    """Weights of the samples of a step's mini-batch, so that the mean over batches is the whole."""
    if step == FULL_BATCH:
        return w
    return w * batches * (torch.arange(len(w)) % batches == step % batches)


def softmax_regression(dtype, batches=1, ridge=0.05):
    """Convex: cross-entropy and a ridge, full-batch or in mini-batches; singular without the ridge."""
    x, y = _data()

    def g(theta, w, step):
        w = w if batches == 1 else _batched(w, step, batches)

        def loss(theta):
            losses = torch.nn.functional.cross_entropy(x.to(theta) @ theta.view(3, 3), y, reduction="none")
            return (w * losses).sum() / len(y) + ridge * theta.square().sum()

        return torch.func.grad(loss)(theta)

    return _case(g, 9, len(y), dtype, damping=0.0, lr=0.5)


def perceptron(dtype):
    """Not convex: a small tanh network early in training, whose Hessian has negative eigenvalues."""
    x, y = _data()

    def g(theta, w, step):
        def loss(theta):
            hidden = torch.tanh(x.to(theta) @ theta[:9].view(3, 3))
            losses = torch.nn.functional.cross_entropy(hidden @ theta[9:].view(3, 3), y, reduction="none")
            return (w * losses).sum() / len(y)

        return torch.func.grad(loss)(theta)

    return _case(g, 18, len(y), dtype, damping=0.005, lr=0.3)


def clustering(dtype):
    """A loss that shares a target over samples and does not differentiate it, as DEC does: J is not symmetric."""
    x, _ = _data()

    def soft(theta, x):
        squares = (x[:, None] - theta.view(3, 1, 3).transpose(0, 1)).square().sum(-1)
        q = 1 / (1 + squares)
        return q / q.sum(1, keepdim=True)

    def g(theta, w, step):
        data = x.to(theta)
        q = soft(theta, data)
        sharp = q**2 / (w[:, None] * q).sum(0)
        target = sharp / sharp.sum(1, keepdim=True)

        def loss(moving):
            return -(w[:, None] * target * soft(moving, data).log()).sum() / len(data) + 0.1 * moving.square().sum()

        return torch.func.grad(loss)(theta)

    return _case(g, 9, len(x), dtype, damping=0.1, lr=0.5)


def _case(g, p, n, dtype, damping, lr):
    initial = torch.randn(p, generator=torch.Generator().manual_seed(5), dtype=torch.float64).mul_(0.7).to(dtype)
    optimiser = HeavyBall(torch.linspace(0.5, 1, p, dtype=torch.float64).mul_(lr).to(dtype), MOMENTUM)
    weights = torch.linspace(0.5, 1.5, n, dtype=torch.float64)

    def cast(theta, w, step):
        return g(theta, w.to(theta), step)

    run = Training(GivenField(cast, n), optimiser, weights, STEPS, initial, MemoryStates(), every=4)
    run.run_to_end()
    return Case(run, cast, damping, [sine, cubic])


def vectors(view):
    return torch.sin(view.vectors).sum() / view.vectors.norm() + (view.contexts[:3] ** 2).sum()


def ratio(view):
    """Of directions only, as WEAT is."""
    unit = view.vectors / view.vectors.norm(dim=1, keepdim=True)
    return (unit[0] @ unit[1] - unit[2] @ unit[3]) / (unit[:4] @ unit[4]).std()


def skipgram(dtype, words=10, dimension=2, steps=STEPS, lr=0.3, damping=0.2, seed=3, prior=0.0):
    corpus = from_sentences(random_sentences(1, sentences=25, words=words), candidates=["waa wab wac"])
    vocabulary = build_vocabulary(corpus, min_count=1)
    counts = count_pairs(corpus, vocabulary, window=3)
    name = str(dtype).removeprefix("torch.")
    settings = make_settings(dimension=dimension, negatives=3.5, prior=prior, dtype=name)
    own = SkipGramField(counts, vocabulary, corpus.weights, settings, tile=(4, 7))
    weights = torch.from_numpy(np.array(corpus.weights))
    optimiser = HeavyBall(lr * own.step_scale(), MOMENTUM)
    run = Training(own, optimiser, weights, steps, own.initial(seed) * 5, MemoryStates(), every=max(1, steps // 4))
    run.run_to_end()
    dense = DenseSkipGram(dense_counts(counts, words), weights, 3.5, 0.75, dimension, prior)
    return Case(run, lambda theta, w, step: torch.func.grad(dense.loss)(theta, w), damping, [vectors, ratio])


FIELDS = {
    "softmax": softmax_regression,
    "batches": lambda dtype: softmax_regression(dtype, batches=2),
    "perceptron": perceptron,
    "clustering": clustering,
    "skipgram": skipgram,
    "skipgram-prior": lambda dtype: skipgram(dtype, prior=0.1),
}
DTYPES = {torch.float64: 1e-7, torch.float32: 2e-3}
"""Largest error, relative to the largest score; solvers stop at a tenth of it."""


@cache
def made(field, dtype):
    case = FIELDS[field](dtype)
    case.objectives = [as_objective(f) for f in case.objectives]
    return case


class NullCase(Case):
    """Skip-gram with its d^2 null directions (U X, -C X^T)."""

    def null(self):
        """Orthonormal, (p, d^2)."""
        d = self.run.field.dimension
        u, c = self.theta.view(2, -1, d)
        units = torch.eye(d * d, dtype=torch.float64).view(-1, d, d)
        return torch.linalg.qr(torch.stack([torch.stack([u @ x, -c @ x.T]).reshape(-1) for x in units]).T)[0]


def null_directions(steps, prior=0.0):
    """WEAT, an objective not of directions only, and the loss of a held-out sentence, on eight words."""
    case = skipgram(torch.float64, words=8, steps=steps, lr=1.0, prior=prior)
    words = case.run.field.vocabulary.words
    weat = Weat("weat", tuple(words[:2]), tuple(words[2:4]), tuple(words[4:6]), tuple(words[6:8]))
    field = case.run.field
    held = torch.zeros(len(case.run.weights), dtype=torch.float64)
    held[-1] = 1  # the candidate
    dense = DenseSkipGram(dense_counts(field.counts, 8), case.run.weights, 3.5, 0.75, 2)
    loss = Function("held-out loss", lambda view: dense.loss(torch.stack([view.vectors, view.contexts]).view(-1), held))
    return NullCase(case.run, case.g, case.damping, [weat, Function("lengths", vectors), loss])
