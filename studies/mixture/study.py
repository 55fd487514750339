"""All seeds of the study, each stored as soon as it is measured, and the figures over them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

import crossloss as cl
from crossloss.progress import track
from crossloss.run.store import Store
from studies.mixture import measure, protocol
from studies.mixture.measure import ABLATION, BASE
from studies.mixture.model import LOSSES
from studies.mixture.protocol import PAPER

LEVELS = (0.8, 0.95, 0.99)
MAIN, PROTOCOL = "main", "protocol"
Seeds = dict[str, list[dict[str, Any]]]
"""What was measured, by variant, in the order of the seeds."""


def run_seeds(store: Store, seeds: Sequence[int], **changed: Any) -> Seeds:
    """Measure every seed that the store does not hold yet: one setup with every estimator, the ablation's with three.

    ``changed``: settings of ``Setup`` that all have otherwise.
    """
    setups = {MAIN: replace(BASE, **changed)} | {name: replace(setup, **changed) for name, setup in ABLATION.items()}
    return _each(
        store, [(variant, setup, seed) for seed in seeds for variant, setup in setups.items()],
        lambda variant, setup, seed, advance: measure.measure(seed, setup, full=variant == MAIN, advance=advance),
    )  # fmt: skip


def run_protocol(store: Store, seeds: Sequence[int], *, settings: protocol.Protocol = PAPER) -> Seeds:
    """The same for the paper's protocol, which is the one variant."""
    return _each(
        store, [(PROTOCOL, settings, seed) for seed in seeds],
        lambda variant, setup, seed, advance: protocol.measure(seed, setup, advance=advance),
    )  # fmt: skip


def _each(store: Store, work: Sequence[tuple[str, Any, int]], make: Callable[..., dict[str, Any]]) -> Seeds:
    seeds: Seeds = {}
    with track("mixture study") as progress:
        for number, (variant, setup, seed) in enumerate(work):

            def advance(share: float, number: int = number) -> None:
                progress(round(100 * (number + share)), 100 * len(work))

            with cl.progress(lambda name: nullcontext(lambda done, total: None)):  # one bar for all trainings
                result = store.get_or_make(
                    f"seeds/{variant}-{seed:03d}", asdict(setup), make=partial(make, variant, setup, seed, advance)
                )
            seeds.setdefault(variant, []).append(result)
            advance(1.0)
    return seeds


def rows(seeds: Sequence[dict[str, Any]], loss: str) -> list[dict[str, Any]]:
    """One row an estimator for a loss, the best first: figures by seed, or the sentence that refused it.

    Figures: ``share_above_L`` and ``class_C.share_above_L`` for each L of ``LEVELS``, ``mean_r``, ``slope`` (median
    over held-out points), ``seconds``; each a list over seeds.
    """
    table = []
    for name in sorted(seeds[0]["losses"][loss]["estimators"]):
        entries = [one["losses"][loss]["estimators"][name] for one in seeds]
        figures: dict[str, list[float]] = {}
        for one, entry in zip(seeds, entries, strict=True):
            for key, value in (_figures(entry, np.asarray(one["classes"])) if "r" in entry else {}).items():
                figures.setdefault(key, []).append(value)
        refused = sorted({entry["refused"] for entry in entries if "refused" in entry})
        table.append({"estimator": name, "figures": figures, "refused": refused})
    return sorted(table, key=lambda row: -float(np.mean(row["figures"].get("mean_r", -1.0))))


def _figures(entry: Mapping[str, Any], classes: np.ndarray) -> dict[str, float]:
    r = np.asarray(entry["r"])
    figures = {"mean_r": float(r.mean()), "slope": float(np.median(entry["slope"]))}
    figures |= {"seconds": entry["seconds"]} if "seconds" in entry else {}
    for level in LEVELS:
        figures[f"share_above_{level}"] = float((r > level).mean())
        figures |= {f"class_{c}.share_above_{level}": float((r[classes == c] > level).mean()) for c in set(classes)}
    return figures


def metrics(seeds: Seeds) -> dict[str, float]:
    """``mixture.LOSS.ESTIMATOR.FIGURE``: mean over seeds, and ``.worst_seed`` beside it.

    Variants of the ablation are ``mixture.VARIANT.LOSS.ESTIMATOR.FIGURE``. An estimator that refused has no figures.
    """
    values: dict[str, float] = {}
    for variant, measured in seeds.items():
        for loss in LOSSES:
            for row in rows(measured, loss):
                prefix = ".".join(["mixture", *([] if variant == MAIN else [variant]), loss, row["estimator"]])
                for name, by_seed in row["figures"].items():
                    values[f"{prefix}.{name}"] = float(np.mean(by_seed))
                    if name not in ("seconds", "slope"):
                        values[f"{prefix}.{name}.worst_seed"] = float(np.min(by_seed))
    return values


def summary(seeds: Seeds) -> list[str]:
    """A line for each loss and estimator of the first variant."""
    lines = []
    for loss in LOSSES:
        for row in rows(next(iter(seeds.values())), loss):
            f = row["figures"]
            if f:
                share, worst = float(np.mean(f["share_above_0.8"])), min(f["share_above_0.8"])
                lines.append(
                    f"{loss}, {row['estimator']}: r above .8 on {share:.1%} (worst seed {worst:.1%}), "
                    f"mean r {np.mean(f['mean_r']):.3f}"
                )
    return lines


def short(seeds: Seeds, enough: float = 0.99) -> list[dict[str, Any]]:
    """Seeds whose unrolled scores reach r .8 on less than ``enough`` of the held-out points, and why."""
    listed = []
    for variant, measured in seeds.items():
        for one in measured:
            for loss in LOSSES:
                trained = one["losses"][loss]
                exact = trained["estimators"]["unrolled"]
                r = np.asarray(exact.get("r", [0.0]))
                share = float((r > LEVELS[0]).mean())
                if share >= enough:
                    continue
                little = np.asarray(trained.get("a_tenth_left_out", {"r": [0.0]})["r"])
                listed.append(
                    {"variant": variant, "seed": one["seed"], "loss": loss, "share": share}
                    | {"mean_r": float(r.mean()), "accuracy": trained["accuracy"]}
                    | {"tenth_share": float((little > LEVELS[0]).mean()), "tenth_mean_r": float(little.mean())}
                    | {"reason": exact.get("refused") or _reason(little, trained["accuracy"])}
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
