"""The stage that finds how few samples decide an objective."""

from collections.abc import Sequence
from dataclasses import replace

from crossloss import files
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import BaseObjective
from crossloss.pipeline.objectives import folder_of, only_tests
from crossloss.plans.robustness import Common, Decisive, decisive, in_common, sentences
from crossloss.plans.starts import Starts
from crossloss.run.run import Run
from crossloss.scores import Scores

ROBUSTNESS = "robustness.json"


def robustness(
    run: Run, scores: Scores, objectives: Sequence[BaseObjective], *, least: int = 0
) -> list[tuple[Decisive, Common]]:
    """The fewest samples that decide each objective and, where it is significant, its significance.

    Parameters
    ----------
    scores : Scores
        Of all the objectives.
    least : int
        Where given, the same once more with only the test words that occur so often.

    Raises
    ------
    UserError
        Too few of a test's words occur so often.
    """
    tests = only_tests(objectives, "--robustness")
    ranked = [(o, scores.of(o), o.name, f"robustness.{o.name}") for o in tests]
    if least:
        counts = require_skipgram(run.model, "Robustness").vocabulary.occurrences
        parts = [
            replace(o.frequent(counts, least), name=f"{o.name} (words of {least} occurrences or more)") for o in tests
        ]
        slopes = Starts(run, parts).slopes(run.weights)
        for o, part, slope in zip(tests, parts, slopes, strict=True):
            ranked.append((part, slope, o.name, f"robustness.{o.name}.frequent"))
    found, told = [], stored_robustness(run)
    for test, ranking, owner, start in ranked:
        for verdict in ("zero", "insignificant"):
            result = decisive(run, test, ranking, verdict)
            found.append((result, in_common(run, result.removed)))
            told.setdefault(owner, {})[f"{test.name} {verdict}"] = sentences(*found[-1])
            files.write_json(folder_of(run).file(ROBUSTNESS), told)
            if result.found:
                key = start if verdict == "zero" else f"{start}.significance"
                figures = {"smallest_set": len(result.removed), "share": result.share, "retrained": result.after}
                folder_of(run).log_metrics({f"{key}.{name}": float(value) for name, value in figures.items()})
    return found


def stored_robustness(run: Run) -> dict[str, dict[str, list[str]]]:
    """By objective, what was found of its robustness before."""
    return files.read_json_or_empty(folder_of(run).file(ROBUSTNESS))
