"""The stages behind the commands about pairs of versions of sentences (see ``pipeline``)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossloss import files
from crossloss.edits import Edits, score_edits
from crossloss.memory import peak_memory
from crossloss.objectives import Weat
from crossloss.pipeline.objectives import folder_of, remember
from crossloss.progress import track
from crossloss.run.retrainer import Retrainer
from crossloss.run.run import Run
from crossloss.scores import Scores
from crossloss.studies import wnc_page
from crossloss.studies.wnc import Applied, WncStudy, train_biased, wnc_study
from crossloss.text.versions import VersionedCorpus, Versions


def edit_run(run: Run, scores: Scores, versions: Versions) -> Edits:
    """Scores of edits, written as edits.parquet."""
    found = score_edits(scores, versions.before, versions.after)
    files.write_table(folder_of(run).file("edits.parquet"), found.table())
    return found


def apply_edits(run: Run, found: Edits, objective: str, count: int) -> Applied:
    """Make the strongest edits of an objective: plan-edits-NAME.parquet, and one retraining with it.

    Raises
    ------
    UserError
        A version of these edits is no sample of the run.
    """
    chosen = found.strongest(count, objective)
    weights = found.apply(chosen)
    files.write_table(folder_of(run).file(f"plan-edits-{objective}.parquet"), found.plan(chosen, objective))
    with track("retraining with edits"):
        change = Retrainer(run, found.scores.objectives)(weights)[objective] - found.scores.values[objective]
    done = Applied(len(chosen), found.predicted(weights, objective), change)
    start = f"edits.{objective}.top{count}"
    folder_of(run).log_metrics({f"{start}.predicted": done.predicted, f"{start}.retrained": done.retrained})
    return done


def study_wnc(
    both: VersionedCorpus, objectives: Sequence[Weat], out: Path, *, command: str = "", **settings: Any
) -> tuple[WncStudy, Path]:
    """The WNC study in a folder: its figures into the metrics, its page and figures beside them.

    ``command`` is what the folder says it was made by; for the other parameters see ``studies.wnc``.
    """
    with train_biased(both, objectives, out, **settings) as run:
        folder_of(run).set_meta(command=command)
        remember(run, objectives)
        study = wnc_study(run, both, objectives)
        folder_of(run).log_metrics(study.metrics() | {"peak_memory_bytes": peak_memory()})
        return study, wnc_page.write(study, out, command)
