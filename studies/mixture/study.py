"""All seeds of the study, each stored as soon as it is measured, and the figures over them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from crossloss.utils.progress import track
from studies.mixture import measure, protocol
from studies.mixture.measure import ABLATION, BASE, CLOSE, ENOUGH
from studies.mixture.model import LOSSES

LEVELS = (CLOSE, 0.95, 0.99)
MAIN, PROTOCOL = "main", "protocol"
Seeds = dict[str, list[dict[str, Any]]]
"""What was measured, by variant, in the order of the seeds."""


def run_seeds(store: Any, seeds: Sequence[int], **changed: Any) -> Seeds:
    """Measure every seed that the store does not hold yet: one setup with every estimator, the ablation's with three.

    ``store``: of a run, or a ``RunFolder``. ``changed``: settings of ``Setup`` that all have otherwise.
    """
    setups = {name: replace(setup, **changed) for name, setup in {MAIN: BASE, **ABLATION}.items()}
    return _each(
        store, seeds, setups, lambda variant, seed: measure.measure(seed, setups[variant], full=variant == MAIN)
    )


def run_protocol(store: Any, seeds: Sequence[int], **changed: Any) -> Seeds:
    """The same for the paper's protocol, which is the one variant; ``changed``: settings of ``Protocol``."""
    settings = protocol.Protocol(**changed)
    return _each(store, seeds, {PROTOCOL: settings}, lambda variant, seed: protocol.measure(seed, settings))


def _each(
    store: Any, seeds: Sequence[int], setups: Mapping[str, Any], make: Callable[[str, int], dict[str, Any]]
) -> Seeds:
    measured: Seeds = {variant: [] for variant in setups}
    work = [(variant, seed) for seed in seeds for variant in setups]
    with track("mixture study") as progress:
        for number, (variant, seed) in enumerate(work):
            progress(number, len(work))
            place = store.entry(f"seeds/{variant}-{seed:03d}", asdict(setups[variant]))
            measured[variant].append(place.get_or_make(lambda v=variant, s=seed: make(v, s)))
        progress(len(work), len(work))
    return measured


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
    figures = {"mean_r": r.mean(), "slope": np.median(entry["slope"])}
    figures |= {"seconds": entry["seconds"]} if "seconds" in entry else {}
    for level in LEVELS:
        figures[f"share_above_{level}"] = (r > level).mean()
        figures |= {f"class_{c}.share_above_{level}": (r[classes == c] > level).mean() for c in set(classes)}
    return _floats(figures)


def _floats(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(figure) for name, figure in figures.items()}


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


def short(seeds: Seeds, enough: float = ENOUGH) -> list[dict[str, Any]]:
    """Seeds whose unrolled scores reach r .8 on less than ``enough`` of the held-out points, and more about them.

    ``accuracy``: a run may have ended in a poor optimum. ``tenth_share``, ``tenth_mean_r``: the same with a tenth of
    each weight left out; near 1 where the derivative is right and the run bends before a whole sample is gone.
    """
    listed = []
    for variant, loss, one in ((v, loss, one) for v, of in seeds.items() for one in of for loss in LOSSES):
        trained = one["losses"][loss]
        r = np.asarray(trained["estimators"]["unrolled"].get("r", [0.0]))
        if (r > CLOSE).mean() < enough:
            tenth = np.asarray(trained.get("a_tenth_left_out", {"r": [0.0]})["r"])
            figures = {"share": (r > CLOSE).mean(), "mean_r": r.mean(), "accuracy": trained["accuracy"]}
            figures |= {"tenth_share": (tenth > CLOSE).mean(), "tenth_mean_r": tenth.mean()}
            listed.append({"variant": variant, "seed": one["seed"], "loss": loss, **_floats(figures)})
    return listed
