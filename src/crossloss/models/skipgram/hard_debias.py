"""Hard debias: neutralise and equalise word vectors along a bias direction (Bolukbasi et al. 2016).

It moves vectors, not the corpus. What it leaves behind is measured by ``cluster_purity`` (Gonen and Goldberg 2019).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np
import scipy.cluster.vq
import torch
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.embeddings import Embeddings


@dataclass(frozen=True)
class HardDebias:
    """Neutralise and equalise along the direction that the differences of the ``definitional`` pairs span.

    The pairs of ``equalise`` are made to differ along it only; ``specific`` words keep their part along it. Words that
    the vocabulary lacks, and pairs of which it lacks one word, are left out.
    """

    name: str
    definitional: tuple[tuple[str, str], ...]
    equalise: tuple[tuple[str, str], ...]
    specific: tuple[str, ...]
    source: str = ""

    def _present(self, view: Embeddings, pairs: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
        rows = [(view.index[a], view.index[b]) for a, b in pairs if a in view.index and b in view.index]
        return [a for a, _ in rows], [b for _, b in rows]

    def direction(self, view: Embeddings) -> Tensor:
        """Bias direction (d,), a unit vector from the second words of the pairs towards the first.

        The first principal component of the pairs around their centres. Differentiable: as a top eigenvector of C,
        g changes by (lambda - C)^+ dC g. UserError where no pair is in the vocabulary, or the pairs have no direction.
        """
        first, second = self._present(view, self.definitional)
        if not first:
            lacking = ", ".join("/".join(pair) for pair in self.definitional)
            raise UserError(f"Hard debias ({self.name}) needs one of these pairs in the vocabulary: {lacking}.")
        unit = _unit(view.vectors)
        halves = (unit[first] - unit[second]) / 2
        spread = halves.T @ halves
        with torch.no_grad():
            values, vectors = torch.linalg.eigh(spread)
            gaps = values[-1] - values[:-1]
            if not bool(gaps[-1] > 1e-6 * values[-1]):
                raise UserError(f"Hard debias ({self.name}): the defining pairs have no one main direction.")
            main, others = vectors[:, -1], vectors[:, :-1]
            response = (others / gaps) @ others.T
            image = spread @ main
            sign = 1.0 if float((halves @ main).sum()) >= 0 else -1.0
        direction: Tensor = (main + response @ (spread @ main - image)) * sign
        return direction

    def __call__(self, view: Embeddings) -> Embeddings:
        """Debiased unit vectors (V, d); contexts stay as they are. Differentiable.

        Every word but the specific ones loses its part along the direction; then both words of a pair (a, b) to be
        equalised become nu +- sqrt(1 - |nu|^2) g, nu being the mean of the two less its part along g. UserError as of
        ``direction``.
        """
        g = self.direction(view)
        unit = _unit(view.vectors)
        keep = torch.zeros(len(unit), 1, dtype=unit.dtype, device=unit.device)
        keep[[view.index[word] for word in self.specific if word in view.index]] = 1
        vectors = _unit(unit - (1 - keep) * (unit @ g)[:, None] * g)
        first, second = self._present(view, self.equalise)
        if first:
            centre = (unit[first] + unit[second]) / 2
            nu = centre - (centre @ g)[:, None] * g
            sign = torch.sign((unit[first] - unit[second]) @ g)
            part = (torch.sqrt((1 - nu.square().sum(1)).clamp(min=0)) * sign)[:, None] * g
            vectors = vectors.index_copy(0, torch.tensor(first, device=unit.device), nu + part)
            vectors = vectors.index_copy(0, torch.tensor(second, device=unit.device), nu - part)
        return replace(view, vectors=vectors, initial=None, field=None)


def _unit(vectors: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / torch.where(lengths > 0, lengths, torch.ones_like(lengths))


@cache
def hard_debias(name: str = "gender") -> HardDebias:
    """Shipped word sets: gender (Bolukbasi et al. 2016) or race (published with the CLIF code); else a UserError."""
    file = resources.files("crossloss.models.skipgram").joinpath("data", "hard_debias.json")
    shipped = json.loads(file.read_text("utf-8"))
    if name not in shipped:
        raise UserError(f"There are no hard-debias sets {name!r}; there are: {', '.join(shipped)}.")
    sets = shipped[name]
    definitional, equalise = (tuple((a, b) for a, b in sets[kind]) for kind in ("definitional", "equalise"))
    return HardDebias(name, definitional, equalise, tuple(sets["specific"]), sets["source"])


def debiased_parameters(view: Embeddings, groups: Sequence[str]) -> Tensor:
    """Parameters (p,) after hard debias by each group in turn; the words' lengths stay what they were."""
    lengths = torch.linalg.vector_norm(view.vectors, dim=1, keepdim=True)
    for group in groups:
        view = hard_debias(group)(view)
    return torch.cat([(view.vectors * lengths).reshape(-1), view.contexts.reshape(-1)])


@dataclass(frozen=True)
class After:
    """An objective of vectors after hard debias: scores of it say which samples made what hard debias leaves."""

    objective: Objective
    debias: tuple[HardDebias, ...]

    @property
    def name(self) -> str:
        """Of the objective."""
        return self.objective.name

    def bounds(self, index: Mapping[str, int]) -> tuple[float, float]:
        """As of the objective, which says it of any vectors."""
        known = getattr(self.objective, "bounds", None)
        return (-math.inf, math.inf) if known is None else known(index)

    def __call__(self, view: Embeddings) -> Tensor:
        """Value of the objective, shape ()."""
        for debias in self.debias:
            view = debias(view)
        return self.objective(view)


def most_biased(debias: HardDebias, view: Embeddings, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the ``count`` words farthest along the direction, half of them on either side, (count/2,) each.

    The words of the debias lists are left out; of fewer words, all are taken.
    """
    listed = {word for pair in debias.definitional + debias.equalise for word in pair} | set(debias.specific)
    rows = np.array([i for i, word in enumerate(view.words) if word not in listed], dtype=np.int64)
    along = (_unit(view.vectors) @ debias.direction(view)).detach().cpu().double().numpy()[rows]
    half = min(count, len(rows)) // 2
    order = np.argsort(along, kind="stable")
    return rows[order[::-1][:half]], rows[order[:half]]


def cluster_purity(view: Embeddings, first: np.ndarray, second: np.ndarray, seed: int = 0) -> float:
    """How well two clusters of unit vectors (k-means) tell two sets of words apart: .5 not at all, 1 fully.

    Choose the words by the vectors before debias; high purity after it means that the bias is still there. UserError
    where a set is empty.
    """
    if not len(first) or not len(second):
        raise UserError("Cluster purity needs words on either side of the direction.")
    points = _unit(view.vectors).detach().cpu().double().numpy()[np.concatenate([first, second])]
    centres, _ = scipy.cluster.vq.kmeans(points, 2, iter=20, seed=seed)
    cluster, _ = scipy.cluster.vq.vq(points, centres)
    agree = float(np.mean(cluster == np.repeat([0, 1], [len(first), len(second)])))
    return max(agree, 1 - agree)
