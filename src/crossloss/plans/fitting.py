"""Fitting weights to targets: retrain, take derivatives at the CURRENT weights, step, backtrack, until there.

One prediction from the untouched weights overshoots for large changes. Each round here is a Gauss-Newton step
from where the last one ended; going back to the untouched weights with scores taken elsewhere does not converge.

With several starts the derivatives of a round come from starts of its own, and are averaged with those of the rounds
before (stochastic approximation; Robbins, Monro 1951): what is special to a start averages out, and whether a step
helps is judged by starts that no derivative was taken from.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from crossloss.core import UserError
from crossloss.plans.ensemble import SeedEnsemble
from crossloss.plans.settings import Round
from crossloss.plans.smallest import fewest, smallest_step
from crossloss.run.store import Entry

FRACTIONS = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Parts of the gap asked of a step, tried in turn."""
SUFFICIENT = 0.1
"""Least part of the predicted decrease of the gap that a step must achieve."""
ROUNDS = 12
REMEMBERED = 4
"""Rounds over which derivatives are averaged, about, where they come from several starts."""
FINE = 0.1
"""Part of what a removal does, to first order, below which a gap is closed by exchanging few samples: a new set would
move farther than that."""
BOUND = 2.0
PULL = 0.5
"""Part of the way back to the untouched weights that a step takes along directions that move no objective."""

Propose = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
"""(weights (n,), slopes (k, n), gaps (k,), fraction) -> weights (n,) predicted to close that fraction of the gaps."""


@dataclass
class Fit:
    """Weights on their way to the targets.

    Attributes
    ----------
    weights : (n,) float64 array
    slopes : (k, n) float64 array
        Derivatives that the last step was made by.
    values : (rounds + 1, j, k) float64 array
        Objectives by round, start and name, as retrained; round 0 is the untouched run.
    shift : (k,) float64 array
        What the mean over these starts lacks to that over many, of the untouched run: added to every mean.
    fractions : (rounds,) float64 array
        Part of the gap that each step asked for; 0 where none helped.
    predicted : (rounds, k) float64 array
        What the derivatives of each round said of its step: the mean over starts, to first order.
    sizes : (rounds,) int64 array
        Samples whose weight is zero after each step.
    seconds : (1,) float64 array
    """

    weights: np.ndarray
    slopes: np.ndarray
    values: np.ndarray
    shift: np.ndarray
    fractions: np.ndarray
    predicted: np.ndarray
    sizes: np.ndarray
    seconds: np.ndarray

    def means(self, round: int = -1) -> np.ndarray:
        """Mean over the starts of every objective after a round, (k,); the last by default."""
        return np.asarray(self.values[round].mean(axis=0) + self.shift)

    def path(self, names: list[str]) -> list[Round]:
        """The rounds that found a step."""
        return [
            Round(
                int(self.sizes[i]),
                dict(zip(names, self.predicted[i].tolist(), strict=True)),
                dict(zip(names, self.means(i + 1).tolist(), strict=True)),
            )
            for i in range(len(self.fractions))
            if self.fractions[i]
        ]


def fit(
    ensemble: SeedEnsemble,
    targets: np.ndarray,
    propose: Propose,
    *,
    tolerance: float | np.ndarray,
    rounds: int = ROUNDS,
    entry: Entry | None = None,
) -> Fit:
    """Bring the mean over the starts of every objective to its target (k,).

    Parameters
    ----------
    propose : Propose
    tolerance : float or (k,) array
        Largest distance from a target that counts as reached.
    rounds : int
        Most steps.
    entry : Entry, optional
        Where each step is stored; a stopped fit goes on from there, and one of more rounds starts over. Its key
        must identify the fit.
    """
    begun, before = time.perf_counter(), ensemble.run.weights
    stored: dict[str, Any] | None = None if entry is None else entry.load()
    if stored is not None and len(stored["fractions"]) <= rounds:
        state = Fit(**stored)
    else:
        many, k = ensemble.values(before, ensemble.baseline_seeds), len(targets)
        first = many[: len(ensemble.seeds)]
        state = Fit(
            weights=before,
            slopes=np.zeros((k, len(before))),
            values=first[None],
            shift=many.mean(axis=0) - first.mean(axis=0),
            fractions=np.empty(0),
            predicted=np.empty((0, k)),
            sizes=np.empty(0, dtype=np.int64),
            seconds=np.zeros(1),
        )
    spent = float(state.seconds[0])

    def save() -> None:
        state.seconds = np.array([spent + time.perf_counter() - begun])
        if entry is not None:
            entry.save({f.name: getattr(state, f.name) for f in fields(state)})

    def off(values: np.ndarray) -> np.ndarray:
        return np.asarray(targets - values.mean(axis=0) - state.shift)

    def stuck() -> bool:
        """Whether no step helped and the next round's derivatives would be the same."""
        return ensemble.count == 1 and len(state.fractions) > 0 and state.fractions[-1] == 0

    if not len(state.fractions):
        save()
    while len(state.fractions) < rounds and (np.abs(off(state.values[-1])) > tolerance).any() and not stuck():
        done, gap = len(state.fractions), off(state.values[-1])
        remembered = 1 if ensemble.count == 1 else min(done + 1, REMEMBERED)
        state.slopes = state.slopes + (ensemble.slopes(state.weights, done) - state.slopes) / remembered
        predicted, fraction, values = targets - gap, 0.0, state.values[-1]
        for part in FRACTIONS:
            trial = propose(state.weights, state.slopes, gap, part)
            if not trial.any() or np.array_equal(trial, state.weights):
                continue
            tried = ensemble.values(trial)
            if np.linalg.norm(off(tried)) <= (1 - SUFFICIENT * part) * np.linalg.norm(gap):
                predicted = predicted + state.slopes @ (trial - state.weights)
                state.weights, fraction, values = trial, part, tried
                break
        state.values = np.concatenate([state.values, values[None]])
        state.fractions = np.append(state.fractions, fraction)
        state.predicted = np.concatenate([state.predicted, predicted[None]])
        state.sizes = np.append(state.sizes, ((state.weights == 0) & (before > 0)).sum())
        save()
    return state


def selection(before: np.ndarray, changes: csr_matrix, tolerance: float, most: float = np.inf) -> Propose:
    """Propose which changes to make: each round the fewest anew, by their first-order effects at the current weights.

    So what first order overshot in the first round is made good by a smaller set, not by a few strong samples that
    come back. Near the target, and where that does not help, the fewest changes are made or taken back whose effects
    close the gaps or a part of them.

    Parameters
    ----------
    before : (n,) array
    changes : (m, n) sparse matrix
        What each change adds to the weights; no two change the same sample.
    tolerance : float
    most : float
        At most so many changes.
    """

    def propose(weights: np.ndarray, slopes: np.ndarray, gaps: np.ndarray, fraction: float) -> np.ndarray:
        effects = (changes @ slopes.T).T
        made = np.asarray(changes @ (weights - before) > 0)
        done = effects[:, made].sum(axis=1)
        if fraction == 1 and np.linalg.norm(gaps) > FINE * np.linalg.norm(done):
            chosen = fewest(effects, done + gaps, tolerance / 2, np.ones(len(made)), most)
            made = np.zeros_like(made)
            made[chosen] = True
        else:
            sign = np.where(made, -1.0, 1.0)
            chosen = fewest(sign * effects, fraction * gaps, tolerance / 2, sign, most - made.sum())
            made[chosen] = ~made[chosen]
        return np.asarray(before + changes.T @ made)

    return propose


def removals(before: np.ndarray) -> csr_matrix:
    """Each sample trained on taken out, (m, n)."""
    rows = np.flatnonzero(before > 0)
    return csr_matrix((-before[rows], (np.arange(len(rows)), rows)), shape=(len(rows), len(before)))


def reweighting(before: np.ndarray, bound: float) -> Propose:
    """Propose weights between 0 and ``bound`` times what they were; candidates (weight 0) stay out.

    Each round finds the weights nearest in L2 to a centre whose prediction, to first order at the CURRENT weights, is
    on target. The centre lies half-way from the current to the untouched weights (a damped step of sequential
    quadratic programming): the current ones alone never give back what earlier, poorer derivatives moved in vain;
    the untouched ones alone step farther than first order holds.

    Raises
    ------
    UserError
        A bound below 1.
    """
    if not bound >= 1 or not np.isfinite(bound):
        raise UserError(f"The bound of the weights must be a number of at least 1 (given: {bound:g}).")
    low, high = np.zeros_like(before), bound * before

    def propose(weights: np.ndarray, slopes: np.ndarray, gaps: np.ndarray, fraction: float) -> np.ndarray:
        back = PULL * fraction * (before - weights)
        return smallest_step(weights + back, slopes, fraction * gaps - slopes @ back, low, high)

    return propose
