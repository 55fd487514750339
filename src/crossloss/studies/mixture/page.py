"""The mixture study on paper: metrics.json, tables as CSV, figures as SVG and one self-contained page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossloss import files
from crossloss.studies.mixture.data import MEANS, draw
from crossloss.studies.mixture.figures import correlations, strongest
from crossloss.studies.mixture.model import LOSSES
from crossloss.studies.mixture.study import LEVELS, MAIN, PROTOCOL, Found, metrics, rows, short
from crossloss.studies.pages import Table, write_study

PAPER = {"cross": ((1.0, 0.52, 0.44), 0.655), "matched": ((1.0, 0.38, 0.36), 0.58)}
"""Share of points with r above .8 by class and on average (paper Sec. 4.1): test points were the training points."""

LOSS_TITLES = {
    "cross": "Cross loss: trained by clustering, asked about likelihood",
    "matched": "Matched loss: trained with the likelihood it is asked about",
}

Headed = tuple[str, Table]
"""Heading of the page, table."""


def write(found: dict[str, list[Found]], out: Path, command: str) -> Path:
    """Write metrics.json, study-mixture.html, .csv, and -strongest.svg and -correlations.svg; the page's path.

    Raises
    ------
    UserError
        The extra ``report`` is not installed.
    """
    files.write_json(out / "metrics.json", metrics(found))
    tables = protocol_tables(found[PROTOCOL]) if PROTOCOL in found else study_tables(found)
    drawn, one = {}, None
    if MAIN in found:
        one = shown(found[MAIN])
        points, _ = draw(one["seed"], one["setup"]["each"])
        drawn = {"strongest": strongest(one["example"], points), "correlations": correlations(one["example"])}
    return write_study(
        out, "mixture", drawn, [table for _, table in tables],
        tables=tables,
        seeds=[seed["seed"] for seed in next(iter(found.values()))],
        protocol=PROTOCOL in found,
        one=one,
        command=command,
    )  # fmt: skip


def shown(found: Sequence[Found]) -> Found:
    """The seed of the figures: the first that found the clusters with both losses, else the first."""

    def right(one: Found) -> bool:
        return all(one["losses"][loss]["accuracy"] > 0.9 for loss in LOSSES)

    return next(filter(right, found), found[0])


def study_tables(found: dict[str, list[Found]]) -> list[Headed]:
    """Every estimator for both losses, the ablation, what fell short and what was refused."""
    shares = [f"r > {level}, {who}" for level in LEVELS for who in (*_classes(), "all")]
    headings = ["estimator", *shares, "worst seed, r > 0.8", "mean r", "slope", "seconds"]
    tables: list[Headed] = []
    refusals = []
    for loss in LOSSES:
        body = []
        for row in rows(found[MAIN], loss):
            f = row["figures"]
            refusals += [[loss, row["estimator"], sentence] for sentence in row["refused"]]
            if not f:
                continue
            cells = [percent(f[_key(level, c)]) for level in LEVELS for c in (*range(len(MEANS)), None)]
            worst = percent([min(f["share_above_0.8"])])
            note = row["estimator"] + (f" ({len(row['seeds'])} seeds)" if row["refused"] else "")
            body.append([note, *cells, worst, number(f["mean_r"]), number(f["slope"], 2), number(f["seconds"], 1)])
        by_class, mean = PAPER[loss]
        body.append(
            ["the paper", *(percent([share]) for share in by_class), percent([mean]), *[""] * (len(headings) - 5)]
        )
        retrain = number([one["losses"][loss]["retrain_seconds"] for one in found[MAIN]], 1)
        caption = (
            f"Trained with the {loss} loss: share of held-out points whose scores correlate with retraining, mean and "
            f"standard deviation over seeds. Retraining without each sample: {retrain} s"
        )
        tables.append((LOSS_TITLES[loss], (caption, headings, body)))
    tables.append(_ablation(found))
    fallen = [
        [f["variant"], str(f["seed"]), f["loss"], percent([f["share"]]), number([f["mean_r"]]), f["reason"]]
        for f in short(found)
    ]
    if fallen:
        heads = ["variant", "seed", "loss", "r > 0.8", "mean r", "why"]
        tables.append(
            (
                "Seeds that fall short",
                ("Seeds with unrolled scores above r .8 on less than 99 % of held-out points", heads, fallen),
            )
        )
    if refusals:
        tables.append(("Refused", ("What does not apply, and why", ["loss", "estimator", "why"], refusals)))
    return tables


def _ablation(found: dict[str, list[Found]]) -> Headed:
    body = []
    for seeds in found.values():
        setup = seeds[0]["setup"]
        for loss in LOSSES:
            for row in rows(seeds, loss):
                if row["figures"] and row["estimator"] in (
                    "unrolled", "unrolled-p-constant", "gradient-dot", "lissa-published",
                ):  # fmt: skip
                    f = row["figures"]
                    body.append(
                        [
                            f"{setup['activation']}, {setup['optimiser']}", loss, row["estimator"],
                            percent(f["share_above_0.8"]), percent([min(f["share_above_0.8"])]), number(f["mean_r"]),
                        ]
                    )  # fmt: skip
    caption = "Ablation: activation, optimiser, and the target P constant or differentiated"
    return (
        "What makes scores agree with retraining",
        (caption, ["run", "loss", "estimator", "r > 0.8", "worst seed", "mean r"], body),
    )


def protocol_tables(found: Sequence[Found]) -> list[Headed]:
    """Both losses against both ground truths, classes as they are and sorted by their share."""
    body = []
    for loss in LOSSES:
        for row in rows(found, loss):
            f = row["figures"]
            estimator, truth = row["estimator"].split(".")
            by_class = np.array([f[_key(0.8, c)] for c in range(len(MEANS))])
            body.append(
                [
                    loss, estimator, truth, *(percent(shares) for shares in by_class),
                    *(percent(shares) for shares in -np.sort(-by_class, axis=0)),
                    percent(f["share_above_0.8"]), number(f["mean_r"]),
                ]
            )  # fmt: skip
        by_class_paper, mean = PAPER[loss]
        body.append(
            [loss, "the paper", "published", "", "", "", *(percent([s]) for s in by_class_paper), percent([mean]), ""]
        )
    headings = ["loss", "estimator", "ground truth", *_classes(), "best class", "second", "third", "all", "mean r"]
    caption = "Share of points with r > .8, mean and standard deviation over seeds"
    return [("Published and corrected ground truth", (caption, headings, body))]


def _classes() -> list[str]:
    return [f"class {c}" for c in range(len(MEANS))]


def _key(level: float, c: int | None) -> str:
    return f"share_above_{level}" if c is None else f"class_{c}.share_above_{level}"


def percent(values: Any) -> str:
    """Mean and standard deviation of shares, in percent."""
    values = 100 * np.asarray(values)
    return f"{values.mean():.1f} %" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else "")


def number(values: Any, digits: int = 3) -> str:
    """Mean and standard deviation."""
    values = np.asarray(values)
    return f"{values.mean():.{digits}f}" + (f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else "")
