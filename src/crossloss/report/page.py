"""The page of a run: one HTML string that needs nothing else, read from what was scored, planned and validated."""

import base64
import hashlib
import math
import re
import shlex
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from crossloss.core import Objective, UserError
from crossloss.models.base import Model
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.quality import quality
from crossloss.objectives import BaseObjective, Weat, measured, rare_words
from crossloss.optimisers import described
from crossloss.plans.flip import in_common, sentences
from crossloss.plans.plan import Plan
from crossloss.report import words
from crossloss.report.samples import displayed
from crossloss.report.text import Piece, clean, highlight
from crossloss.run.origin import settings_of
from crossloss.run.run import Run
from crossloss.run.train import environment
from crossloss.scores.scores import Scored
from crossloss.utils import display
from crossloss.utils.extras import needed
from crossloss.validation.spread import Spread
from crossloss.validation.validation import PlanCheck, Validation

SAMPLES, SHOWN_PAIRS, CURVE_POINTS = 50, 6, 200
PYTHON = {
    "validate": "cl.validate(run)",
    "plan --target 0": "cl.plan(scores, {{{name!r}: 0.0}})",
    "plan --robustness": "cl.smallest_flip(scores, {name!r})",
}
"""What a command of the command line is in Python."""


class Contents:
    """A run as its page reads it."""

    def __init__(self, run: Run, show: Any = None) -> None:
        self.run, self.model, self.results = run, run.model, run.results
        self.scores, self.noun = self.results.scores, run.model.sample_noun
        self.values, self.trained = self.scores.values, int((run.weights > 0).sum())
        validation = self.results.validation or Validation({}, {}, 0, 0.0)
        self.fidelity, self.strongest, checks = validation.fidelity, validation.strongest, validation.plans
        self.plans = {name: self._plans(name, checks.get(name)) for name in self.values}
        self.plan = {name: plans[-1] for name, plans in self.plans.items() if plans}
        self.checks = {name: checks[name] for name, plan in self.plan.items() if _is_of(checks.get(name), plan, name)}
        self.candidate = self.model.candidates(run.weights)
        self.ranked = {
            o.name: (
                [s for s in self.scores.amplifiers(SAMPLES, o) if s.score > 0],
                [s for s in self.scores.mitigators(SAMPLES, o) if s.score < 0],
            )
            for o in self.scores.objectives
        }
        self.parts = show is None and type(self.model).explain is not Model.explain and self.scores.has_parts
        shown = [s.sample for both in self.ranked.values() for ranked in both for s in ranked]
        self.content = displayed(self.model, shown, show)

    def _plans(self, name: str, check: PlanCheck | None) -> list[Plan]:
        """Plans for an objective; the last, which is shown in full, is one that was checked, or else a removal."""
        plans = [plan for plan in self.results.plans.values() if name in plan.targets]
        return sorted(plans, key=lambda plan: (_is_of(check, plan, name), plan.method == "remove"))

    def evaluated(self, plan: Plan, name: str) -> list[str]:
        """Of a plan that was evaluated: the objective from starts, on words and by a trainer that it has not seen."""
        for made in self.results.evaluations.values():
            if (made.method, made.targets) == (plan.label, plan.targets) and name in made.effects:
                row = made.row(name)
                starts = f"From {len(row.before)} starts that it was not fitted to: {display.spread(row.before)}"
                return [f"{starts} to {display.spread(row.after)}.", *made.sentences(name)]
        return []

    def explain(self, objective: Objective, s: Scored) -> Any:
        """A sample taken apart, where the model's samples have parts and nothing else is shown of them."""
        return self.scores.explain(s.sample, objective) if self.parts else None

    def removed(self, s: Scored, contribution: float) -> float:
        """Turn a contribution to the score into an effect if removed, the only sign that readers meet."""
        return float(-contribution * self.scores.removable[s.sample])

    def first(self, name: str) -> Scored | None:
        """The sample to show first: the strongest that the plan removes, of those trained on."""
        below = name in self.plan and self.plan[name].targets[name] > self.values[name]
        return next((s for s in self.ranked[name][below] if not self.candidate[s.sample]), None)

    def retrained(self) -> dict[str, float]:
        """The objectives after training with their plans, of those that were retrained."""
        after = {name: words.retrained(name, plan, self.checks.get(name)) for name, plan in self.plan.items()}
        return {name: value for name, value in after.items() if value is not None}

    def flips(self, name: str) -> list[Sequence[str]]:
        """How few samples decide an objective, and what they have in common: sentences, as stored or of a flip."""
        flips = self.results.flips.get(name, ())
        return [f if isinstance(f, list) else sentences(f, in_common(self.run, f.removed)) for f in flips]

    def curve(self, name: str) -> Any:
        """Counts, predictions and retrained points of a removal for one objective; None of other plans."""
        plan, check = self.plan.get(name), self.checks.get(name)
        if plan is None or plan.method != "remove" or len(plan.targets) > 1 or not plan.size:
            return None
        end = min(len(plan.curve) - 1, 2 * max(plan.size, plan.first_order[0]))
        counts = np.unique(np.linspace(0, end, CURVE_POINTS).round().astype(int))
        path = check.curve if check else [(step.size, step.retrained[name]) for step in plan.path]
        return counts, plan.curve[counts], [(0, plan.values[name]), *path] if path else []

    def tested(self, objective: Objective) -> Any:
        """The permutation test of an objective, where it has one."""
        return measured(objective, self.run.view).tested if isinstance(objective, BaseObjective) else None

    def coverage(self, objective: Objective) -> Sequence[Any]:
        """Words of an objective by set, with their occurrences."""
        if not isinstance(objective, BaseObjective) or not isinstance(self.model, SkipGram):
            return ()
        return objective.coverage(self.model.vocabulary.occurrences)

    def caveats(self, objective: Objective) -> list[str]:
        """Sentences that a reader must not miss."""
        name, plan, spread = objective.name, self.plan.get(objective.name), self.results.spreads.get(objective.name)
        predicted = plan is not None and words.retrained(name, plan, None) is None
        texts = [word.sentence(predicted) for word in (plan.depleted_words if plan else ())]
        if spread and spread.exceeds_value:
            texts.append(spread.sentence(name))
        if isinstance(self.model, SkipGram):
            rare = rare_words(objective, self.model.vocabulary.occurrences, self.run.view)
            texts += [rare.sentence(name)] if rare else []
        if any(row.missing for row in self.coverage(objective)):
            texts.append("Words that the corpus lacks are left out of their set; the other sets stay as they are.")
        return texts

    def source(self) -> tuple[str, list[str]]:
        """What was trained on: its name, and counts."""
        counts = [display.several(self.trained, self.noun)]
        if not isinstance(self.model, SkipGram):
            return f"{self.model.kind} model", counts
        corpus = self.model.corpus
        documents = {name for name, w in zip(corpus.documents, self.run.weights, strict=True) if w > 0 and name}
        if documents:
            counts.append(display.several(len(documents), "document"))
        return corpus.source, [*counts, display.several(int(self.model.vocabulary.counts.sum()), "word")]

    def quality(self) -> list[tuple[str, float | None, int, Spread | None]]:
        """Word similarity benchmarks: correlation, pairs covered, spread over starts."""
        if not isinstance(self.model, SkipGram):
            return []
        made, spreads = quality(self.run.view.words, self.run.view.vectors.cpu().numpy()), self.results.spreads
        return [
            (label, getattr(made, key), getattr(made, f"{key}_pairs"), spreads.get(key))
            for label, key in (("WordSim-353", "wordsim353"), ("SimLex-999", "simlex999"))
        ]

    def facts(self) -> dict[str, dict[str, str]]:
        """Settings, versions and times."""
        store, settings, rule = (
            self.run.store,
            settings_of(self.run.origin),
            described(self.run.origin["optimiser"] or {}),
        )
        settings |= {
            name: f"{value['by_step'][0]:g} to {value['by_step'][-1]:g}, by step"
            for name, value in rule.items()
            if isinstance(value, dict) and value.get("by_step")
        }
        if "type" in settings:
            settings["optimiser"] = settings.pop("type")
        if isinstance(self.model, SkipGram):
            field = self.model.build()
            settings |= {"prior": f"{field.prior:g}", "vocabulary": display.several(field.size, "word")}
            settings["negative_columns"] = self.model.settings.drawn(field.size) or "all"
        versions = store.manifest.get("environment") or environment()
        times = {
            name.removesuffix(".seconds"): display.duration(value)
            for name, value in store.metrics.items()
            if name in ("train.seconds", "score.seconds")
        }
        shown = {"Settings": settings | {"estimator": self.scores.estimator}, "Versions": versions, "Time": times}
        return {
            heading: {name.replace("_", " "): str(value) for name, value in facts.items() if value is not None}
            for heading, facts in shown.items()
            if facts
        }

    def command(self, verb: str, name: str = "") -> str:
        """A command for this run, quoted for a shell; where the command line does not reach it, its Python."""
        if self.run.store.path is None or not isinstance(self.model, SkipGram):
            return PYTHON[verb].format(name=name)
        verb, *options = verb.split(" ", 1)
        named = ["--objective", shlex.quote(name)] if name else []
        return " ".join(["crossloss", verb, shlex.quote(str(self.run.store.path)), *named, *options])


def render(run: Run, show: Any = None) -> str:
    """The page of a run; the same run gives the same bytes.

    Whatever samples and names hold is escaped, and control characters and lone surrogates appear as U+FFFD: the
    result encodes to UTF-8 and runs nothing but its own script, which its policy knows by hash.

    Raises
    ------
    UserError
        The extra ``report`` is not installed, nothing was scored, or as ``displayed``.
    """
    with needed("report", "A report"):
        import jinja2

        from crossloss.report import figures
    if run.results.scores is None:
        raise UserError("There is nothing to report: score at least one objective first, cl.score(run, [objective]).")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crossloss", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    written = ("value", "effect", "probability", "count", "several", "percent", "spread")
    environment.filters |= {name: getattr(display, name) for name in written}
    environment.filters |= {"file_name": _file_name, "standalone": figures.standalone}
    environment.tests["weat"] = lambda o: isinstance(o, Weat)
    script = files("crossloss.report").joinpath("script.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"
    page = environment.get_template("template.html.j2").render(
        page=Contents(run, show), words=words, figures=figures, pieces=_pieces,
        shown_pairs=SHOWN_PAIRS, policy=policy, script=script,
    )  # fmt: skip
    return clean(page)


def _is_of(check: PlanCheck | None, plan: Plan, name: str) -> bool:
    """Whether a plan was checked, and not an earlier one for the same objective."""
    if check is None or len(plan.targets) > 1 or (check.curve and check.curve[-1][0] != plan.size):
        return False
    known = plan.results.get(name) if plan.settings.starts == 1 else None
    return known is None or math.isclose(check.retrained, known, rel_tol=1e-5, abs_tol=1e-7)


def _pieces(text: str, explained: Any) -> list[Piece]:
    return highlight(text, () if explained is None else explained.spans)


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60].strip(".-") or "figure"
