"""The commands that score and show: score, show."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import crossloss as cl
from crossloss.cli import options
from crossloss.cli.preflight import read_corpus
from crossloss.cli.printing import print_line, print_result, print_run, print_table
from crossloss.folders.restore import stored_scores
from crossloss.models.skipgram.from_word2vec import TRUST
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import parse_objectives
from crossloss.scores.reading import ranking
from crossloss.scores.scoring import ESTIMATOR_NAMES
from crossloss.text.tokens import stop_words
from crossloss.utils.display import Table, effect

IMPORTED = {"estimator": "inverse-hessian-word-blocks", "damping": 1e-6}
"""How a model that was trained elsewhere is scored (docs/trust.md)."""
AS_TRAINED = {name: options.SETTINGS[name] for name in ("window", "negatives", "exponent", "subsample", "dtype")}


@options.with_options(settings=AS_TRAINED, reading=options.READING)
def score(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder; with --model the corpus of the model.")],
    settings: dict[str, Any],
    reading: dict[str, Any],
    objective: options.Named = None,
    estimator: Annotated[str | None, typer.Option(help=f"{', '.join(ESTIMATOR_NAMES)} (the first is exact).")] = None,
    damping: Annotated[
        float | None, typer.Option(min=0, help="Of inverse-hessian estimators, which need some.")
    ] = None,
    starts: Annotated[
        int | None, typer.Option(min=1, help="Initial seeds to measure; default: as many as were.")
    ] = None,
    smoothness: Annotated[
        bool, typer.Option("--smoothness", help="First: can this run be differentiated? Retrains 13 times.")
    ] = False,
    count: options.Count = 10,
    model: Annotated[
        Path | None, typer.Option(help="Vectors trained elsewhere: a word2vec file, text or binary.")
    ] = None,
    contexts: Annotated[Path | None, typer.Option(help="With --model: the context vectors; else fitted.")] = None,
    out: Annotated[Path | None, typer.Option(help="With --model: the run folder to make.")] = None,
) -> None:
    """Measure objectives and score every sentence; writes scores.parquet and shows the strongest.

    Word vectors that were trained elsewhere: crossloss score CORPUS --model VECTORS --objective NAME --out RUN.
    """
    if model is None and (contexts or out or settings or reading):
        raise cl.UserError("--contexts, --out and the options of settings and reading are for --model: leave them out.")
    if model is not None and smoothness:
        raise cl.UserError(
            "--smoothness retrains, and vectors trained elsewhere have no run to take again: leave it out."
        )
    folder = options.opened(Path(run), objective)
    if model is not None:
        folder = _imported(run, reading, objective, out, model, contexts=contexts, **settings)
    with folder as (trained, objectives, names):
        chosen: dict[str, Any] = trained.store.manifest.get("estimator", {})
        if estimator is not None:
            chosen = {"estimator": estimator, "damping": 0.0}
        if damping is not None:
            chosen = chosen | {"damping": damping}
        number = starts or trained.store.manifest.get("starts", 1)
        print_result(cl.measure(trained, [o for o in objectives if o.name in names], starts=number))
        if smoothness:
            print_result(cl.smoothness(trained, objectives))
        scores = cl.score(trained, objectives, **chosen)
        scores.save()
        for name in names:
            print_table(*ranking(scores, name, count))
        if model is not None:
            trained.store.set_meta(estimator=chosen)
            print_line(f"Estimator {chosen['estimator']}, damping {chosen['damping']:g}. {TRUST}")
            print_line(f"Report: {cl.report(trained)}")


@contextmanager
def _imported(
    corpus: str, reading: dict[str, Any], names: Sequence[str] | None, out: Path | None, model: Path, **settings: Any
) -> Iterator[tuple[cl.Run, list[Any], list[str]]]:
    """As ``opened``, of vectors that were trained elsewhere and their corpus; the run folder is made."""
    objectives = parse_objectives(names or ())
    if out is None:
        raise cl.UserError("Name the run folder to make, --out RUN: tables and report go there.")
    field = cl.from_word2vec(model, read_corpus(corpus, reading), **settings)
    for o in objectives:
        o.lookup(field.word_index)
    with cl.imported(field, out=out) as run:
        run.store.set_meta(command=options.command_line(), estimator=IMPORTED, note=TRUST)
        yield run, run.remember(objectives), [o.name for o in objectives]


def show(
    run: options.RunArgument,
    sentence: Annotated[str | None, typer.Argument(help="A sentence, of the corpus or not, or an id of one.")] = None,
    objective: options.Named = None,
    word: Annotated[str | None, typer.Option(help="Only sentences with this word.")] = None,
    document: Annotated[str | None, typer.Option(help="Only sentences of this document.")] = None,
    documents: Annotated[bool, typer.Option("--documents", help="Whole documents instead.")] = False,
    concepts: Annotated[
        bool, typer.Option("--concepts", help="Words that a test's strongest sentences pull in.")
    ] = False,
    words: Annotated[list[str] | None, typer.Option(help="With --concepts: a group of words instead: a,b,c.")] = None,
    html: Annotated[bool, typer.Option("--html", help="Write report.html again from what the run holds.")] = False,
    info: Annotated[bool, typer.Option("--info", help="Settings, figures, the command that made it.")] = False,
    count: options.Count = 10,
) -> None:
    """Show the strongest sentences, near-duplicates as one; or take one apart; or documents, concepts, the report."""
    if objective and (info or html):
        raise cl.UserError("--info and --html are of the whole run: leave out --objective.")
    filters = {"a sentence": sentence is not None, "--word or --document": word or document}
    options.only_one(filters | {"--documents": documents, "--concepts": concepts, "--html": html, "--info": info})
    if words and not concepts:
        raise cl.UserError("--words are groups for --concepts: give both, or --word for the sentences with a word.")
    if info:
        with cl.load(run) as trained:
            print_run(trained)
        return
    with options.opened(run, objective) as (trained, objectives, names):
        scores = stored_scores(trained, objectives)
        if html:
            print_line(f"Report: {cl.report(trained)}")
            return
        for name in names:
            if sentence is not None:
                ids = require_skipgram(trained.model, "Taking a sentence apart").corpus.ids
                parts = scores.explain(ids.index(sentence) if sentence in ids else sentence, name)
                print_line(parts.text, parts.summary(name))
                print_table(parts.table())
            elif concepts:
                groups, ignore = [group.split(",") for group in words or ()], () if words else stop_words()
                print_result(cl.concepts(scores, name, words=groups, ignore=ignore))
            elif documents:
                rows = [(effect(change), label, f"{size:,}") for label, change, size in scores.documents(name)[:count]]
                headings = ("effect if removed", "document", "sentences")
                print_table(Table(f"Documents by their effect on {name} if removed", headings, rows))
            else:
                print_table(*ranking(scores, name, count, document=document, word=word))
