"""The commands that read pairs of versions and write files for other programs: edits, export."""

from pathlib import Path
from typing import Annotated

import typer

import crossloss as cl
from crossloss.cli.options import Count, Named, RunArgument, only_one, opened
from crossloss.cli.printing import print_line, print_table
from crossloss.folders.export import FORMATS
from crossloss.folders.export import export as write
from crossloss.folders.restore import stored_scores
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import Weat
from crossloss.plans import read_plan
from crossloss.plans.files import check_corpus
from crossloss.text.versions import WNC, inspect_files, read_versions, versions_table
from crossloss.utils.display import effect, percent, several


def edits(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder; with --check only the files to check.")],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Pairs of versions: before<TAB>after, or files of WNC (a folder too)."),
    ] = None,
    objective: Named = None,
    apply: Annotated[bool, typer.Option("--apply", help="Make the edits shown, and retrain with them.")] = False,
    count: Count = 10,
    check: Annotated[bool, typer.Option("--check", help="Only check the files: crossloss edits FILE --check.")] = False,
) -> None:
    """Rank edits of sentences by what they would do to each objective; with --apply, make them and retrain.

    --check says what a download of the Wiki Neutrality Corpus holds, rows, pairs and malformed rows, and where it is
    published.
    """
    only_one({"--check": check, "--apply or --objective": apply or objective})
    if check and file is not None:
        raise cl.UserError("--check only checks the files: leave out RUN, crossloss edits FILE --check.")
    if check:
        inspected = inspect_files(run)
        print_table(versions_table(inspected))
        print_line(
            *filter(None, (v.left_out for v in inspected)),
            f"The Wiki Neutrality Corpus (Pryzant et al. 2020) is published at {WNC}: biased.full has the pairs.",
        )
        return
    if file is None:
        raise cl.UserError("Name the FILE with the pairs of versions: crossloss edits RUN FILE; or check one, --check.")
    versions = read_versions(file)
    with opened(run, objective) as (trained, objectives, names):
        made = cl.score_edits(stored_scores(trained, objectives), versions.before, versions.after)
        made.save()
        for name in names:
            print_table(made.strongest_table(name, count))
            if unseen := float(made.unseen.mean()):
                print_line(
                    f"{percent(unseen)} of the edits' word pairs occur nowhere in the corpus and are left out; none "
                    "are where the versions not trained on are --candidates of the run."
                )
            if apply:
                done = made.retrain(count, name)
                print_line(
                    f"Making the {several(done.edits, 'strongest edit')} changes {name} by {effect(done.predicted)} as "
                    f"predicted and {effect(done.retrained)} as retrained: {run / f'plan-edits-{name}.parquet'}"
                )


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
    corpus --plan RUN/plan-weat7.parquet --out fixed.
    """
    with cl.load(run) as trained:
        weights = None
        if plan is not None:
            weights, notes = read_plan(plan)
            check_corpus(require_skipgram(trained.model, "export").corpus, notes, plan)
        tests = [o for o in trained.objectives if isinstance(o, Weat)]
        print_line(*map(str, write(trained, format, out, objectives=tests, plan=weights)))
