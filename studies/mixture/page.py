"""The study on paper: its tables, and the paper's Figs. 2 and 5."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import linregress

from studies.mixture.estimators import PUBLISHED
from studies.mixture.model import CROSS, LOSSES, MEANS, draw
from studies.mixture.study import LEVELS, MAIN, PROTOCOL, Seeds, rows, short
from studies.tables import Figure, Table, figure

PAPER = {"cross": (1.0, 0.52, 0.44, 0.655), "matched": (1.0, 0.38, 0.36, 0.58)}
"""Share of points with r above .8 by class and on average (paper Sec. 4.1): test points were the training points."""
TITLES = {
    "cross": "Trained with the cross loss, by clustering, and asked about likelihood",
    "matched": "Trained with the matched loss, the likelihood it is asked about",
}
NOTES = (
    "Three Gaussians, clustered by a small net; the question is how well scores tell what leaving a training sample "
    "out does to the likelihood of a held-out point. Every sample is left out and the model retrained, so that every "
    "answer is known. “Cross” is trained with deep embedded clustering and asked about likelihood; “matched” is "
    "trained with the likelihood itself."
)
PROTOCOL_NOTES = (
    "The published code takes two steps of Adam from noisy centres, tests on the training points, and compares the "
    "scores of both losses with retraining by likelihood alone, one Adam object carried through all retrainings. "
    "Corrected: each loss is retrained with itself, from a fresh Adam."
)
STRONGEST = 10
COLOURS = {"cross": ("#0072b2", "#d55e00"), "matched": ("#c0392b", "#7b3294")}
"""Of points and line, as in the paper: blue and orange, red and purple."""
CLASSES = ("#0072b2", "#009e73", "#8c6d31")
BY_CLASS, CLASS_KEYS = ([f"class{by}{c}{end}" for c in range(len(MEANS))] for by, end in ((" ", ""), ("_", ".")))
FALLEN_HEADS = ("r > 0.8", "r > 0.8 with a tenth of each weight left out", "points in their cluster")
FALLEN = "Seeds with unrolled scores above r .8 on less than 99 % of held-out points"


def page(seeds: Seeds) -> tuple[str, list[str], list[Table | Figure]]:
    """Title, notes, tables and figures."""
    every = f"Seeds: {', '.join(str(one['seed']) for one in next(iter(seeds.values())))}."
    if PROTOCOL in seeds:
        title = "The paper’s mixture protocol, against two ground truths"
        return title, [PROTOCOL_NOTES, every], [_protocol_table(seeds[PROTOCOL])]
    right = [s for s in seeds[MAIN] if all(s["losses"][loss]["accuracy"] > 0.9 for loss in LOSSES)]
    shown = (right or seeds[MAIN])[0]
    fallen = []
    for f in short(seeds):
        shares = (percent([f[name]]) for name in ("share", "tenth_share", "accuracy"))
        fallen.append([f["variant"], str(f["seed"]), f["loss"], *shares])
    refused = [[loss, r["estimator"], why] for loss in LOSSES for r in rows(seeds[MAIN], loss) for why in r["refused"]]
    parts = [
        *(_loss_table(seeds[MAIN], loss) for loss in LOSSES),
        _ablation(seeds),
        Table(FALLEN, ["variant", "seed", "loss", *FALLEN_HEADS], fallen, printed=False),
        Table("What does not apply, and why", ["loss", "estimator", "why"], refused, printed=False),
        strongest(shown),
        correlations(shown["example"]),
    ]
    return "Mixture study: scores against retraining", [NOTES, every], parts


def _loss_table(seeds: Sequence[dict[str, Any]], loss: str) -> Table:
    shares = [f"r > {level}, {who}" for level in LEVELS for who in (*BY_CLASS, "all")]
    body = []
    for row in rows(seeds, loss):
        if f := row["figures"]:
            cells = [percent(f[f"{who}share_above_{level}"]) for level in LEVELS for who in (*CLASS_KEYS, "")]
            name = row["estimator"] + (f" ({len(f['mean_r'])} seeds)" if row["refused"] else "")
            last = number(f["mean_r"]), number(f["slope"], 2), number(f["seconds"], 1)
            body.append([name, *cells, percent([min(f["share_above_0.8"])]), *last])
    body.append(["the paper", *(percent([share]) for share in PAPER[loss]), *[""] * len(shares)])
    seconds = number([one["losses"][loss]["retrain_seconds"] for one in seeds], 1)
    notes = (
        "Share of held-out points whose scores correlate with retraining, mean and standard deviation over seeds. "
        f"Retraining without each sample: {seconds} s."
    )
    return Table(
        TITLES[loss], ["estimator", *shares, "worst seed, r > 0.8", "mean r", "slope", "seconds"], body, notes, False
    )


def _ablation(seeds: Seeds) -> Table:
    body = []
    for measured in seeds.values():
        setup = measured[0]["setup"]
        for loss in LOSSES:
            for row in rows(measured, loss):
                if f := row["figures"]:
                    share = f["share_above_0.8"]
                    cells = percent(share), percent([min(share)]), number(f["mean_r"])
                    body.append([f"{setup['activation']}, {setup['optimiser']}", loss, row["estimator"], *cells])
    notes = "Ablation: activation, optimiser, and the target P constant or differentiated."
    headings = ["run", "loss", "estimator", "r > 0.8", "worst seed", "mean r"]
    return Table("What makes scores agree with retraining", headings, body, notes)


def _protocol_table(seeds: Sequence[dict[str, Any]]) -> Table:
    """Both losses against both ground truths, classes as they are and sorted by their share."""
    body = []
    for loss in LOSSES:
        for row in rows(seeds, loss):
            f = row["figures"]
            by_class = np.array([f[f"{who}share_above_0.8"] for who in CLASS_KEYS])
            shares = [percent(share) for share in (*by_class, *-np.sort(-by_class, axis=0), f["share_above_0.8"])]
            body.append([loss, *row["estimator"].split("."), *shares, number(f["mean_r"])])
        paper = [percent([share]) for share in PAPER[loss]]
        body.append([loss, "the paper", "published", "", "", "", *paper, ""])
    headings = ["loss", "estimator", "ground truth", *BY_CLASS, "best class", "second", "third", "all", "mean r"]
    notes = "Share of points with r > .8, mean and standard deviation over seeds."
    return Table("Published and corrected ground truth", headings, body, notes)


def strongest(seed: dict[str, Any]) -> Figure:
    """Fig. 2: the ten strongest amplifiers and mitigators of one held-out point; leaving an amplifier out lowers F."""
    example, points = seed["example"], draw(seed["seed"], seed["setup"]["each"])[0]

    def fill(axes: Any, panel: tuple[str, str]) -> None:
        kind, title = panel
        x, order = points.x.numpy(), np.argsort(example[CROSS][kind])
        for c, colour in enumerate(CLASSES):
            of = x[(points.y == c).numpy()].T
            axes.plot(*of, "s", color=colour, alpha=0.35, markersize=5, label=f"class {c}")
        edge = {"markersize": 9, "markeredgecolor": "black", "markeredgewidth": 0.6}
        axes.plot(*x[order[:STRONGEST]].T, "^", color="#d55e00", label="amplifies its loss", **edge)
        axes.plot(*x[order[-STRONGEST:]].T, "v", color="#56b4e9", label="mitigates it", **edge)
        axes.plot(*example["x"], "*", color="black", markersize=14, label="held-out point")
        axes.set_title(title, loc="left")
        axes.set_aspect("equal")
        if kind == "retrained":
            axes.legend(fontsize=8, loc="upper left", frameon=True)

    notes = (
        f"The held-out point (a star, class {example['class']}, seed {seed['seed']}) that leaving samples out moves "
        "most. Left: by retraining; right: by score. Trained with the cross loss."
    )
    panels = (("retrained", "by retraining"), ("unrolled", "by score"))
    return figure("strongest", "The strongest samples of one point (the paper’s Fig. 2)", notes, panels, fill)


def correlations(example: dict[str, Any]) -> Figure:
    """Fig. 5: predicted against retrained effects on one held-out point, both losses, with lines of best fit."""

    def fill(axes: Any, estimator: str) -> None:
        for loss, (points, line) in COLOURS.items():
            x, y = np.asarray(example[loss]["retrained"]), np.asarray(example[loss][estimator])
            fit, ends = linregress(x, y), np.array([x.min(), x.max()])
            axes.plot(x, y, "+", color=points, markersize=6)
            label = f"{loss}: r = {fit.rvalue:.3f}, p = {fit.pvalue:.1e}"
            axes.plot(ends, fit.intercept + fit.slope * ends, color=line, label=label)
        axes.set_title(estimator, loc="left")
        axes.set_xlabel("change of its loss by retraining without the sample")
        axes.set_ylabel("predicted")
        axes.legend(fontsize=8, frameon=True)

    notes = "The same point; each mark is one training sample left out. LiSSA as published is in no unit."
    title = "Predicted against retrained (the paper’s Fig. 5)"
    return figure("correlations", title, notes, ("unrolled", PUBLISHED), fill)


def percent(values: Any) -> str:
    """Mean and standard deviation of shares, in percent."""
    return number(100 * np.asarray(values), 1, " %")


def number(values: Any, digits: int = 3, unit: str = "") -> str:
    """Mean and standard deviation."""
    values = np.asarray(values)
    deviation = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{unit}{deviation}"
