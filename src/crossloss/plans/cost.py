"""What a correction costs: the same figures before and after it, and how much they vary between starts by chance."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.model import require_skipgram
from crossloss.models.skipgram.quality import analogies, neighbours, neighbours_kept, overlap, quality
from crossloss.plans.corrections import Correction, Weighted
from crossloss.run.run import Run
from crossloss.run.store import Entry
from crossloss.validation.statistics import deviation

HELD_OUT = 0.05
NEIGHBOUR_WORDS = 1000


@dataclass(frozen=True)
class Row:
    """One figure over the starts: mean before and after, and the spread before.

    ``within_noise`` says that the mean over the starts of after - before is smaller than the standard deviation of
    the figure between starts before.
    """

    figure: str
    before: list[float]
    after: list[float]

    @property
    def noise(self) -> float:
        """Standard deviation between starts, before."""
        return deviation(self.before)

    @property
    def change(self) -> float:
        """Mean of after - before."""
        return float(np.mean(np.array(self.after) - np.array(self.before)))

    @property
    def within_noise(self) -> bool:
        """Whether the change is smaller than the noise."""
        return abs(self.change) < self.noise


FIGURES = ("wordsim353", "simlex999", "analogies", "loss", "held_out_loss", "neighbours_kept")
"""What is measured beside objectives."""


@dataclass(frozen=True)
class Cost:
    """Before and after.

    Attributes
    ----------
    seeds : list of int
    rows : list of Row
        Objectives by name, and ``FIGURES``; what cannot be measured here (lists not covered, gensim absent) is left
        out. ``neighbours_kept``: before is between two starts, after is between before and after of one start, so
        that a correction that keeps all has 1.
    seconds : float
        Mean time to make the corrected model.
    """

    seeds: list[int | None]
    rows: list[Row]
    seconds: float

    def row(self, figure: str) -> Row:
        """Return the row of a figure.

        Raises
        ------
        UserError
            It was not measured.
        """
        found = next((row for row in self.rows if row.figure == figure), None)
        if found is None:
            raise UserError(f"{figure} was not measured; measured are: {', '.join(r.figure for r in self.rows)}.")
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return dict(json.loads(json.dumps(asdict(self))))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Cost":
        """Inverse of ``to_json``."""
        return cls(list(value["seeds"]), [Row(**row) for row in value["rows"]], float(value["seconds"]))


def held_out_loss(run: Run, correction: Correction, seed: int | None) -> float:
    """Loss per pair, in nats, on 5 % of the sentences (drawn by ``seed``) that neither training nor correction saw.

    The correction's choice of samples was made with them; what is held out is their text.
    """
    model = require_skipgram(run.model, "A held-out loss")
    generator = np.random.default_rng([seed or 0, 353])
    kept = (generator.random(len(model.corpus)) >= HELD_OUT).astype(np.float64)
    theta = correction(run, seed, kept)
    out = torch.from_numpy(model.corpus.weights * (1 - kept))
    pairs = model.counts.matrix.T @ out.numpy()
    apart = model.counts.pairs[:, 0] != model.counts.pairs[:, 1]
    number = float(pairs.sum() + pairs[apart].sum())
    if not number:
        raise UserError("No sentence could be held out: the corpus is too small for a held-out loss.")
    return model.build().data_loss(theta, out) * model.build().total / number


def figures(run: Run, objectives: Sequence[Objective], view: Embeddings) -> dict[str, float]:
    """Objectives, WordSim-353, SimLex-999 and analogies of some vectors, those that can be measured."""
    vectors = view.vectors.cpu().numpy()
    judged = quality(view.words, vectors)
    found: dict[str, float | None] = {o.name: float(o(view)) for o in objectives}
    found |= {"wordsim353": judged.wordsim353, "simlex999": judged.simlex999}
    found["analogies"] = analogies(view.words, vectors)
    return {name: value for name, value in found.items() if value is not None}


class Yardstick:
    """Measures corrections at several starts, each beside the untouched run from the same start.

    The untouched runs are trained and measured once, for all corrections.

    Parameters
    ----------
    seeds : sequence of int
        Starts; at least two, so that there is a noise to compare with.

    Raises
    ------
    UserError
        Fewer than two starts.
    """

    def __init__(self, run: Run, objectives: Sequence[Objective], seeds: Sequence[int | None]) -> None:
        if len(set(seeds)) < max(2, len(seeds)):
            raise UserError("The cost of a correction needs at least two different starts, to tell it from noise.")
        self.run, self.objectives, self.seeds = run, list(objectives), list(seeds)
        self._before: dict[int | None, tuple[dict[str, float], np.ndarray]] = {}

    def _measure(self, correction: Correction, theta: Tensor, seed: int | None) -> dict[str, float]:
        model = require_skipgram(self.run.model, "The cost of a correction")
        found = figures(self.run, self.objectives, self.run.view_of(theta, seed))
        found["loss"] = model.build().data_loss(theta, torch.from_numpy(model.corpus.weights.copy()))
        found["held_out_loss"] = held_out_loss(self.run, correction, seed)
        return found

    def _vectors(self, theta: Tensor) -> np.ndarray:
        return np.asarray(self.run.field.view(theta).vectors.cpu().numpy())

    def before(self, seed: int | None) -> tuple[dict[str, float], np.ndarray]:
        """Figures of the untouched run from a start, and its neighbours."""
        if seed not in self._before:
            theta = Weighted()(self.run, seed)
            near = neighbours(self._vectors(theta), NEIGHBOUR_WORDS)
            self._before[seed] = (self._measure(Weighted(), theta, seed), near)
        return self._before[seed]

    def cost(self, correction: Correction, entry: Entry | None = None) -> Cost:
        """Measure a correction.

        Parameters
        ----------
        correction : Correction
        entry : Entry, optional
            Where each start's figures are stored: a stopped measurement goes on from there. Its key must identify
            objectives and correction.
        """
        done: dict[str, Any] = {} if entry is None else entry.load() or {}
        for seed, other in zip(self.seeds, [*self.seeds[1:], self.seeds[0]], strict=True):
            if str(seed) in done:
                continue
            before, near = self.before(seed)
            begun = time.perf_counter()
            theta = correction(self.run, seed)
            seconds = time.perf_counter() - begun
            after = self._measure(correction, theta, seed)
            after["neighbours_kept"] = neighbours_kept(near, self._vectors(theta))
            chance = {"neighbours_kept": overlap(near, self.before(other)[1])}
            done[str(seed)] = {"before": before | chance, "after": after, "seconds": seconds}
            if entry is not None:
                entry.save(done)
        found = [done[str(seed)] for seed in self.seeds]
        names = sorted(set.intersection(*(set(f[side]) for f in found for side in ("before", "after"))))
        rows = [Row(name, [f["before"][name] for f in found], [f["after"][name] for f in found]) for name in names]
        return Cost(self.seeds, rows, float(np.mean([f["seconds"] for f in found])))
