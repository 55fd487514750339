"""The commands that read scores: sentences by document and word, documents, hidden concepts; no logic."""

from typing import Annotated

import typer

from crossloss import pipeline, terminal
from crossloss.cli.options import Named, RunArgument
from crossloss.concepts import association_test


def show(
    run: RunArgument,
    objective: Named = None,
    document: Annotated[str | None, typer.Option(help="Only sentences of this document.")] = None,
    word: Annotated[str | None, typer.Option(help="Only sentences with this word.")] = None,
    count: Annotated[int, typer.Option(min=0, help="Sentences shown on either side.")] = 10,
    documents: Annotated[int, typer.Option(min=0, help="Documents shown, by the sum of their sentences.")] = 0,
) -> None:
    """Show the strongest sentences of a document or with a word, near-duplicates as one; or whole documents."""
    opened, tests, asked = pipeline.open_run(run, objective or ())
    with opened:
        scores = pipeline.score_run(opened, tests)
        for name in asked:
            terminal.ranking(scores, name, count, document=document, word=word)
            if documents:
                terminal.totals_table(scores, name, documents)


def concepts(
    run: RunArgument,
    objective: Named = None,
    words: Annotated[
        list[str] | None,
        typer.Option(help="A group of words to look at instead: one,two,three. May be given several times."),
    ] = None,
) -> None:
    """Find words outside a test that its strongest sentences pull in, group them, and test which targets are nearer."""
    opened, tests, asked = pipeline.open_run(run, objective or ())
    with opened:
        scores = pipeline.score_run(opened, tests)
        for name in asked:
            found = pipeline.concepts_run(opened, scores, name, [group.split(",") for group in words or []])
            terminal.concepts_table(found, association_test(scores, name))
