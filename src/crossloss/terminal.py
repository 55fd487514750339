"""What the commands print: tables and sentences for people, with corpus text shown as text."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crossloss.concepts import Concept
from crossloss.edits import Edit, Edits
from crossloss.models.skipgram.estimate import Estimate
from crossloss.models.skipgram.explain import Explanation
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import BaseObjective, Coverage, Weat
from crossloss.objectives.bounds import described
from crossloss.objectives.weat import SIDES
from crossloss.pipeline.stages import Measures
from crossloss.plans.outcome import Outcome
from crossloss.plans.remove import Plan
from crossloss.plans.robustness import Common, Decisive, sentences
from crossloss.plans.transfer import Transferred
from crossloss.reading import near_duplicates, select
from crossloss.report import words
from crossloss.run.run import Run, settings_of
from crossloss.scores import Scored, Scores
from crossloss.text.read import Corpus
from crossloss.text.rows import SourceInfo
from crossloss.text.tokens import SPLIT, TOKEN_PATTERN
from crossloss.text.versions import WNC, Versions
from crossloss.validation.strongest import Strongest
from crossloss.validation.validate import Validation

console = Console()
errors = Console(stderr=True)
NOTES = 10
"""Hints on how a source was read that are shown."""
LONGEST = 2000
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def literal(text: str, longest: int = 220) -> Text:
    """Corpus text for a terminal: no mark-up, no control or direction characters, cut to one paragraph."""
    shown = _CONTROL.sub("\ufffd", text)
    return Text(shown if len(shown) <= longest else shown[: longest - 1] + "…")


def say(text: str) -> None:
    """Print a sentence of our own, which may name files and columns of others."""
    console.print(literal(text, LONGEST))


def refuse(text: str) -> None:
    """Print why something was not done, in one line."""
    said = " ".join(text.split())
    if said:
        errors.print(literal(f"Error: {said}", LONGEST), style="red", soft_wrap=True)


def found_line(found: SourceInfo, source: str) -> None:
    """Say what a source turned out to be."""
    kinds = {"folder": f"folder of {words.several(found.files, 'file')}", "text": "text, a sentence a line"}
    parts = [kinds.get(found.layout, found.layout)]
    if found.columns is not None:
        text, document, id = found.columns
        parts[0] += f", text from column {text}"
        parts.append(f"document from {document}" if document else "no document")
        parts.append(f"id from {id}" if id else "ids are row numbers")
        if found.unused:
            more = f" and {len(found.unused) - 8} more" if len(found.unused) > 8 else ""
            parts.append(f"not used: {', '.join(found.unused[:8])}{more}")
    parts.append(words.several(found.rows, "row" if found.columns else "line"))
    if found.skipped:
        parts.append(f"{found.skipped:,} without text skipped")
    if found.passed_over:
        parts.append(f"{words.several(found.passed_over, 'file')} passed over")
    console.print(literal(f"{source}: {'; '.join(parts)}", 1000))
    for note in found.notes[:NOTES]:
        console.print(literal(f"Hint: {source}: {note}.", 1000))


def corpus_line(corpus: Corpus) -> None:
    """Say what was read."""
    if corpus.found is not None and corpus.found.layout != "builtin":
        found_line(corpus.found, corpus.source)
    trained, documents = int((corpus.weights > 0).sum()), len(set(corpus.documents) - {""})
    parts = [words.several(trained, "sentence")]
    if documents:
        parts.append(words.several(documents, "document"))
    parts.append(words.several(len(corpus.tokens), "word"))
    if trained < len(corpus):
        parts.append(words.several(len(corpus) - trained, "candidate"))
    console.print(literal(f"{corpus.source}: {', '.join(parts)}"))
    if corpus.token_pattern != TOKEN_PATTERN:
        rule = "what stands between white space" if corpus.token_pattern == SPLIT else corpus.token_pattern
        console.print(literal(f"Words: {rule}", 1000))


def coverage_table(test: BaseObjective, coverage: Sequence[Coverage]) -> None:
    """Words of an objective with their counts, and those missing; nothing where it is not made of words."""
    if not coverage:
        return
    table = Table(title=f"{test.name}: words and their occurrences", title_justify="left", show_lines=True)
    for heading in ("set", "found", "words", "missing (left out)"):
        table.add_column(heading)
    for row in coverage:
        found = f"{len(row.present)} of {len(row.present) + len(row.missing)}"
        present = ", ".join(f"{word} {count}" for word, count in row.present)
        side = row.side if row.label == row.side else f"{row.side}: {row.label}"
        table.add_row(literal(side), found, literal(present, 2000), literal(", ".join(row.missing), 2000))
    console.print(table)


def cut_words(name: str, cut: Mapping[str, Sequence[str]]) -> None:
    """Name words of an objective that the token pattern can find in no text, with what it makes of them."""
    if cut:
        parts = ", ".join(f"{word} ({' '.join(made) or 'nothing'})" for word, made in cut.items())
        said = f"Hint: {name}: the token pattern cuts, and so never finds, {parts}: choose another --token-pattern, or"
        console.print(literal(f"{said} --tokens where spaces part words.", 1000))


def estimate_line(cost: Estimate, available: int) -> None:
    """Say what a run will take."""
    say(
        f"Estimate: training {words.duration(cost.train_seconds)}, scoring {words.duration(cost.score_seconds)}, "
        f"each retraining {words.duration(cost.train_seconds)}; memory {cost.memory_bytes / 1e9:.1f} GB "
        f"of {available / 1e9:.1f} GB free."
    )


def total_line(cost: Estimate, trainings: float, scorings: float) -> None:
    """Say what a command that trains and scores so often will take, as one that is not stopped."""
    seconds = trainings * cost.train_seconds + scorings * cost.score_seconds
    say(
        f"In all: about {trainings:.0f} trainings and {scorings:.0f} scorings, {words.duration(seconds)} or "
        "somewhat more."
    )


def measures_table(measures: Measures, objectives: Sequence[BaseObjective]) -> None:
    """Objectives with their spread over starts, tests with their p-values, and what the signs mean."""
    starts = max((len(spread.values) for spread in measures.spreads.values()), default=1)
    over = [f"over {starts} starts"] if starts > 1 else []
    tests = Table(title="Association tests", title_justify="left")
    for heading in ("test", "effect size", *over, "statistic", "p one-sided", "p two-sided", "splits"):
        tests.add_column(heading, justify="left" if heading == "test" else "right")
    others = Table(title="Objectives", title_justify="left")
    for heading in ("objective", "value", *over, "what it is"):
        others.add_column(heading, justify="left" if heading in ("objective", "what it is") else "right")
    for objective in objectives:
        value, r = measures.values[objective.name]
        spread = [words.spread(measures.spreads[objective.name].values)] if over else []
        if r is None:
            others.add_row(objective.name, words.value(value), *spread, objective.quantity)
            continue
        tests.add_row(
            objective.name,
            words.value(r.effect),
            *spread,
            words.value(r.statistic),
            words.probability(r.p_value),
            words.probability(r.p_value_two_sided),
            f"{r.splits:,} {'all' if r.exact else 'drawn'}",
        )
    for table in (tests, others):
        if table.row_count:
            console.print(table)
    for objective in objectives:
        name, over_starts = objective.name, measures.spreads[objective.name]
        more = [words.starts(name, over_starts)] if over_starts.exceeds_value else []
        more.append(words.rare(name, measures.rare.get(name)))
        say(" ".join(filter(None, [f"{name}. {objective.interpretation()}", *more])))


def _verb(effect: float, name: str, verb: str) -> str:
    direction = "lower" if effect < 0 else "raise"
    return f"{verb} it is predicted to {direction} {name} by {words.effect(abs(effect)).lstrip('+')}"


def ranking(
    scores: Scores,
    name: str,
    count: int = 5,
    *,
    document: str | None = None,
    word: str | None = None,
    checked: Strongest | None = None,
) -> None:
    """Strongest amplifiers and mitigators of one objective; near-duplicates stand as a number behind the first.

    ``checked`` puts what retraining without each gave beside what was predicted.
    """
    changes = checked.changes if checked else {}
    for title, sign in (
        (f"Amplifiers of {name}: removing one is predicted to lower it", 1),
        (f"Mitigators of {name}: removing one is predicted to raise it", -1),
    ):
        table = Table(title=title, title_justify="left", show_lines=True)
        table.add_column("effect if removed", justify="right")
        if changes:
            table.add_column("retrained", justify="right")
        table.add_column("sample")
        table.add_column("sentence")
        chosen = select(scores, name, document=document, word=word, sign=sign)
        for alike in near_duplicates(scores, chosen, count):
            s = scores.shown(alike[:1], name)[0]
            text = literal(s.text)
            if len(alike) > 1:
                more, together = words.several(len(alike) - 1, "near-duplicate"), scores.group(alike, name)
                text.append(f" (and {more}; together {words.effect(together)})")
            retrained = [words.effect(changes[s.sample]) if s.sample in changes else "-"] if changes else []
            table.add_row(words.effect(s.effect_if_removed), *retrained, literal(_where(s), 60), text)
        console.print(table)
    if checked and checked.fidelity:
        say(words.strongest_checked(name, checked.fidelity.pearson, checked.fidelity.slope, len(checked.samples)))


def totals_table(scores: Scores, name: str, count: int) -> None:
    """Documents by what removing all of one is predicted to do."""
    table = Table(title=f"Documents by their effect on {name} if removed", title_justify="left")
    for heading in ("effect if removed", "document", "sentences"):
        table.add_column(heading, justify="left" if heading == "document" else "right")
    for document, effect, size in scores.documents(name)[:count]:
        table.add_row(words.effect(effect), literal(document, 60), f"{size:,}")
    console.print(table)


def concepts_table(found: Sequence[Concept], test: Weat) -> None:
    """Groups of words, what pulls them in, and which targets lie nearer to them."""
    x, y, a, b = test.labels
    table = Table(title=f"Words outside {test.name} that its strongest sentences pull in", title_justify="left")
    for heading in ("words", "pull", f"cosine to {x}", f"to {y}", f"to {a}", f"to {b}", "effect", "p", "p, Holm"):
        table.add_column(heading, justify="left" if heading == "words" else "right")
    for c in found:
        cosines = (f"{words.value(c.cosines[side])}" for side in SIDES)
        p = (words.probability(c.p_value), words.probability(c.p_holm))
        table.add_row(literal(", ".join(c.words), 120), words.effect(c.pull), *cosines, words.value(c.test.effect), *p)
    console.print(table)
    say(
        f"Pull: the part of the strongest sentences' scores that these words carry; positive pushes {test.name} up. "
        f"Effect: one-sided WEAT, positive where {x} lie nearer to the words than {y}; p is two-sided."
    )
    for c in found:
        if c.missing:
            console.print(literal(f"{c.name}: not in the vocabulary and left out: {', '.join(c.missing)}"))
        for s in c.samples[:1]:
            console.print(literal(f"{c.name}: {s.text}"))


def _where(s: Scored) -> str:
    return f"{s.id} ({s.document})" if s.document else s.id


def explanation(taken: Explanation, name: str, count: int = 12) -> None:
    """A sentence taken apart into word pairs."""
    console.print(literal(taken.text, 2000))
    new = taken.sample is None
    effect, factor = (taken.effect_if_added, 1.0) if new else (taken.effect_if_removed, -taken.weight)
    said = "Not trained on. Effect if added" if new else "Effect if removed"
    say(f"{said} {words.effect(effect)}: {_verb(effect, name, 'adding' if new else 'removing')}.")
    table = Table(title="Word pairs, by their part of that effect", title_justify="left")
    table.add_column("effect", justify="right")
    table.add_column("pair")
    for a, b, value in taken.pairs[:count]:
        table.add_row(words.effect(factor * value), literal(f"{a} - {b}"))
    console.print(table)
    if taken.unseen:
        say(f"{taken.unseen:.0%} of its expected word pairs occur nowhere in the corpus and are left out.")


def edits_table(found: Edits, name: str, count: int) -> None:
    """The strongest edits of one objective, with the words that go and those that come."""
    table = Table(title=f"Edits: replacing is predicted to change {name} by", title_justify="left", show_lines=True)
    for heading in ("change", "from", "to", "pairs"):
        table.add_column(heading, justify="right" if heading == "change" else "left")
    for number in found.strongest(count, name):
        edit = found.edit(number, name)
        pairs = "; ".join(f"{a} - {b} {words.effect(v)}" for a, b, v in edit.pairs[:3])
        table.add_row(words.effect(edit.effect), *_versions(edit), literal(pairs))
    console.print(table)
    if unseen := float(found.unseen.mean()):
        say(
            f"{words.percent(unseen)} of the edits' word pairs occur nowhere in the corpus and are left out; none are "
            "where the versions not trained on are --candidates of the run."
        )


def _versions(edit: Edit) -> tuple[Text, Text]:
    shown = []
    for text, spans, style in ((edit.before, edit.removed, "red strike"), (edit.after, edit.added, "green underline")):
        marked = literal(text, len(text))
        for start, end, _ in spans:
            marked.stylize(style, start, end)
        shown.append(marked)
    return shown[0], shown[1]


def versions_table(found: Sequence[Versions]) -> None:
    """What files with pairs of versions hold, and where WNC is published."""
    table = Table(title="Files", title_justify="left")
    for heading in ("file", "layout", "rows", "pairs", "of one version", "malformed"):
        table.add_column(heading, justify="left" if heading in ("file", "layout") else "right")
    for v in found:
        numbers = (v.rows, len(v.before), len(v.same), len(v.malformed))
        table.add_row(literal(v.source), v.layout, *(words.count(n) for n in numbers))
    console.print(table)
    for v in found:
        if v.malformed:
            lines = ", ".join(map(str, v.malformed[:5])) + (", ..." if len(v.malformed) > 5 else "")
            console.print(literal(f"{v.source}: malformed rows are left out (lines {lines})."))
    say(f"The Wiki Neutrality Corpus (Pryzant et al. 2020) is published at {WNC}: biased.full has the pairs.")


def _predicted(plan: Plan, value: float) -> str:
    """A predicted value; where the objective can never take it, with what it can."""
    beyond = f", which is beyond first order: it lies {described(plan.bounds)}" if plan.beyond(value) else ""
    return f"{words.value(value)}{beyond}"


def plan_line(plan: Plan) -> None:
    """Say what a plan does."""
    reach = "" if plan.reached else " (the target was not reached by removal)"
    removing = f"Plan: removing {plan.size:,} of {plan.trained:,} sentences ({words.percent(plan.share)})"
    if plan.retrained is None:
        say(
            f"{removing} is predicted to bring {plan.objective} from {words.value(plan.value)} to "
            f"{_predicted(plan, plan.predicted)}{reach}."
        )
    else:
        size, predicted = plan.first_order
        say(
            f"{removing} brings {plan.objective} from {words.value(plan.value)} to {words.value(plan.retrained)}, "
            f"retrained (predicted {_predicted(plan, plan.predicted)}){reach}."
        )
        path = ", then ".join(f"{step.size:,} out: {words.value(step.retrained)}" for step in plan.path)
        say(f"  First order alone: {size:,} sentences for {_predicted(plan, predicted)}. Retrained on the way: {path}.")
    for word in plan.used_up:
        say(f"  {word.sentence(plan.retrained is None)}")


def validation_lines(validation: Validation, plans: Mapping[str, Plan]) -> None:
    """Say what retraining gave."""
    for name, check in validation.plans.items():
        plan = plans[name]
        say(
            f"Retrained without the {plan.size:,} sentences of the plan, {name} is {words.value(check.retrained)} "
            f"(predicted {words.value(plan.predicted)}, before {words.value(plan.value)})."
        )
        if check.other_seeds:
            before = [a for a, _ in check.other_seeds]
            after = [b for _, b in check.other_seeds]
            say(
                f"  From {len(after)} other starts, which it was not fitted to: {words.spread(before)} before, "
                f"{words.spread(after)} after."
            )
        for label, values in (
            ("as many random sentences", check.random_removal),
            ("as many random sentences with a test word", check.random_with_test_word),
        ):
            if values:
                say(f"  Without {label}: {words.spread(values)}.")
    if not validation.fidelity:
        return
    table = Table(title="Fidelity over random subsets of one size (95 % intervals)", title_justify="left")
    for heading in ("test", "left out", "estimator", "Pearson", "Spearman (LDS)", "slope"):
        table.add_column(heading)
    for name, rows in validation.fidelity.items():
        for row in rows:
            f = row.fidelity
            table.add_row(
                name,
                f"{f.subsets} x {words.percent(row.share)}",
                row.estimator,
                f"{f.pearson:.3f} [{f.pearson_low:.3f}, {f.pearson_high:.3f}]",
                f"{f.spearman:.3f} [{f.spearman_low:.3f}, {f.spearman_high:.3f}]",
                f"{f.slope:.3g} [{f.slope_low:.3g}, {f.slope_high:.3g}]",
            )
    console.print(table)


def outcome_table(outcome: Outcome) -> None:
    """Say what a correction did, on starts it was not fitted to, and what it cost."""
    for name, (before, after) in outcome.effects.items():
        say(f"{outcome.how}: {name} goes from {words.value(before)} to {words.value(after)} (own start, retrained).")
        if name in outcome.held_out_words:
            effect, then, statistic, later = outcome.held_out_words[name]
            say(
                f"  Fitted to half of its words, the other half goes from {words.value(effect)} to {words.value(then)} "
                f"(statistic {words.value(statistic)} to {words.value(later)})."
            )
    if outcome.reached is False and outcome.chosen:
        say("No update of the sweep kept the quality; this is the one that kept most of it.")
    elif outcome.reached is False:
        say("The targets were not reached within the allowed change; this is the nearest that was found.")
    for group, (before, after) in outcome.purity.items():
        say(
            f"Two clusters tell the words most biased by {group} apart: {words.percent(before)} right before, "
            f"{words.percent(after)} after."
        )
    if outcome.chosen:
        say(f"Chosen of the sweep: {outcome.chosen['size']} samples, {outcome.chosen['passes']} passes.")
    say(
        f"Weight moved {words.percent(outcome.moved)}, {words.several(outcome.removed, 'sentence')} out; "
        f"{words.duration(outcome.seconds)}."
    )
    table = Table(
        title=f"{outcome.how}, from {len(outcome.cost.seeds)} starts not fitted to; noise: sd between starts",
        title_justify="left",
    )
    for heading in ("figure", "before", "after", "change", "noise", ""):
        table.add_column(heading, no_wrap=heading in ("figure", ""))
    for row in outcome.cost.rows:
        table.add_row(
            row.figure,
            words.spread(row.before),
            words.spread(row.after),
            words.effect(row.change),
            words.value(row.noise),
            "within noise" if row.within_noise else "",
        )
    console.print(table)


def study_tables(found: Sequence[tuple[str, list[str], list[list[str]]]]) -> None:
    """Tables of a study."""
    for title, headings, rows in found:
        table = Table(title=title, title_justify="left")
        for heading in headings:
            table.add_column(heading)
        for row in rows:
            table.add_row(*map(literal, row))
        console.print(table)


def robustness_lines(found: Sequence[tuple[Decisive, Common]]) -> None:
    """Say how few samples decide each measure, and what they have in common."""
    for result, common in found:
        first, *more = sentences(result, common)
        say(first)
        for line in more:
            console.print(literal(f"  {line}"))


def transfer_table(found: Mapping[str, Transferred]) -> None:
    """Say whether a plan changes another trainer's model."""
    table = Table(title="gensim's Word2Vec on the corpus before and after", title_justify="left")
    for heading in ("test", "before", "after", "carries over"):
        table.add_column(heading)
    for name, row in found.items():
        table.add_row(name, words.spread(row.before), words.spread(row.after), row.told)
    console.print(table)


def info_table(run: Run, path: Path) -> None:
    """What a run folder holds."""
    model = require_skipgram(run.model, "info")
    table = Table(title=literal(str(path)), title_justify="left")
    table.add_column("what")
    table.add_column("value")
    rows: dict[str, object] = {
        "corpus": model.corpus.source,
        "sentences": f"{int((model.corpus.weights > 0).sum()):,}",
        "vocabulary": f"{len(model.vocabulary.words):,} words",
        "word pairs": f"{len(model.counts.pairs):,}",
        "command": run.store.manifest.get("command", ""),
    }
    for name, value in (rows | settings_of(run) | run.store.metrics).items():
        table.add_row(literal(name), literal(f"{value:.6g}" if isinstance(value, float) else str(value)))
    console.print(table)
