"""The sweep over updates (paper Sec. 4.4): every way, set size and number of passes, recorded; then a choice.

The choice looks at a quality measure and at words that the samples were not picked by, never at the answer.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Progress, UserError
from crossloss.plans.update import ARMS, DIVERGED, Update, update
from crossloss.run.run import Run
from crossloss.run.store import Entry
from crossloss.utils import files

SIZES = PASSES = (5, 10, 100, 1000)
"""The paper's sweep."""

Judge = Callable[[Tensor], dict[str, float]]
"""Figures of some parameters (p,)."""


@dataclass(frozen=True)
class Cell:
    """One update of the sweep: its figures, or why there are none."""

    how: str
    size: int
    passes: int
    figures: dict[str, float]
    seconds: float
    failed: str = ""


def sweep(
    run: Run,
    theta: Tensor,
    scores: np.ndarray,
    judge: Judge,
    *,
    value: float,
    target: float,
    ways: Sequence[str] = ARMS,
    sizes: Sequence[int] = SIZES,
    passes: Sequence[int] = PASSES,
    most_steps: int | None = None,
    entry: Entry | None = None,
    state: Entry | None = None,
    progress: Progress | None = None,
) -> list[Cell]:
    """Try every update from ``theta``; the numbers of passes of one set are stages of one walk.

    Parameters
    ----------
    theta : (p,) tensor
        The model to correct.
    scores : (n,) array
        Scores that choose A and M.
    judge : Judge
    value, target : float
        As for ``update``.
    most_steps : int, optional
        Updates of more steps are recorded as left out.
    entry, state : Entry, optional
        Where the cells, and the parameters after the last, are stored after each stage of a walk; a stopped sweep goes
        on from there. Their keys must identify the sweep.

    Raises
    ------
    UserError
        As ``update``.
    """
    cells: list[Cell] = []
    if entry is not None:
        cells = [Cell(**cell) for cell in entry.load() or []]
    known = {(c.how, c.size, c.passes) for c in cells}
    stages = sorted(set(passes))
    total = len(ways) * len(sizes) * len(stages)
    for how in ways:
        for size in sizes:
            left = [k for k in stages if (how, size, k) not in known]
            if not left:
                continue
            done, at = max((k for k in stages if k < left[0]), default=0), theta
            spent = sum(c.seconds for c in cells if (c.how, c.size, c.passes) == (how, size, done))
            chosen = update(scores, run.weights, value=value, target=target, how=how, size=size, passes=stages[-1])
            broken = next((c.failed for c in cells if (c.how, c.size) == (how, size) and DIVERGED in c.failed), "")
            if done and not broken:
                stopped = _stored(state, how, size, done)
                again = Update(how, chosen.undone, chosen.reinforced, done)
                at = again.apply(run, theta) if stopped is None else stopped.to(theta.device)
            for stage in left:
                steps = stage * (len(chosen.undone) + len(chosen.reinforced))
                if broken or (most_steps is not None and steps > most_steps):
                    cells.append(Cell(how, size, stage, {}, 0.0, broken or f"left out: {steps:,} steps"))
                    continue
                begun = time.perf_counter()
                failed, found = "", {}
                try:
                    at = Update(how, chosen.undone, chosen.reinforced, stage - done).apply(run, at)
                    found = judge(at)
                    if not np.isfinite(list(found.values())).all():
                        raise UserError(f"The {how} update {DIVERGED}: choose fewer passes or samples.")
                except UserError as error:
                    failed, found = str(error), {}
                    broken = failed if DIVERGED in failed else ""
                spent, done = spent + time.perf_counter() - begun, stage
                cells.append(Cell(how, size, stage, found, spent, failed))
                if entry is not None and state is not None:
                    state.save({f"{how}.{size}.{stage}": at.cpu().numpy()})
                    entry.save([asdict(cell) for cell in cells])
                if progress:
                    progress(len(cells), total)
    return cells


def _stored(state: Entry | None, how: str, size: int, passes: int) -> Tensor | None:
    """Parameters after these passes, if they are what was stored last."""
    stored = None if state is None else state.load()
    found = None if stored is None else stored.get(f"{how}.{size}.{passes}")
    return None if found is None else torch.from_numpy(found)


def choose(cells: Sequence[Cell], *, judged: str, target: float, quality: str, least: float) -> Cell:
    """Return the cell nearest to the target by the ``judged`` figure among those of ``quality`` at least ``least``.

    Of equals, the one with fewest steps. Where none keeps the quality, the one that keeps most of it.

    Raises
    ------
    UserError
        All failed.
    """
    able = [c for c in cells if not c.failed]
    if not able:
        raise UserError(
            f"No update of the sweep could be measured ({cells[0].failed}): try smaller sets, fewer passes."
        )
    good = [c for c in able if c.figures[quality] >= least] or [max(able, key=lambda c: c.figures[quality])]
    return min(good, key=lambda c: (abs(c.figures[judged] - target), c.size * c.passes))


LOST = "No update of the sweep kept the quality; this is the one that kept most of it."
ALLOWED = 0.01
"""Loss of quality that the choice allows: Spearman of WordSim-353, or the share of the training loss."""


def choose_cell(cells: Sequence[Cell], before: Mapping[str, float], *, judged: str, target: float) -> tuple[Cell, bool]:
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


def write_csv(path: Path, cells: Sequence[Cell]) -> None:
    """Write the whole sweep as CSV: how, size, passes, seconds, failed and every figure."""
    names = sorted({name for cell in cells for name in cell.figures})
    lines = [",".join(["how", "size", "passes", "seconds", "failed", *map(json.dumps, names)])]
    for c in cells:
        values: Mapping[str, float] = c.figures
        row = [c.how, str(c.size), str(c.passes), f"{c.seconds:.3f}", json.dumps(c.failed) if c.failed else ""]
        lines.append(",".join([*row, *(f"{values[n]:.6g}" if n in values else "" for n in names)]))
    files.write_text(path, "\n".join(lines) + "\n")
