"""The stages behind the commands about pairs of versions of sentences (see ``pipeline``)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossloss.edits import Edits, score_edits
from crossloss.objectives import Weat
from crossloss.pipeline.objectives import folder_of, remember
from crossloss.run import atomic
from crossloss.run.available import peak_memory
from crossloss.run.progress import Track, quiet
from crossloss.run.runs import Run
from crossloss.scores import Scores
from crossloss.studies import wnc_page
from crossloss.studies.wnc import Applied, WncStudy, train_biased, wnc_study
from crossloss.text.versions import VersionedCorpus, Versions
from crossloss.validation.retrain import Retrainer


def edit_run(run: Run, scores: Scores, versions: Versions) -> Edits:
    """Scores of edits, written as edits.parquet."""
    found = score_edits(scores, versions.before, versions.after)
    atomic.write_table(folder_of(run).file("edits.parquet"), found.table())
    return found


def apply_edits(run: Run, found: Edits, objective: str, count: int, track: Track = quiet) -> Applied:
    """Make the strongest edits of an objective: plan-edits-NAME.parquet, and one retraining with it.

    Raises
    ------
    UserError
        A version of these edits is no sample of the run.
    """
    chosen = found.strongest(count, objective)
    weights = found.apply(chosen)
    atomic.write_table(folder_of(run).file(f"plan-edits-{objective}.parquet"), found.plan(chosen, objective))
    with track("retraining with edits"):
        change = Retrainer(run, found.scores.objectives)(weights)[objective] - found.scores.values[objective]
    done = Applied(len(chosen), found.predicted(weights, objective), change)
    start = f"edits.{objective}.top{count}"
    folder_of(run).record({f"{start}.predicted": done.predicted, f"{start}.retrained": done.retrained})
    return done


def study_wnc(
    both: VersionedCorpus,
    objectives: Sequence[Weat],
    out: Path,
    *,
    command: str = "",
    track: Track = quiet,
    **settings: Any,
) -> tuple[WncStudy, Path]:
    """The WNC study in a folder: its figures into the metrics, its page and figures beside them.

    ``command`` is what the folder says it was made by; for the other parameters see ``studies.wnc``.
    """
    with train_biased(both, objectives, out, track, **settings) as run:
        folder_of(run).describe(command=command)
        remember(run, objectives)
        study = wnc_study(run, both, objectives, track=track)
        folder_of(run).record(study.metrics() | {"peak_memory_bytes": peak_memory()})
        return study, wnc_page.write(study, out, command)
