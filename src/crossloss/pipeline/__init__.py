"""The stages behind the commands: each takes a run in its folder, does one thing, and records its figures.

A stage whose inputs and settings did not change is not done again. Nothing is printed here, and nothing is computed
that a user of the Python interface could not compute: what is new belongs in the folder of its subject.
"""

from crossloss.pipeline.debias import debias, study_debias, transfer_run
from crossloss.pipeline.edits import apply_edits, edit_run, study_wnc
from crossloss.pipeline.objectives import check_targets, choose, only_tests, open_run, recall, remember
from crossloss.pipeline.robustness import robustness
from crossloss.pipeline.stages import (
    measure,
    plan_run,
    qualities,
    score_run,
    targets_of,
    validate_run,
    write_report,
)
from crossloss.pipeline.words import concepts_run, study_scifi

__all__ = [
    "apply_edits",
    "check_targets",
    "choose",
    "concepts_run",
    "debias",
    "edit_run",
    "measure",
    "only_tests",
    "open_run",
    "plan_run",
    "qualities",
    "recall",
    "remember",
    "robustness",
    "score_run",
    "study_debias",
    "study_scifi",
    "study_wnc",
    "targets_of",
    "transfer_run",
    "validate_run",
    "write_report",
]
