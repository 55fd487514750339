"""Numbers and sentences of a page: the answer, the verdict on the estimators, and how figures are written."""

import shlex
from collections.abc import Sequence

from crossloss.display import count, duration, effect, percent, probability, several, spread, value
from crossloss.display import agreement as _two
from crossloss.display import signed as _sign
from crossloss.objectives import RareWords
from crossloss.report.data import Explained, FidelityRow, ObjectiveReport, Report
from crossloss.validation.spread import Spread

__all__ = ["count", "duration", "effect", "percent", "probability", "several", "spread", "value"]


def starts(name: str, over: Spread | None) -> str:
    """Say how far an objective depends on where the vectors started; "" of one start."""
    if over is None or len(over.values) < 2:
        return ""
    said = f"From {len(over.values)} starts {name} is {spread(over.values)}."
    if over.exceeds_value:
        said += " The starts differ by more than its size: not even its sign is a property of the corpus."
    return said


def spreads(report: Report) -> str:
    """Write every objective with its spread over starts; "" where it was not measured."""
    measured = [(o, o.starts) for o in report.objectives if o.starts and len(o.starts.values) > 1]
    if not measured:
        return ""
    each = ", ".join(f"{o.name} {spread(over.values)}" for o, over in measured)
    unsure = [o.name for o, over in measured if over.exceeds_value]
    said = f"Over {len(measured[0][1].values)} starts of the initial vectors (mean ± sd): {each}."
    if unsure:
        said += f" Of {' and '.join(unsure)} not even the sign is a property of the corpus."
    return said


def strongest_checked(name: str, pearson: float, slope: float, number: int) -> str:
    """Say how well predictions of the strongest sentences held, each left out alone."""
    said = f"Each of the {number} strongest of {name} was left out alone and the model trained again: correlation of "
    said += f"predicted with retrained effect {_two(pearson)}, slope {_two(slope)}."
    if not 0.8 <= slope <= 1.25:
        said += f" Single effects are {'larger' if slope > 1 else 'smaller'} than predicted."
    return said


def rare(name: str, found: RareWords | None) -> str:
    """Name the rare words of an objective and what it is without them; "" where there are none."""
    if found is None:
        return ""
    return found.sentence(name)


def command(verb: str, report: Report, objective: str = "") -> str:
    """Write the command of a verb for this run, quoted for a shell."""
    named = f" --objective {shlex.quote(objective)}" if objective else ""
    return f"crossloss {verb} {shlex.quote(report.run)}{named}"


def title(report: Report) -> str:
    """Write the question that the page answers."""
    first, *more = report.objectives
    if more:
        return f"Which sentences made these {len(report.objectives)} scores?"
    return f"Which sentences made {first.name} {value(first.effect)}?"


def answer(report: Report, objective: ObjectiveReport) -> str:
    """Write the answer for one objective: what removing the plan does, as predicted and as retrained."""
    plan, name, now = objective.plan, objective.name, value(objective.effect)
    if plan is None:
        scored = "no plan to change it yet" if objective.amplifiers else "its sentences are not scored yet"
        return f"{name} is {now}; {scored}."
    if plan.size == 0 and not plan.reached:
        return f"{name} is {now}; no removal that was tried brings it nearer to {value(plan.target)}."
    if plan.size == 0:
        return f"{name} is {now}, already at the target of {value(plan.target)}: nothing to remove."
    removing = f"Removing {count(plan.size)} of {several(report.n_samples, 'sentence')}"
    short = "" if plan.reached else f", short of the target of {value(plan.target)}"
    if plan.retrained is None:
        said = f"{removing} is predicted to bring {name} from {now} to {value(plan.predicted)}"
        return f"{said}{short}; not yet retrained without them."
    said = f"{removing} brings {name} from {now} to {value(plan.retrained)} (predicted {value(plan.predicted)}){short}"
    if not plan.other_seeds:
        return f"{said}."
    before, after = zip(*plan.other_seeds, strict=True)
    seeds = several(len(after), "other start")
    return f"{said}; from {seeds}, which it was not fitted to, from {spread(before)} to {spread(after)}."


def answers(report: Report) -> str:
    """Write the answer for several objectives in one sentence: what their plans do, each with its own."""
    objectives = report.objectives
    plans = [(o, o.plan) for o in objectives if o.plan is not None and o.plan.size]
    if not plans:
        values = ", ".join(f"{o.name} {value(o.effect)}" for o in objectives)
        return f"They are {values}; there is no plan to change them yet."
    sizes = sorted({plan.size for _, plan in plans})
    removed = count(sizes[0]) if len(sizes) == 1 else f"{count(sizes[0])} to {count(sizes[-1])}"
    targets = {plan.target for _, plan in plans}
    target = f"its target of {_sign(f'{targets.pop():g}')}" if len(targets) == 1 else "its target"
    who = "each" if len(plans) == len(objectives) else f"{len(plans)} of them"
    short = [o.name for o, plan in plans if not plan.reached]
    retrained = [(o, plan) for o, plan in plans if plan.retrained is not None]
    brings = "brings" if retrained else "is predicted to bring"
    said = f"Removing {removed} of {several(report.n_samples, 'sentence')} {brings} {who} to {target}"
    if short:
        said += f" ({', '.join(short)} only nearer to it)"
    if not retrained:
        return f"{said}; not yet retrained without them."
    each = ", ".join(f"{o.name} {value(p.retrained)} (predicted {value(p.predicted)})" for o, p in retrained)  # type: ignore[arg-type]
    said = f"{said}. Retrained: {each}."
    others = [(o, [after for _, after in plan.other_seeds]) for o, plan in retrained if plan.other_seeds]
    if not others:
        return said
    seeds = several(len(others[0][1]), "other start")
    return f"{said} From {seeds}, not fitted to: {', '.join(f'{o.name} {spread(after)}' for o, after in others)}."


def strongest(objective: ObjectiveReport) -> Explained | None:
    """Pick the sentence to show first: the strongest that the plan removes, of those trained on."""
    plan = objective.plan
    below = plan is not None and plan.target > objective.effect
    ranked = objective.mitigators if below else objective.amplifiers
    return next((s for s in ranked if not s.candidate), None)


def trust(report: Report) -> str:
    """Write how far the scores were checked against retraining, "" where nobody has."""
    rows = [(o.name, row) for o in report.objectives for row in o.fidelity if row.estimator == "unrolled"]
    if not rows:
        return ""
    # Never pooled: one size speaks for the page, the one that most objectives share, first come first.
    shares = [row.subset_share for _, row in rows]
    share = max(shares, key=shares.count)
    chosen = [(name, row) for name, row in rows if row.subset_share == share]
    subsets = {row.subsets for _, row in chosen}
    if len(chosen) == 1:
        _, row = chosen[0]
        each = interval(row.pearson, row.pearson_low, row.pearson_high)
    else:
        each = ", ".join(f"{name} {_two(row.pearson)}" for name, row in chosen)
    times = several(subsets.pop(), "time") if len(subsets) == 1 else "many times"
    return (
        f"Checked by retraining {times} without a random {percent(share)} of the sentences; "
        f"correlation of predicted with found change: {each}."
    )


def verdicts(rows: Sequence[FidelityRow]) -> list[str]:
    """Say, for each subset size, which estimator predicted retraining best, in plain words."""
    said = []
    for share in sorted({row.subset_share for row in rows}):
        of_size = [row for row in rows if row.subset_share == share]
        own = next((row for row in of_size if row.estimator == "unrolled"), None)
        others = sorted((r for r in of_size if r is not own), key=lambda r: -r.pearson)
        if own is None or not others:
            continue
        head = f"Without {percent(share)} of the sentences"
        better = [r for r in others if r.pearson > own.pearson]
        if not better:
            best = others[0]
            said.append(
                f"{head}, unrolled predicted retraining best: Pearson {_two(own.pearson)}, against "
                f"{_two(best.pearson)} for {best.estimator}{_overlap(best, own)}."
            )
        for r in better:
            said.append(
                f"{head}, {r.estimator} did better than unrolled: Pearson {_two(r.pearson)} against "
                f"{_two(own.pearson)}{_overlap(r, own)}."
            )
    return said


def _overlap(a: FidelityRow, b: FidelityRow) -> str:
    meet = a.pearson_low <= b.pearson_high and b.pearson_low <= a.pearson_high
    return ", but their intervals overlap" if meet else ""


def interval(middle: float, low: float, high: float) -> str:
    """Write a figure with its interval: 0.98 (0.95 to 0.99)."""
    return f"{_two(middle)} ({_two(low)} to {_two(high)})"
