"""The command that writes a run's model and corpus for other programs; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from crossloss import pipeline, terminal
from crossloss.cli.options import RunArgument
from crossloss.export import FORMATS
from crossloss.export import export as write
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import Weat
from crossloss.plans.table import check_corpus, read_plan
from crossloss.run.train import load


def export(
    run: RunArgument,
    format: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")],
    out: Annotated[Path, typer.Option(help="The folder to write into; files of the same names are replaced.")],
    plan: Annotated[
        Path | None, typer.Option(help="With --format corpus: a plan; its removed sentences are left out.")
    ] = None,
) -> None:
    """Write the vectors for gensim or the Embedding Projector, or the corrected corpus in the layout it came in.

    word2vec and word2vec-binary write vectors and contexts, each a file that gensim's load_word2vec_format opens;
    projector writes vectors.tsv and metadata.tsv; corpus writes what a plan leaves: crossloss export RUN --format
    corpus --plan RUN/plan-weat7.parquet --out mended.
    """
    with load(run) as opened:
        taken = None
        if plan is not None:
            taken, notes = read_plan(plan)
            check_corpus(require_skipgram(opened.model, "export").corpus, notes, plan)
        for path in write(
            opened, format, out, objectives=[o for o in pipeline.recall(opened) if isinstance(o, Weat)], plan=taken
        ):
            terminal.say(str(path))
