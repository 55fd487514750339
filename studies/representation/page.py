"""The study on paper: values beside their spread, agreement with retraining, plans, rows, and a table of choices."""

from collections.abc import Mapping
from typing import Any

import crossloss as cl
from crossloss.utils.display import agreement, effect, percent, probability, value
from studies.representation.measure import over_starts
from studies.tables import Table

SMALL = 0.01
"""Below this a value is written with more digits."""


def number(x: float) -> str:
    """A value, or one that two decimals would show as nothing."""
    return value(x) if abs(x) >= SMALL else effect(x)


def parts(title: str, found: Mapping[str, Any]) -> list[Table]:
    """Tables of one model."""
    made = [
        _values(title, found), _lds(title, found), _plans(title, found), _unseen(title, found), _choices(title, found),
    ]  # fmt: skip
    for label, rows in found["rows_shown"].items():
        shown = [[effect(row["effect"]), str(row["sample"]), row["text"]] for row in rows]
        note = "Marked {+so}: this token’s loss raised the value, [-so]: lowered it." if not found["pretrained"] else ""
        heads = ("effect if removed", "row", "sentence")
        made.append(Table(f"{title}: rows that moved {label} most, either way", heads, shown, note, printed=False))
    return made


def verdict(found: Mapping[str, Any], name: str, kind: str = "objectives") -> str:
    """Whether a value is larger than the spread over starts, and of a pretrained model what the training changed.

    As ``cl.Spread`` has it: of the run itself and on average over the starts.
    """
    over, before = over_starts(found, name, kind), found["at"]["before"][kind][name]
    if len(over.values) < 2:
        return "one start only"
    small = ["value"] if over.exceeds_value else []
    changed = cl.Spread(tuple(after - before for after in over.values))
    small += ["change"] if found["pretrained"] and changed.exceeds_value else []
    return f"{' and '.join(small)} smaller than the spread" if small else "larger than the spread"


def _over(found: Mapping[str, Any], name: str, kind: str) -> str:
    over = over_starts(found, name, kind)
    return f"{number(over.mean)} ± {number(over.sd).lstrip('+')}"


def _values(title: str, found: Mapping[str, Any]) -> Table:
    rows = []
    for label in found["labels"]:
        before, after = (found["at"][side]["objectives"][label] for side in ("before", "after"))
        p = found["p_values"].get(label)
        rows.append([label, number(before), number(after), _over(found, label, "objectives"), probability(p),
                     verdict(found, label)])  # fmt: skip
    for name in found["at"]["after"]["quality"]:
        before, after = (found["at"][side]["quality"][name] for side in ("before", "after"))
        rows.append([name, number(before), number(after), _over(found, name, "quality"), "–", ""])
    starts = len(found["starts"]) + 1
    heads = (
        "",
        "before training",
        "after",
        f"over {starts} starts",
        "p, two-sided, over sentences",
        "beside the spread",
    )
    return Table(f"{title}: values", heads, rows)


def _lds(title: str, found: Mapping[str, Any]) -> Table:
    rows = []
    for row in sorted(found.get("lds", ()), key=lambda r: (found["labels"].index(r["label"]), r["share"])):
        cells = [
            f"{agreement(row[key])} [{agreement(row[f'{key}_low'])}, {agreement(row[f'{key}_high'])}]"
            for key in ("spearman", "pearson")
        ]
        left = f"{row['subsets']} x {percent(row['share'])}"
        rows.append([row["label"], left, row["estimator"], *cells, agreement(row["slope"])])
    heads = ("objective", "left out", "estimator", "Spearman (LDS)", "Pearson", "slope")
    smooth = found.get("smoothness")
    note = "" if smooth is None else f"Metasmoothness of the run: {agreement(smooth)}."
    if left := found.get("left_in"):
        note += f" Not measured, as it is no whole row: {', '.join(map(percent, left))} left out."
    return Table(f"{title}: predicted and retrained changes (95 % intervals)", heads, rows, note)


def _plans(title: str, found: Mapping[str, Any]) -> Table:
    rows, after = [], found["at"]["after"]
    for method, plan in found["plans"].items():
        out = f"{plan['size']:,} of {found['rows']:,} out, {percent(plan['moved'])} of the weight"
        first = found["labels"][0]
        reached = "" if plan["reached"] else ", not reached"
        for kind, names in (("objectives", found["labels"]), ("quality", list(after["quality"]))):
            for name in names:
                aim = f"{number(plan['target'])}{reached}" if name == first else "–"
                told = number(plan["predicted"]) if name == first else "–"
                then = plan["after"][kind][name]
                rows.append([f"{method}: {out}", name, number(after[kind][name]), aim, told, number(then)])
    heads = ("plan", "", "before", "target", "predicted", "retrained")
    return Table(f"{title}: plans, retrained", heads, rows)


def _unseen(title: str, found: Mapping[str, Any]) -> Table:
    rows = []
    for one in found["unseen"]:
        for side in ("before", *found["plans"]):
            made = {**one[side]["objectives"], **one[side]["quality"]}
            rows.append([str(one["seed"]), "untouched" if side == "before" else side, *map(number, made.values())])
    heads = ("seed", "plan", *found["labels"], *found["at"]["after"]["quality"])
    return Table(f"{title}: the same plans on seeds that they were not fitted to", heads, rows)


def _choices(title: str, found: Mapping[str, Any]) -> Table:
    rows = []
    for name in found["at"]["after"]["variants"]:
        measured = [found["at"]["before"], found["at"]["after"], *found["starts"]]
        if any(one["variants"][name] is None for one in measured):
            rows.append([name, "", "", "", "undefined: all words associated alike, up to rounding"])
            continue
        before, after = (found["at"][side]["variants"][name] for side in ("before", "after"))
        rows.append([name, number(before), number(after), _over(found, name, "variants"),
                     verdict(found, name, "variants")])  # fmt: skip
    heads = ("gender and career, by", "before training", "after", f"over {len(found['starts']) + 1} starts",
             "beside the spread")  # fmt: skip
    return Table(f"{title}: SEAT by pooling, layer, templates and start", heads, rows)
