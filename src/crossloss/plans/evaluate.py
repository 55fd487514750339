"""What became of a plan: its targets, on starts and words that it was not fitted to, and what it cost."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from crossloss.core import Objective, UserError
from crossloss.display import Result, Table, effect, percent, several, spread, value
from crossloss.models.skipgram.hard_debias import cluster_purity, hard_debias, most_biased
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.quality import neighbours, neighbours_kept, overlap
from crossloss.objectives import as_objective, measured
from crossloss.objectives.weat import Weat
from crossloss.plans.ensemble import baseline_seeds, held_out_seeds
from crossloss.plans.make import compute_plan
from crossloss.plans.plan import FITTED, Plan
from crossloss.plans.transfer import Transfer, transfer
from crossloss.progress import track
from crossloss.run.figures import figures, held_in_samples, held_out_loss
from crossloss.run.retrainer import Retrainer
from crossloss.run.run import Run
from crossloss.scores import compute_scores
from crossloss.statistics import deviation

FIGURES = ("wordsim353", "simlex999", "analogies", "loss", "held_out_loss", "neighbours_kept")
"""What is measured beside objectives."""
NEIGHBOUR_WORDS = 1000
GROUPS = ("evaluate", "debias")
"""What the names of figures begin with."""


@dataclass(frozen=True)
class Row:
    """One figure over the starts, before and after.

    ``neighbours_kept``: before is between two starts, after is between before and after of one start, so that a
    correction that keeps all has 1.
    """

    figure: str
    before: list[float]
    after: list[float]

    @property
    def noise(self) -> float:
        """Standard deviation between starts, before."""
        return deviation(self.before)

    @property
    def change(self) -> float:
        """Mean of after - before."""
        return float(np.mean(np.array(self.after) - np.array(self.before)))

    @property
    def within_noise(self) -> bool:
        """Whether the mean change is smaller than the deviation between starts before."""
        return abs(self.change) < self.noise


@dataclass(frozen=True)
class HeldOutWords:
    """The half of a test's words that a further plan was not fitted to, by draw of the halves; means over the starts.

    An effect size can fall by noise in its denominator alone; the statistic has none.
    """

    before: list[float]
    after: list[float]
    statistic_before: list[float]
    statistic_after: list[float]

    @property
    def carries_over(self) -> bool:
        """Whether the mean comes at least half-way to 0, by more than twice the standard error of the change."""
        change = np.array(self.after) - np.array(self.before)
        error = deviation(change.tolist()) / np.sqrt(len(change)) if len(change) > 1 else 0.0
        half = abs(np.mean(self.after)) <= abs(np.mean(self.before)) / 2
        return bool(half and abs(change.mean()) > 2 * error)


@dataclass(frozen=True)
class Evaluation(Result):
    """What a plan does and costs, on starts and on test words that it was not fitted to.

    Attributes
    ----------
    method : str
        ``-one-start`` behind it where it was fitted to one start only.
    targets : dict
    effects, p_values : dict of name -> (before, after)
        From the run's own start; p-values one-sided, of tests.
    held_out_words : dict of name -> HeldOutWords
        Empty where nothing was fitted or it was not asked for.
    moved, changed_share, removed : float, float, int
        Sum of the changes of the weights over their sum; part of the training weight that goes out or comes in,
        whichever is more; samples out.
    reached : bool
    seconds, apply_seconds : float
        To make the plan, and to make a corrected model by it.
    seeds : list of int or None
        Starts that it was not fitted to, which ``rows`` are of; of a model with one start, that one.
    rows : list of Row
        Objectives by name, and ``FIGURES``; what cannot be measured here is left out.
    chosen : dict
        Of undo, reinforce and both: the chosen cell of the sweep.
    purity : dict of group -> (before, after)
        ``cluster_purity`` of the words most biased before, from the run's own start: by gender, and by the groups of
        hard debias, where the vocabulary has their words.
    transfer : dict of name -> Transfer
        The objectives in gensim's models of the corpus before and after, where that was asked for.

    Examples
    --------
    >>> evaluation = cl.evaluate(cl.plan(scores, 0.5), run, scores.objectives, seeds=2, halves=0)
    >>> before, after = evaluation.effects["weat7"]
    >>> for line in evaluation.summary():
    ...     print(line)
    """

    method: str
    targets: dict[str, float]
    effects: dict[str, tuple[float, float]]
    p_values: dict[str, tuple[float, float]]
    held_out_words: dict[str, HeldOutWords]
    moved: float
    changed_share: float
    removed: int
    reached: bool
    seconds: float
    apply_seconds: float
    seeds: list[int | None]
    rows: list[Row]
    chosen: dict[str, Any] = field(default_factory=dict)
    purity: dict[str, tuple[float, float]] = field(default_factory=dict)
    transfer: dict[str, Transfer] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its files are called: the method, and of undo, reinforce and both the objective."""
        return "-".join([self.method, *self.targets]) if self.chosen else self.method

    def row(self, figure: str) -> Row:
        """Return the row of a figure; UserError where it was not measured."""
        row = next((row for row in self.rows if row.figure == figure), None)
        if row is None:
            raise UserError(f"{figure} was not measured; measured are: {', '.join(r.figure for r in self.rows)}.")
        return row

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return dict(json.loads(json.dumps(asdict(self))))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Evaluation":
        """Inverse of ``to_json``."""
        return TypeAdapter(cls).validate_python(value)

    def metrics(self) -> dict[str, float]:
        """Flat figures, of the corrected runs and, as METHOD original, of the run as it was.

        evaluate.METHOD.NAME.fitted (own start), .unseen_starts.mean, .sd, .held_out_words, .gensim.mean, and
        evaluate.METHOD.wordsim353, .changed_share, ... ; the same as debias.METHOD.NAME.effect, .other_seeds.mean, .sd,
        .mean_size, .farthest, .heldout_words, and debias.METHOD.wordsim353, ... Of undo, reinforce and both, which
        correct one objective each, the costs are debias.METHOD.NAME.wordsim353, ...
        """
        one = f".{next(iter(self.targets))}" if self.chosen else ""
        made: dict[str, float] = {}

        def add(method: str, name: str, figures: Mapping[str, float]) -> None:
            made.update({f"{group}.{method}{name}.{figure}": v for figure, v in figures.items() for group in GROUPS})

        for name, own in self.effects.items():
            row, held, other = self.row(name), self.held_out_words.get(name), self.transfer.get(name)
            for end, method in enumerate(("original", self.method)):
                figures = {"fitted": own[end], "effect": own[end]}
                for label in ("unseen_starts", "other_seeds"):
                    figures |= _spread(label, (row.before, row.after)[end])
                if other is not None:
                    figures |= _spread("gensim", (other.before, other.after)[end])
                if held is not None and end:
                    figures |= {
                        "held_out_words": float(np.mean(held.after)),
                        "held_out_words_sd": deviation(held.after),
                    }
                    figures |= {"heldout_words": figures["held_out_words"]}
                    figures |= {
                        f"{label}_before": float(np.mean(held.before)) for label in ("held_out_words", "heldout_words")
                    }
                add(method, f".{name}", figures)
        costs = {row.figure: row for row in self.rows if row.figure not in self.effects}
        purity = {f"purity.{group}": both for group, both in self.purity.items()}
        add(
            "original",
            "",
            {n: float(np.mean(row.before)) for n, row in costs.items()} | {n: v[0] for n, v in purity.items()},
        )
        add(
            self.method,
            one,
            {n: float(np.mean(row.after)) for n, row in costs.items()} | {n: v[1] for n, v in purity.items()},
        )
        add(self.method, one, {"seconds": self.seconds, "moved": self.moved, "changed_share": self.changed_share})
        return made

    def summary(self) -> list[str]:
        """What it did to each objective from the run's own start, and to words it was not fitted to; a line each."""
        lines = []
        for name, (before, after) in self.effects.items():
            lines.append(f"{self.method}: {name} goes from {value(before)} to {value(after)} (own start, retrained).")
            if held := self.held_out_words.get(name):
                verdict = "It carries over" if held.carries_over else "It does not carry over"
                lines.append(
                    f"  {verdict} to words that it was not fitted to: {spread(held.before)} to {spread(held.after)} "
                    f"({several(len(held.before), 'draw')} of half of the words, sd between draws)."
                )
            if each := self.transfer.get(name):
                lines.append(f"  In gensim's Word2Vec: {spread(each.before)} to {spread(each.after)} ({each.verdict}).")
        if not self.reached and self.chosen:
            lines.append("No update of the sweep kept the quality; this is the one that kept most of it.")
        elif not self.reached:
            lines.append("The targets were not reached within the allowed change; this is the nearest.")
        lines += [
            f"Two clusters tell the words most biased by {group} apart: "
            f"{percent(first)} right before, {percent(then)} after."
            for group, (first, then) in self.purity.items()
        ]
        if self.chosen:
            lines.append(f"Chosen of the sweep: {self.chosen['size']} samples, {self.chosen['passes']} passes.")
        return lines

    def tables(self) -> list[Table]:
        """Every figure on starts that it was not fitted to, before and after, beside the noise between starts."""
        noise = ("", "within noise")
        rows = [
            (r.figure, spread(r.before), spread(r.after), effect(r.change), value(r.noise), noise[r.within_noise])
            for r in self.rows
        ]
        title = f"{self.method}, from {self._judged_by}; noise: sd between starts"
        return [Table(title, ("figure", "before", "after", "change", "noise", ""), rows)]

    def save(self, run: Run) -> None:
        """Write evaluation-NAME.json into the run's folder, and its figures."""
        run.store.save(f"evaluation-{self.name}.json", self.to_json())
        run.store.log_metrics(self.metrics())

    @property
    def _judged_by(self) -> str:
        """The starts, in words."""
        return f"{len(self.seeds)} starts not fitted to" if len(self.seeds) > 1 else "its one start"

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {before:+.3g} -> {after:+.3g}" for name, (before, after) in self.effects.items())
        return f"Evaluation({self.method}: {told}; {self._judged_by})"


def _spread(label: str, values: Sequence[float]) -> dict[str, float]:
    sizes = np.abs(values)
    return {
        f"{label}.mean": float(np.mean(values)),
        f"{label}.sd": deviation(values),
        f"{label}.mean_size": float(sizes.mean()),
        f"{label}.farthest": float(sizes.max()),
    }


def metrics_of(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Figures of all evaluations of one method; of one objective each, evaluate.METHOD.wordsim353, ... is a mean."""
    found: dict[str, float] = {}
    costs: dict[str, list[float]] = {}
    for evaluation in evaluations:
        found |= evaluation.metrics()
        if evaluation.chosen:
            costs.setdefault("seconds", []).append(evaluation.seconds)
            for row in evaluation.rows:
                if row.figure in FIGURES:
                    costs.setdefault(row.figure, []).append(float(np.mean(row.after)))
    method = evaluations[0].method
    means = {figure: float(np.mean(each)) for figure, each in costs.items()}
    return found | {f"{group}.{method}.{figure}": mean for figure, mean in means.items() for group in GROUPS}


def evaluate(
    plan: Plan,
    run: Run,
    objectives: Sequence[Objective],
    *,
    seeds: int = 5,
    halves: int = 5,
    gensim: int = 0,
) -> Evaluation:
    """Judge a plan on starts, on words and by a trainer that it was not fitted to; and say what it cost.

    Each start's figures are stored, so that a stopped evaluation goes on, and the untouched runs are measured once for
    all plans.

    Parameters
    ----------
    plan : Plan
    run : Run
        The one that it is of.
    objectives : sequence of Objective
        Measured; those of the plan among them.
    seeds : int
        Starts, at least two; a model with one start is judged by that one.
    halves : int
        So many times a half of each word set is drawn; another plan is fitted to it, and judged by the other half.
    gensim : int
        Seeds from which gensim's Word2Vec is trained on the corpus before and after.

    Raises
    ------
    UserError
        Fewer than two starts; a test with fewer than four words a set, where ``halves``; gensim is not installed.

    Examples
    --------
    >>> plan = cl.plan(scores, 0.5, method="reweight")
    >>> print(cl.evaluate(plan, run, scores.objectives, seeds=2, halves=0))
    """
    if seeds < 2:
        raise UserError("The cost of a plan needs at least two starts, to tell it from the noise between starts.")
    objectives = [as_objective(o) for o in objectives]
    others = held_out_seeds(run, plan.settings.starts, seeds) if run.has_starts else [run.seed]
    before, after, seconds = [], [], []
    with track(f"evaluating {plan.label}") as progress:
        for number, seed in enumerate(others):
            progress(number, len(others))
            follower = others[(number + 1) % len(others)]
            row = _at_start(plan, run, objectives, seed, follower)
            before.append(row["before"])
            after.append(row["after"])
            seconds.append(row["seconds"])
        progress(len(others), len(others))
    names = sorted(set.intersection(*(set(each) for each in (*before, *after))))
    made = plan.apply(run)
    results = [{o.name: measured(o, at.view) for o in objectives} for at in (run, made)]
    cell = None if plan.update is None else _cell(plan)
    return Evaluation(
        method=plan.label,
        targets=dict(plan.targets),
        effects={o.name: (results[0][o.name].value, results[1][o.name].value) for o in objectives},
        p_values={
            name: (first.tested.p_value, then.tested.p_value)
            for name, first in results[0].items()
            if first.tested is not None and (then := results[1][name]).tested is not None
        },
        held_out_words=_held_out_words(plan, run, objectives, others, halves),
        moved=plan.moved,
        changed_share=plan.changed_share,
        removed=plan.size,
        reached=plan.reached,
        seconds=plan.seconds,
        apply_seconds=float(np.mean(seconds)),
        seeds=list(others),
        rows=[Row(name, [each[name] for each in before], [each[name] for each in after]) for name in names],
        chosen={} if cell is None else asdict(cell),
        purity=_purity(plan, run, made),
        transfer=_transferred(plan, run, objectives, range(1, gensim + 1)),
    )


def _transferred(plan: Plan, run: Run, objectives: Sequence[Objective], seeds: Sequence[int]) -> dict[str, Transfer]:
    """Of methods that change the corpus; others do nothing that another trainer could see."""
    if not seeds or not plan.moved:
        return {}
    entry = run.store.entry("transfer", [run.fingerprint(o) for o in objectives])
    return transfer(run, objectives, plan.weights, seeds, entry=entry)


def _purity(plan: Plan, run: Run, made: Run) -> dict[str, tuple[float, float]]:
    if not isinstance(run.model, SkipGram):
        return {}
    purity = {}
    for group in dict.fromkeys(("gender", *plan.settings.hard)):
        try:
            first, second = most_biased(hard_debias(group), run.view)
        except UserError:  # the vocabulary lacks the words of the group
            continue
        purity[group] = (cluster_purity(run.view, first, second), cluster_purity(made.view, first, second))
    return purity


def _cell(plan: Plan) -> Any:
    assert plan.update is not None
    size = max(len(plan.update.undone), len(plan.update.reinforced))
    fitting = [c for c in plan.sweep if c.passes == plan.update.passes and not c.failed and c.size >= size]
    return min(fitting, key=lambda c: c.size)


def _at_start(plan: Plan, run: Run, objectives: Sequence[Objective], seed: int | None, other: int | None) -> Any:
    """Figures before and after the plan from one start; ``other`` gives how far neighbours differ by chance."""
    known = [run.fingerprint(o) for o in objectives]

    def untouched(at: int | None) -> dict[str, Any]:
        made = run if at == run.seed else run.retrain(seed=at)
        return _measured(run, made, objectives, None, at)

    def before(at: int | None) -> dict[str, Any]:
        stored: dict[str, Any] = run.store.get_or_make("retrains/before", known, at, make=lambda: untouched(at))
        return stored

    def corrected() -> dict[str, Any]:
        begun = time.perf_counter()
        made = plan.apply(run, seed=seed)
        seconds = time.perf_counter() - begun
        mine = before(seed)
        found = _measured(run, made, objectives, plan, seed)
        if "near" in mine:
            near = np.array(mine["near"])
            found["neighbours_kept"] = neighbours_kept(near, _vectors(made))
            chance = {"neighbours_kept": overlap(near, np.array(before(other)["near"]))}
        else:
            chance = {}
        figures_before = {name: value for name, value in mine.items() if name != "near"}
        found.pop("near", None)
        return {"before": figures_before | chance, "after": found, "seconds": seconds}

    key = (plan.label, known, plan.weights, plan.targets, plan.settings.hard, seed, other)
    signed = None if plan.update is None else plan.update.signed(len(plan.weights))
    return run.store.get_or_make("retrains/after", *key, signed, make=corrected)


def _measured(
    run: Run, made: Run, objectives: Sequence[Objective], plan: Plan | None, seed: int | None
) -> dict[str, Any]:
    found: dict[str, Any] = dict(figures(made, objectives))
    if isinstance(run.model, SkipGram):
        held_in = held_in_samples(run, seed)
        if plan is None:
            again = run.retrain(run.weights * held_in, seed=seed)
        else:
            again = plan.apply(run, seed=seed, held_in=held_in)
        found["held_out_loss"] = held_out_loss(run.model, again.theta, held_in)
        if plan is None:
            found["near"] = neighbours(_vectors(made), NEIGHBOUR_WORDS).tolist()
    return found


def _vectors(run: Run) -> np.ndarray:
    return np.asarray(run.view.vectors.cpu().numpy())


def _held_out_words(
    plan: Plan, run: Run, objectives: Sequence[Objective], seeds: Sequence[int | None], draws: int
) -> dict[str, HeldOutWords]:
    """Fit to half of the words of each test and judge by the others, on starts not fitted to."""
    tests = [o for o in objectives if hasattr(o, "halves") and o.name in plan.targets]
    if plan.settings.way not in FITTED or len(tests) < len(plan.targets):
        return {}
    parts = [{o.name: _draw(o, run, draw) for o in tests} for draw in range(draws)]
    judges = [{name: _kinds(judged) for name, (_, judged) in each.items()} for each in parts]
    fitted = [half for each in parts for half, _ in each.values()]
    retrainer = Retrainer(run, [*fitted, *(judge for each in judges for pair in each.values() for judge in pair)])
    if plan.settings.share is None:
        for seed in baseline_seeds(run, plan.settings.starts):  # once for all draws
            retrainer(seed=seed)
    before = [retrainer(seed=seed) for seed in seeds]
    rows: dict[str, list[list[float]]] = {o.name: [] for o in tests}
    with track(f"{plan.label}: other words") as progress:
        for draw in range(draws):
            progress(draw, draws)
            every = [judge for pair in judges[draw].values() for judge in pair]

            def corrected(parts: Any = parts[draw], every: Any = every) -> list[Any]:
                goals = {fitted.name: plan.targets[name] for name, (fitted, _) in parts.items()}
                scores = compute_scores(run, [fitted for fitted, _ in parts.values()])
                made = compute_plan(scores, goals, plan.settings)
                return [made.apply(run, seed=seed).values(every) for seed in seeds]

            known = [run.fingerprint(o) for o in every]
            after = run.store.get_or_make(
                "retrains/halves", asdict(plan.settings), plan.targets, known, list(seeds), make=corrected
            )
            for name, pair in judges[draw].items():
                rows[name].append([float(np.mean([at[o.name] for at in end])) for o in pair for end in (before, after)])
        progress(draws, draws)
    return {name: HeldOutWords(*map(list, zip(*each, strict=True))) for name, each in rows.items() if each}


def _draw(objective: Any, run: Run, draw: int) -> tuple[Any, Any]:
    """The halves of one draw, with names of their own: one to fit to, one to judge by."""
    fitted, judged = objective.halves(run.model.word_index, draw)
    return replace(fitted, name=f"{fitted.name}.{draw}"), replace(judged, name=f"{judged.name}.{draw}")


def _kinds(judged: Any) -> tuple[Any, Any]:
    """An objective and, of a test, its statistic."""
    if not isinstance(judged, Weat):
        return judged, judged
    effect, statistic = (replace(judged, kind=kind, name=f"{judged.name}.{kind}") for kind in ("effect", "statistic"))
    return effect, statistic
