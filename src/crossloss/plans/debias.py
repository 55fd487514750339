"""One interface to every correction: from a way, objectives and targets to a correction that can be applied and judged.

Ways are remove, reweight (both fitted by retraining), undo, reinforce, both (steps on a trained model, chosen from the
paper's sweep) and hard; ``hard+WAY`` fits the second to what hard debias leaves. A target turned round over-biases.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from torch import Tensor

from crossloss.core import Objective, UserError
from crossloss.models.skipgram.hard_debias import After, HardDebias, hard_debias
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives.bounds import check_target
from crossloss.objectives.weat import Weat
from crossloss.plans.corrections import Correction, Debiased, Updated, Weighted
from crossloss.plans.cost import figures
from crossloss.plans.fit import Fit
from crossloss.plans.remove import remove_until
from crossloss.plans.reweight import BOUND, reweight
from crossloss.plans.starts import Starts
from crossloss.plans.sweep import PASSES, SIZES, Cell, choose, sweep
from crossloss.plans.update import ARMS, update
from crossloss.progress import track
from crossloss.run.run import Run
from crossloss.scores import score

FITTED = ("remove", "reweight")
HARD = "hard"
WAYS = (*FITTED, *ARMS, HARD, *(f"{HARD}+{way}" for way in (*FITTED, *ARMS)))
ALLOWED = 0.01
"""Loss of quality that the choice from a sweep allows: Spearman of WordSim-353, or the share of the training loss."""


@dataclass(frozen=True, eq=False)
class Corrected:
    """A correction and how it was made.

    Attributes
    ----------
    how : str
    correction : Correction
    table : pyarrow Table or None
        The plan: sample and weight (undo, reinforce, both: also passes). None for hard debias alone.
    fit : Fit or None
        Of remove and reweight.
    cells, chosen : list of Cell, Cell or None
        The sweep of undo, reinforce or both, and the cell that was chosen.
    reached : bool or None
        Whether the fit reached its targets, or the chosen update kept the quality; None where neither was asked.
    seconds : float
        To fit the weights; of undo, reinforce and both, to walk the whole sweep.
    """

    how: str
    correction: Correction
    table: pa.Table | None
    fit: Fit | None
    cells: list[Cell]
    chosen: Cell | None
    reached: bool | None
    seconds: float


def correct(
    run: Run,
    objectives: Sequence[Objective],
    targets: Mapping[str, float],
    how: str,
    *,
    starts: int = 1,
    groups: Sequence[str] = ("gender",),
    tolerance: float = 0.01,
    bound: float = BOUND,
    sizes: Sequence[int] = SIZES,
    passes: Sequence[int] = PASSES,
    most_steps: int | None = None,
    also: Sequence[Objective] = (),
) -> Corrected:
    """Make a correction. In a run folder a stopped one goes on where it was.

    Parameters
    ----------
    run : Run
    objectives : sequence of Objective
        Undo, reinforce and both take one, a ``Weat``; remove and reweight bring all of them to their targets at once.
    targets : mapping
        Target of each objective by name.
    how : str
        One of ``WAYS``.
    starts : int
        Of remove and reweight: fitted to the run's own start (1), or to the mean over starts (``Starts``).
    groups : sequence of str
        Word sets of hard debias, applied in turn: gender, race.
    tolerance, bound
        As for ``reweight``.
    sizes, passes, most_steps
        Of the sweep.
    also : sequence of Objective
        Measured in every cell of the sweep beside the one that is corrected.

    Raises
    ------
    UserError
        An unknown way, objectives or targets that do not fit.
    """
    if how not in WAYS:
        raise UserError(f"There is no way {how!r} to debias; there are: {', '.join(WAYS)}.")
    begun = time.perf_counter()
    first, _, way = how.rpartition("+")
    hard = tuple(hard_debias(group) for group in groups) if HARD in (first, way) else ()
    if way == HARD:
        return Corrected(how, Debiased(hard), None, None, [], None, None, time.perf_counter() - begun)
    after = [After(o, hard) for o in objectives] if hard else list(objectives)
    names = sorted(groups) if hard else []
    if way in FITTED:
        several = Starts(run, after, starts)
        known = [run.fingerprint(o) for o in objectives]
        key = (how, known, names, dict(targets), starts, several.seeds, tolerance, bound)
        place = run.store.entry("fit", *key, suffix=".safetensors")
        if way == "reweight":
            made = reweight(several, targets, bound=bound, tolerance=tolerance, entry=place)
        else:
            made = remove_until(several, targets, tolerance=tolerance, entry=place)
        correction: Correction = Weighted(made.weights)
        if hard:
            correction = Debiased(hard, correction)
        return Corrected(how, correction, replace(made, how=how).to_table(), made, [], None, made.reached, made.seconds)
    grid = {"sizes": sizes, "passes": passes, "most_steps": most_steps}
    return _updated(run, objectives, targets, how, way, hard, names, grid, also)


def _updated(
    run: Run,
    objectives: Sequence[Objective],
    targets: Mapping[str, float],
    how: str,
    way: str,
    hard: tuple[HardDebias, ...],
    names: list[str],
    grid: dict[str, Any],
    also: Sequence[Objective],
) -> Corrected:
    """Sweep one way of updating; A and M are picked by one half of the test's words, the cell by the other half."""
    if len(objectives) != 1 or not isinstance(objectives[0], Weat):
        raise UserError(f"{way} corrects one association test at a time: name one --objective.")
    test = objectives[0]
    if set(targets) != {test.name}:
        raise UserError(f"Give one target, for {test.name}.")
    target = targets[test.name]
    check_target(test, target, run.model.word_index)
    fitted, judged = test.halves(run.model.word_index)
    start: Correction = Debiased(hard) if hard else Weighted()
    theta = start(run, run.seed) if hard else run.theta
    ranking = score(run, [After(fitted, hard) if hard else fitted]).of()

    def judge(theta: Tensor) -> dict[str, float]:
        loss = require_skipgram(run.model, how).build().data_loss(theta, run.trajectory.weights)
        return figures(run, [test, judged, *others], run.field.view(theta)) | {"loss": loss}

    others = [o for o in also if o.name != test.name]
    before, value = judge(theta), float(fitted(run.field.view(theta)))
    key = (how, [run.fingerprint(o) for o in [test, *others]], names, target, grid)
    with track(f"trying {way}") as progress:
        cells = sweep(
            run,
            theta,
            ranking,
            judge,
            value=value,
            target=target,
            ways=[way],
            **grid,
            entry=run.store.entry("sweep", *key),
            state=run.store.entry("sweep", *key, suffix=".safetensors"),
            progress=progress,
        )
    chosen, kept = choose_kept(cells, before, judged=judged.name, target=target)
    made = update(ranking, run.weights, value=value, target=target, how=way, size=chosen.size, passes=chosen.passes)
    correction = Updated(made, start)
    seconds = sum(max(c.seconds for c in cells if c.size == size) for size in grid["sizes"])
    return Corrected(how, correction, made.to_table(run), None, cells, chosen, kept, seconds)


def choose_kept(cells: Sequence[Cell], before: Mapping[str, float], *, judged: str, target: float) -> tuple[Cell, bool]:
    """Choose from a sweep by words held out, and whether the quality was kept.

    Kept is WordSim-353 not more than .01 worse, or where it is not measured the training loss not more than 1 %.
    """
    if "wordsim353" in before:
        quality, least = "wordsim353", before["wordsim353"] - ALLOWED
    else:
        quality, least = "-loss", -before["loss"] * (1 + ALLOWED)
    turned = [replace(c, figures=c.figures | {"-loss": -c.figures["loss"]}) if c.figures else c for c in cells]
    best = choose(turned, judged=judged, target=target, quality=quality, least=least)
    return cells[turned.index(best)], best.figures[quality] >= least


def held_out_words(
    run: Run,
    objectives: Sequence[Weat],
    targets: Mapping[str, float],
    how: str,
    *,
    groups: Sequence[str] = ("gender",),
    starts: int = 1,
    tolerance: float = 0.01,
) -> dict[str, tuple[float, float, float, float]]:
    """Fit to half of the words of each test and judge by the others: effects before and after, statistics likewise.

    An effect size can fall by noise in its denominator alone; the statistic has none. Both are at the run's own start.

    Raises
    ------
    UserError
        As ``correct``, or a set with fewer than four words present.
    """
    parts = {o.name: o.halves(run.model.word_index) for o in objectives}
    goals = {fitted.name: targets[name] for name, (fitted, _) in parts.items()}
    fitted = [half for half, _ in parts.values()]
    made = correct(run, fitted, goals, how, groups=groups, starts=starts, tolerance=tolerance)
    views = [run.field.view(t) for t in (run.theta, made.correction(run, run.seed))]
    found = {}
    for name, (_, judged) in parts.items():
        both = [float(replace(judged, kind=kind)(view)) for kind in ("effect", "statistic") for view in views]
        found[name] = (both[0], both[1], both[2], both[3])
    return found
