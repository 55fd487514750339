"""Score the samples of a run: the estimator's passes, of which stored ones are not made again."""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from crossloss import estimators
from crossloss.core import Accumulator, Estimator, Objective, UserError
from crossloss.estimators import ESTIMATORS
from crossloss.models.skipgram.cooccurrence import co_occurrence
from crossloss.models.skipgram.model import SkipGram
from crossloss.objectives import as_objective
from crossloss.objectives.weat import Weat
from crossloss.run.run import Run
from crossloss.run.store import Entry, Store, content_key
from crossloss.run.trajectory import FileCheckpoint
from crossloss.scores.baselines import BASELINES, Baseline, baseline
from crossloss.scores.scores import UNROLLED, Scores
from crossloss.utils.memory import peak_memory
from crossloss.utils.progress import track

CO_OCCURRENCE = "co-occurrence"
NAMED = 8
"""Parameters that an estimator leaves out and that are named where it scores; all are in ``Scores.left_out``."""
ESTIMATOR_NAMES = (*ESTIMATORS, CO_OCCURRENCE, *BASELINES)


def score(
    run: Run,
    objectives: Sequence[Objective | Callable[[Any], Tensor]],
    estimator: str | Estimator | Baseline = UNROLLED,
    *,
    damping: float = 0.0,
) -> Scores:
    """Score every sample of a run for several objectives in one backward pass.

    Parameters
    ----------
    run : Run
    objectives : sequence
        Objectives, or functions of ``run.view`` that return a scalar tensor.
    estimator : str, Estimator or Baseline
        "unrolled" (exact), "gradient-dot", "tracin", "inverse-hessian" and its kinds, "trak", "less", "co-occurrence"
        (association tests of a corpus only), "bm25" or "embedding-cosine" (where samples and objectives have texts); or
        an object with settings of its own, ``TracIn(every=10)``. Parameters that it leaves out are named by a warning.
    damping : float
        Added to the curvature, for inverse-hessian estimators; of trak over the mean eigenvalue.

    Raises
    ------
    UserError
        Unknown estimator, no objective, or one without a finite gradient; damping where there is no curvature;
        unrolled or tracin of a model that was trained elsewhere; a baseline where there are no texts to compare.

    Examples
    --------
    >>> scores = cl.score(run, [weat, cl.objectives.similarity("math", "sister")])
    >>> print(scores.top(5, "weat7"))
    >>> simpler = cl.score(run, [weat], "gradient-dot")
    """
    run.results.scores = scores = compute_scores(run, objectives, estimator, damping=damping)
    if isinstance(estimator, Baseline) or baseline(estimator):
        return scores  # made anew in no time
    if run.store.path is not None and not isinstance(run.model, SkipGram):  # for who opens the folder without its field
        settings = estimators.get(estimator, damping).settings()
        if settings is not None:
            keys = [run.fingerprint(o) for o in scores.objectives]
            run.store.set_meta(scored={"estimator": scores.estimator, "settings": settings, "objectives": keys})
    return scores


def compute_scores(
    run: Run, objectives: Sequence[Any], estimator: str | Estimator | Baseline = UNROLLED, *, damping: float = 0.0
) -> Scores:
    """``score``, of which the run remembers nothing."""
    if isinstance(objectives, str | Mapping) or not isinstance(objectives, Iterable):
        raise UserError("score takes a list of objectives: cl.score(run, [cl.objectives.weat(NAME)]).")
    chosen = [as_objective(o) for o in objectives]
    if not chosen:
        raise UserError("Name at least one objective to score.")
    names = [o.name for o in chosen]
    if len(set(names)) < len(names):
        raise UserError(f"Two objectives have the same name ({', '.join(sorted(names))}): rename one.")
    others, simple = tuple(BASELINES), baseline(estimator)
    if isinstance(run.model, SkipGram):
        others = (CO_OCCURRENCE, *others)
    name = simple.name if simple else estimator
    if name in others and damping:
        raise UserError(f"{name} takes no damping: it is for the inverse-Hessian estimators.")
    if simple is not None:
        return Scores(run, simple.name, chosen, None, simple(run, chosen))
    if isinstance(run.model, SkipGram) and name == CO_OCCURRENCE:
        return Scores(run, CO_OCCURRENCE, chosen, np.stack([_co_occurrence(run.model, o) for o in chosen]))
    assert not isinstance(estimator, Baseline)
    estimate = estimators.get(estimator, damping, others)
    run.model.check_objectives(run.field, run.theta, chosen)  # before the work
    left = estimate.left_out(run.field)
    if left:
        warnings.warn(_left_out(estimate.name, left, len(run.theta)), stacklevel=3)
    return Scores(run, estimate.name, chosen, _atoms(run, chosen, estimate), left_out=left)


def unrolled_scores(run: Run, objectives: Sequence[Objective]) -> Scores:
    """The unrolled scores, those made last where they are of these objectives; the run remembers nothing."""
    last = run.results.scores
    kept = last is not None and last.estimator == UNROLLED and last.are_scores_of(objectives)
    return last if kept else compute_scores(run, objectives)


def _left_out(name: str, left: Sequence[tuple[str, int]], size: int) -> str:
    """Which parameters an estimator is not of, the largest by their names."""
    gone = sum(count for _, count in left)
    largest = sorted(left, key=lambda each: -each[1])
    shown = ", ".join(f"{parameter} ({count:,})" for parameter, count in largest[:NAMED])
    rest = f" and {len(left) - NAMED} smaller ones ({sum(c for _, c in largest[NAMED:]):,})" * (len(left) > NAMED)
    return f"{name} is of {size - gone:,} of the {size:,} parameters; left out are {shown}{rest}."


def _co_occurrence(model: SkipGram, objective: Objective) -> np.ndarray:
    if not isinstance(objective, Weat):
        raise UserError(f"co-occurrence needs word sets X, Y, A, B, which {objective.name} has not.")
    return co_occurrence(model.counts, model.vocabulary, {name: tuple(words) for name, words in objective.sets.items()})


def _atoms(run: Run, objectives: Sequence[Objective], estimator: Estimator) -> np.ndarray:
    """Influence of every atom (k, m): what the store has, and the rest as many objectives a pass as memory allows."""
    begun, settings = time.perf_counter(), estimator.settings()
    store = run.store if settings is not None else Store()  # an estimator that nothing but its code describes
    name = f"influence-{estimator.name}"
    entries = [store.entry(name, run.fingerprint(o), settings, suffix=".safetensors") for o in objectives]
    stored = {o.name: entry.load() for o, entry in zip(objectives, entries, strict=True)}
    rows = {name: arrays["atoms"] for name, arrays in stored.items() if arrays is not None}
    missing = [(o, entry) for o, entry in zip(objectives, entries, strict=True) if o.name not in rows]
    if missing:
        at_once, estimate = run.at_once(len(missing)), estimator.at(run.trajectory, run.store)
        for first in range(0, len(missing), at_once):
            group = missing[first : first + at_once]
            part = "" if len(missing) <= at_once else f", part {first // at_once + 1}"
            atoms = _pass(run, group, f"scoring ({estimator.name}{part})", estimate)
            for (o, entry), row in zip(group, atoms, strict=True):
                rows[o.name] = row
                entry.save({"atoms": row})
        if estimator.name == UNROLLED:
            run.store.log_metrics({"score.seconds": time.perf_counter() - begun, "peak_memory_bytes": peak_memory()})
    return np.stack([rows[o.name] for o in objectives])


def _pass(
    run: Run, group: Sequence[tuple[Objective, Entry]], label: str, estimate: Callable[..., Accumulator]
) -> np.ndarray:
    """One backward pass; in a folder a stopped one goes on where it was."""
    checkpoint, folder = None, group[0][1].store.path
    if folder is not None:
        file = f"backward-{content_key([entry.file for _, entry in group])[:20]}.safetensors"
        checkpoint = FileCheckpoint(folder / file, run.trajectory.initial.device)
    with track(label) as progress:
        influence = estimate([o for o, _ in group], progress=progress, checkpoint=checkpoint)
    atoms = run.model.atoms(influence)
    if checkpoint is not None:
        checkpoint.path.unlink(missing_ok=True)
    return atoms
