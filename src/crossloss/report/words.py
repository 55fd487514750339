"""Sentences of a page: the answer, and how far it can be trusted."""

from collections.abc import Iterable, Mapping, Sequence

from crossloss.models.skipgram.from_word2vec import TRUST
from crossloss.plans.plan import Plan
from crossloss.utils.display import agreement, count, percent, several, signed, spread, value
from crossloss.validation.spread import Spread
from crossloss.validation.validation import Compared, PlanCheck

UNITLESS = ("gradient-dot", "tracin", "less", "co-occurrence", "bm25", "embedding-cosine")
"""Estimators whose scores have no unit."""


def all_starts(names: Iterable[str], over: Mapping[str, Spread]) -> str:
    """Figures of these names with their spread over starts; "" where it was not measured."""
    measured = {name: over[name] for name in names if name in over and len(over[name].values) > 1}
    if not measured:
        return ""
    each = ", ".join(f"{name} {spread(figure.values)}" for name, figure in measured.items())
    number = len(next(iter(measured.values())).values)
    text = f"Over {number} starts of the initial parameters (mean ± sd): {each}."
    if unsure := [name for name, figure in measured.items() if figure.exceeds_value]:
        text += f" Of {' and '.join(unsure)} not even the sign is a property of the data."
    return text


def title(values: Mapping[str, float], noun: str) -> str:
    """The question that a page answers."""
    scores = (
        f"these {len(values)} scores" if len(values) > 1 else " ".join(f"{n} {value(x)}" for n, x in values.items())
    )
    return f"Which {noun}s made {scores}?"


def retrained(name: str, plan: Plan, check: PlanCheck | None) -> float | None:
    """The objective after training with its plan; None where nobody has."""
    return plan.results.get(name) if check is None else check.retrained


def acts(plan: Plan) -> bool:
    """Whether a plan changes anything."""
    return bool(plan.size) or plan.method != "remove"


def _trained(plan: Plan, noun: str) -> str:
    return several(int((plan.before > 0).sum()), noun)


def answer(
    name: str, values: Mapping[str, float], plan: Plan | None, check: PlanCheck | None = None, noun: str = "sentence"
) -> str:
    """The answer for one objective: what its plan does, as predicted and as retrained."""
    if plan is None:
        return f"{name} is {value(values[name])}; no plan to change it yet."
    now, target = value(plan.values[name]), value(plan.targets[name])
    if not acts(plan) and not plan.reached:
        return f"{name} is {now}; no removal that was tried brings it nearer to {target}."
    if not acts(plan):
        return f"{name} is {now}, already at the target of {target}: nothing to remove."
    trained = _trained(plan, noun)
    doing, it = f"Removing {count(plan.size)} of {trained}", "out them"
    if plan.method != "remove":
        swap = plan.settings.way == "swap"
        what = f"{several(len(plan.added), noun)} exchanged" if swap else f"{count(plan.size)} of {trained} out"
        doing, it = f"The plan {plan.method} (weight changed {percent(plan.moved)}, {what})", " it"
    short = "" if plan.reached else f", short of the target of {target}"
    after, predicted = retrained(name, plan, check), value(plan.predictions[name])
    if after is None:
        return f"{doing} is predicted to bring {name} from {now} to {predicted}{short}; not yet retrained with{it}."
    mean = f", mean of {plan.settings.starts} starts" if plan.settings.starts > 1 else ""
    text = f"{doing} brings {name} from {now} to {value(after)} (predicted {predicted}{mean}){short}"
    if not check or not check.other_seeds:
        return f"{text}."
    before, others = zip(*check.other_seeds, strict=True)
    seeds = several(len(others), "other start")
    return f"{text}; from {seeds}, which it was not fitted to, from {spread(before)} to {spread(others)}."


def answers(
    values: Mapping[str, float], plans: Mapping[str, Plan], checks: Mapping[str, PlanCheck], noun: str = "sentence"
) -> str:
    """The answer for several objectives in one sentence: what their plans do."""
    if len(values) == 1:
        (name,) = values
        return answer(name, values, plans.get(name), checks.get(name), noun)
    acting = {name: plans[name] for name in values if name in plans and acts(plans[name])}
    if not acting:
        listed = ", ".join(f"{name} {value(now)}" for name, now in values.items())
        return f"They are {listed}; there is no plan to change them yet."
    methods, sizes = ({getattr(plan, key) for plan in acting.values()} for key in ("method", "size"))
    trained = _trained(next(iter(acting.values())), noun)
    head = f"Removing {' to '.join(map(count, sorted({min(sizes), max(sizes)})))} of {trained}"
    if methods != {"remove"}:
        head = f"Changing the weights of {trained} ({', '.join(sorted(methods))})"
    targets = {plan.targets[name] for name, plan in acting.items()}
    target = f"its target of {signed(f'{targets.pop():g}')}" if len(targets) == 1 else "its target"
    who = "each" if len(acting) == len(values) else f"{len(acting)} of them"
    after = {name: retrained(name, plan, checks.get(name)) for name, plan in acting.items()}
    measured = {name: x for name, x in after.items() if x is not None}
    text = f"{head} {'brings' if measured else 'is predicted to bring'} {who} to {target}"
    if short := [name for name, plan in acting.items() if not plan.reached]:
        text += f" ({', '.join(short)} only nearer to it)"
    if not measured:
        return f"{text}; not yet retrained."
    each = ", ".join(f"{n} {value(x)} (predicted {value(acting[n].predictions[n])})" for n, x in measured.items())
    text = f"{text}. Retrained: {each}."
    others = {n: [last for _, last in checks[n].other_seeds] for n in measured if n in checks and checks[n].other_seeds}
    if not others:
        return text
    seeds = several(len(next(iter(others.values()))), "other start")
    return f"{text} From {seeds}, not fitted to: {', '.join(f'{n} {spread(v)}' for n, v in others.items())}."


def guide(estimator: str, noun: str) -> tuple[str, str]:
    """What the sign of an effect is; then what its unit is."""
    sign = f"A positive effect if removed means: removing this {noun} is predicted to raise the score."
    if estimator in UNITLESS:
        return sign, f"A negative one means removal lowers it. Effects of {estimator} have no unit: their order counts."
    return sign, "A negative one means removal lowers it. The unit is the score’s own."


def elsewhere(estimator: str, kind: str) -> str:
    """How far scores of a model that was trained elsewhere can be trusted."""
    text = f"This model was trained elsewhere, and is scored ({estimator}) at its final parameters alone."
    if kind == "skip-gram":
        return f"{text} {TRUST}"
    return f"{text} Use such scores as a ranking, where its training had converged, and check a few by retraining."


def trust(fidelity: Mapping[str, Sequence[Compared]], estimator: str = "unrolled", noun: str = "sentence") -> str:
    """How far the scores of an estimator were checked against retraining, "" where nobody has."""
    rows = [(name, row) for name, compared in fidelity.items() for row in compared if row.estimator == estimator]
    if not rows:
        return ""
    # Never pooled: one size speaks for the page, the one that most objectives share, first come first.
    shares = [row.share for _, row in rows]
    share = max(shares, key=shares.count)
    chosen = [(name, row.fidelity) for name, row in rows if row.share == share]
    subsets = {row.subsets for _, row in chosen}
    each = ", ".join(f"{name} {agreement(row.pearson)}" for name, row in chosen)
    if len(chosen) == 1:
        row = chosen[0][1]
        each = interval(row.pearson, row.pearson_low, row.pearson_high)
    times = several(subsets.pop(), "time") if len(subsets) == 1 else "many times"
    return (
        f"Checked by retraining {times} without a random {percent(share)} of the {noun}s; "
        f"correlation of predicted with retrained change: {each}."
    )


def verdicts(rows: Sequence[Compared], estimator: str = "unrolled", noun: str = "sentence") -> list[str]:
    """For each subset size, which estimator predicted retraining best."""
    texts = []
    for share in sorted({row.share for row in rows}):
        of_size = [row for row in rows if row.share == share]
        own = next((row for row in of_size if row.estimator == estimator), None)
        others = sorted((r for r in of_size if r is not own), key=lambda r: -r.fidelity.pearson)
        if own is None or not others:
            continue
        head, mine = f"Without {percent(share)} of the {noun}s", own.fidelity
        better = [r for r in others if r.fidelity.pearson > mine.pearson]
        for r in better or others[:1]:
            f = r.fidelity
            meet = f.pearson_low <= mine.pearson_high and mine.pearson_low <= f.pearson_high
            overlap = ", but their intervals overlap" if meet else ""
            own_r, other_r = agreement(mine.pearson), agreement(f.pearson)
            texts.append(
                f"{head}, {r.estimator} did better than {estimator}: Pearson {other_r} against {own_r}{overlap}."
                if better
                else f"{head}, {estimator} predicted retraining best: Pearson {own_r}, against {other_r} for "
                f"{r.estimator}{overlap}."
            )
    return texts


def interval(middle: float, low: float, high: float) -> str:
    """A figure with its interval: 0.98 (0.95 to 0.99)."""
    return f"{agreement(middle)} ({agreement(low)} to {agreement(high)})"
