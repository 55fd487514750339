"""All seeds of the study, one small file each, and the figures over them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossloss import files
from crossloss.core import Progress, UserError
from crossloss.progress import track
from crossloss.studies.mixture.model import LOSSES
from crossloss.studies.mixture.protocol import PAPER, Protocol
from crossloss.studies.mixture.protocol import measure as follow
from crossloss.studies.mixture.seed import ABLATION, BASE, Setup, compact, measure, part

LEVELS = (0.8, 0.95, 0.99)
MAIN = "main"
SEEDS, PROTOCOL = "seeds", "protocol"
Found = dict[str, Any]


def run_seeds(
    out: Path,
    seeds: Sequence[int],
    *,
    base: Setup = BASE,
    ablation: dict[str, Setup] | None = None,
) -> dict[str, list[Found]]:
    """Measure every seed that ``out`` does not hold yet; what was measured, by variant, in the order of the seeds.

    Parameters
    ----------
    out : path
        Files ``seeds/VARIANT-SEED.json``, each complete or absent.
    seeds : sequence of int
    base : Setup
        Measured with every estimator.
    ablation : dict of Setup
        Measured with three; those of ``ABLATION`` where None.

    Raises
    ------
    UserError
        ``out`` holds a study of other settings.
    """
    _refuse_other(out, PROTOCOL)
    setups = {MAIN: base} | (ABLATION if ablation is None else ablation)
    found: dict[str, list[Found]] = {variant: [] for variant in setups}
    work = [(seed, variant) for seed in seeds for variant in setups]
    with track("mixture study") as progress:
        for number, (seed, variant) in enumerate(work):
            make = _Measure(seed, setups[variant], variant == MAIN, part(progress, number, len(work)))
            path = out / SEEDS / f"{variant}-{seed:03d}.json"
            found[variant].append(stored(path, asdict(setups[variant]), make))
            progress(100 * (number + 1), 100 * len(work))
    return found


@dataclass(frozen=True)
class _Measure:
    """A piece of work not done yet."""

    seed: int
    setup: Setup | Protocol
    full: bool
    progress: Progress

    def __call__(self) -> Found:
        if isinstance(self.setup, Protocol):
            return follow(self.seed, self.setup, progress=self.progress)
        return compact(measure(self.seed, self.setup, full=self.full, progress=self.progress))


def run_protocol(out: Path, seeds: Sequence[int], *, settings: Protocol | None = None) -> dict[str, list[Found]]:
    """The same for the paper's protocol, files ``protocol/SEED.json``; one variant, "protocol".

    Raises
    ------
    UserError
        ``out`` holds a study of other settings.
    """
    _refuse_other(out, SEEDS)
    settings, found = settings or PAPER, []
    with track("paper's protocol") as progress:
        for number, seed in enumerate(seeds):
            make = _Measure(seed, settings, True, part(progress, number, len(seeds)))
            found.append(stored(out / PROTOCOL / f"{seed:03d}.json", asdict(settings), make))
            progress(100 * (number + 1), 100 * len(seeds))
    return {PROTOCOL: found}


def _refuse_other(out: Path, kind: str) -> None:
    if (out / kind).exists():
        raise UserError(f"{out} holds the other kind of this study ({kind}): choose another --out.")


def stored(path: Path, setup: dict[str, Any], make: Callable[[], Found]) -> Found:
    """What the file holds, made and written first where it is absent; always as read, so that reruns are equal.

    Raises
    ------
    UserError
        It holds another setup.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, make())
    found: Found = files.read_json(path)
    if found["setup"] != setup:
        raise UserError(f"{path} is of other settings: choose another --out.")
    return found


def rows(found: Sequence[Found], loss: str) -> list[dict[str, Any]]:
    """One row an estimator for a loss, the best first: figures by seed, or the sentence that refused it.

    Figures: ``share_above_L`` and ``class_C.share_above_L`` for each L of ``LEVELS``, ``mean_r``, ``slope`` (median
    over held-out points), ``seconds``; each a list over seeds.
    """
    table = []
    for name in found[0]["losses"][loss]["estimators"]:
        entries = [one["losses"][loss]["estimators"][name] for one in found]
        answered = [(one, entry) for one, entry in zip(found, entries, strict=True) if "r" in entry]
        figures: dict[str, list[float]] = {}
        for one, entry in answered:
            for key, value in _figures(np.asarray(entry["r"]), np.asarray(one["classes"])).items():
                figures.setdefault(key, []).append(value)
            figures.setdefault("slope", []).append(float(np.median(entry["slope"])))
            if "seconds" in entry:
                figures.setdefault("seconds", []).append(entry["seconds"])
        refused = sorted({entry["refused"] for entry in entries if "refused" in entry})
        table.append(
            {
                "estimator": name,
                "figures": figures,
                "refused": refused,
                "seeds": [one["seed"] for one, _ in answered],
            }
        )
    return sorted(table, key=lambda row: -float(np.mean(row["figures"].get("mean_r", -1.0))))


def _figures(r: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    figures: dict[str, float] = {"mean_r": float(r.mean())}
    for level in LEVELS:
        figures[f"share_above_{level}"] = float((r > level).mean())
        for c in np.unique(classes):
            figures[f"class_{c}.share_above_{level}"] = float((r[classes == c] > level).mean())
    return figures


def metrics(found: dict[str, list[Found]]) -> dict[str, float]:
    """``mixture.LOSS.ESTIMATOR.FIGURE``: mean over seeds, and ``.worst_seed`` beside it.

    Variants of the ablation are ``mixture.VARIANT.LOSS.ESTIMATOR.FIGURE``. An estimator that refused has no figures.
    """
    values: dict[str, float] = {}
    for variant, seeds in found.items():
        for loss in LOSSES:
            for row in rows(seeds, loss):
                prefix = ".".join(["mixture", *([] if variant == MAIN else [variant]), loss, row["estimator"]])
                for name, by_seed in row["figures"].items():
                    values[f"{prefix}.{name}"] = float(np.mean(by_seed))
                    if name not in ("seconds", "slope"):
                        values[f"{prefix}.{name}.worst_seed"] = float(np.min(by_seed))
    return values


def summary(found: dict[str, list[Found]]) -> list[str]:
    """A line for each loss and estimator of the first variant."""
    lines = []
    for loss in LOSSES:
        for row in rows(next(iter(found.values())), loss):
            f = row["figures"]
            if f:
                share, worst = float(np.mean(f["share_above_0.8"])), min(f["share_above_0.8"])
                lines.append(
                    f"{loss}, {row['estimator']}: r above .8 on {share:.1%} (worst seed {worst:.1%}), "
                    f"mean r {np.mean(f['mean_r']):.3f}"
                )
    return lines


def short(found: dict[str, list[Found]], enough: float = 0.99) -> list[dict[str, Any]]:
    """Seeds whose unrolled scores reach r .8 on less than ``enough`` of the held-out points, and why."""
    listed = []
    for variant, seeds in found.items():
        for one in seeds:
            for loss in LOSSES:
                trained = one["losses"][loss]
                exact = trained["estimators"]["unrolled"]
                share = float((np.asarray(exact.get("r", [0.0])) > LEVELS[0]).mean())
                if share >= enough:
                    continue
                little = np.asarray(trained.get("a_tenth_left_out", {"r": [0.0]})["r"])
                listed.append(
                    {
                        "variant": variant,
                        "seed": one["seed"],
                        "loss": loss,
                        "share": share,
                        "mean_r": float(np.mean(exact.get("r", [0.0]))),
                        "accuracy": trained["accuracy"],
                        "tenth_share": float((little > LEVELS[0]).mean()),
                        "tenth_mean_r": float(little.mean()),
                        "reason": exact.get("refused") or _reason(little, trained["accuracy"]),
                    }
                )
    return listed


def _reason(little: np.ndarray, accuracy: float) -> str:
    where = f"the run ended with {accuracy:.0%} of the points in their cluster"
    if (little > LEVELS[0]).mean() >= 0.99:
        return (
            f"the derivative is right (r {little.mean():.3f} for a tenth of a weight), but the run bends before a "
            f"whole sample is gone; {where}"
        )
    return (
        f"the run has kinks or cliffs close by: even a tenth of a weight is not predicted everywhere (mean r "
        f"{little.mean():.3f}); {where}"
    )
