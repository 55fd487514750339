"""What moves EK-FAC on the digits: damping, labels drawn or expected, precision, biases. Into results/peers.json.

    python benchmarks/peers/ekfac_variants.py

EK-FAC is written out here in float64 for the three layers, with the labels' expectation (as crossloss has it) or labels
drawn, the eigenvalues from the draw that gave the basis (curvlinops' draws) or from another (kronfluence).
``variants/NAME`` has the LDS and its difference to the expectation at damping .001, with a 95 % interval over the same
draws of the subsets.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from tasks import cross_entropy, digits_measure, load
from torch import Tensor

import crossloss as cl
from crossloss.core import FULL_BATCH
from crossloss.estimators.gradient import objective_gradients
from crossloss.utils.statistics import pearson
from run import WORK, recorded, resampled, subsets

F64 = torch.float64
SEEDS = 16
Slopes = list[list[Tensor]]
"""For each layer, the gradients (n, d_out) by its outputs, one for each output gradient."""


class Digits:
    """The trained model's activations, the objectives' gradients, and scores from what the inverse makes of them."""

    def __init__(self) -> None:
        problem = load("digits")
        self.field = cl.TorchField(problem.model, lambda out, b: cross_entropy(out, b[1]), (problem.x, problem.y))
        self.run = cl.imported(self.field)
        three = cl.objectives.each(
            lambda view, x, t: digits_measure(view(x), t).mean(-1), problem.queries, problem.targets
        )
        b = objective_gradients(self.field, self.run.trajectory.theta, three)
        layers = [layer for layer in problem.model.double() if isinstance(layer, torch.nn.Linear)]
        self.weights = [layer.weight.detach() for layer in layers]
        shapes = [shape for layer in layers for shape in (layer.weight.shape, (len(layer.weight), 1))]
        parts = torch.split(b.double(), [int(np.prod(shape)) for shape in shapes], 1)
        parts = [part.view(len(b), *shape) for part, shape in zip(parts, shapes, strict=True)]
        self.gradients = [torch.cat(parts[i : i + 2], 2) for i in range(0, len(parts), 2)]
        x, self.inputs, self.on = problem.x.double(), [], []
        for layer in layers:
            self.inputs.append(torch.cat([x, torch.ones(len(x), 1, dtype=F64)], 1))
            out = layer(x).detach()
            self.on.append(out > 0)
            x = out.relu()
        self.p = out.softmax(1)

    def back(self, by_output: list[Tensor]) -> Slopes:
        found: Slopes = [[], [], []]
        for g in by_output:
            for number in (2, 1, 0):
                found[number].append(g)
                g = (g @ self.weights[number]) * self.on[number - 1] if number else g
        return found

    def expected(self) -> Slopes:
        unit = torch.eye(10, dtype=F64)
        return self.back([self.p[:, c : c + 1].sqrt() * (unit[c] - self.p) for c in range(10)])

    def drawn(self, generator: torch.Generator) -> Slopes:
        labels = torch.multinomial(self.p, 1, generator=generator).flatten()
        return self.back([self.p - F.one_hot(labels, 10).double()])

    def scores(self, basis: Slopes, eigenvalues: Slopes, damping: Callable[[Tensor], float]) -> np.ndarray:
        """(3, n): EK-FAC with bases of one and eigenvalues of another set of gradients."""
        solved = []
        for b, a, g, other in zip(self.gradients, self.inputs, basis, eigenvalues, strict=True):
            inner, outer = torch.linalg.eigh(a.T @ a)[1], torch.linalg.eigh(sum(s.T @ s for s in g))[1]
            values = sum(((s @ outer) ** 2).T @ (a @ inner) ** 2 for s in other) / len(a)
            x = outer @ (outer.T @ b @ inner / (values + damping(values))) @ inner.T
            solved += [x[:, :, :-1].flatten(1), x[:, :, -1]]
        into = self.field.accumulator(len(self.gradients[0]))
        x = torch.cat(solved, 1).float()
        self.field.at(self.run.trajectory.theta, self.run.trajectory.weights, FULL_BATCH).weight_gradient(x, into)
        return into.samples().numpy()


def main() -> None:
    torch.set_num_threads(1)
    digits, truth = Digits(), torch.load(WORK / "digits.pt", weights_only=True)
    gone, found = subsets(truth)

    def put(name: str, several: list[np.ndarray]) -> None:
        each = [lds(scores @ gone.T, found) for scores in several]
        draws = np.mean([resampled(scores @ gone.T, found) for scores in several], 0) - ours
        low, high = np.quantile(draws, [0.025, 0.975])
        figures = {"LDS": np.mean(each), "least": min(each), "most": max(each), "seeds": len(several)}
        figures |= {"difference": np.mean(each) - own_lds, "low": low, "high": high}
        recorded().put(f"variants/{name}", {key: round(float(value), 4) for key, value in figures.items()})

    exact = digits.expected()
    own = digits.scores(exact, exact, lambda values: 1e-3)
    ours, own_lds = resampled(own @ gone.T, found), lds(own @ gone.T, found)
    for damping in (1e-5, 1e-4, 3e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2):
        put(f"damping {damping:g}", [digits.scores(exact, exact, lambda values, d=damping: d)])
    for times in (0.1, 1.0, 10.0):
        by_layer = digits.scores(exact, exact, lambda values, t=times: t * float(values.mean()))
        put(f"damping {times:g} x the mean eigenvalue of each layer", [by_layer])
    one, two = [], []
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        first, second = digits.drawn(generator), digits.drawn(generator)
        one.append(digits.scores(first, first, lambda values: 1e-3))
        two.append(digits.scores(first, second, lambda values: 1e-3))
    put("labels drawn once", one)
    put("labels drawn for the basis, and again for the eigenvalues", two)


def lds(predicted: np.ndarray, found: np.ndarray) -> float:
    return float(pearson(rankdata(predicted, axis=1), rankdata(found, axis=1)).mean())


if __name__ == "__main__":
    main()
