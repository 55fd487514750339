"""What the page opens with: the run, its objectives, and how far its numbers can be trusted."""

from dataclasses import asdict
from typing import Any

from crossloss.explore.session import Session
from crossloss.objectives import BaseObjective
from crossloss.report.text import clean
from crossloss.report.words import elsewhere
from crossloss.utils.display import several


def about(session: Session) -> dict[str, Any]:
    """The run as the page shows it."""
    run, model = session.run, session.model
    return {
        "source": clean(model.corpus.source if session.words else f"{model.kind} model"),
        "noun": model.sample_noun,
        "samples": model.samples,
        "counts": several(int((run.weights > 0).sum()), model.sample_noun),
        "estimator": session.scores.estimator,
        "note": elsewhere(session.scores.estimator, model.kind) if not run.steps else "",
        "cannot": {name: clean(reason) for name, reason in session.cannot.items()},
        "candidates": int(session.rows.candidate.sum()),
        "objectives": [_objective(session, objective) for objective in session.scores.objectives],
        "seconds": session.seconds,
        "found": session.found,
    }


def _objective(session: Session, objective: Any) -> dict[str, Any]:
    spread = session.run.results.spreads.get(objective.name)
    counts = session.model.vocabulary.occurrences if session.words else {}
    return {
        "name": objective.name,
        "value": session.scores.values[objective.name],
        "question": clean(getattr(objective, "question", "")),
        "meaning": clean(objective.interpretation()) if isinstance(objective, BaseObjective) else "",
        "sets": [
            {"side": side, "label": clean(objective.label(side)), "words": [[w, counts.get(w, 0)] for w in words]}
            for side, words in getattr(objective, "sets", {}).items()
        ],
        "test": getattr(objective, "type", "") == "weat",
        "spread": list(spread.values) if spread else None,
        "trust": _trust(session, objective.name),
    }


def _trust(session: Session, name: str) -> dict[str, Any] | None:
    """Agreement with retraining, of random subsets and of the strongest one by one; None where nobody looked."""
    if session.validation is None:
        return None
    rows = [r for r in session.validation.fidelity.get(name, ()) if r.estimator == session.scores.estimator]
    single = session.validation.strongest.get(name)
    made: dict[str, Any] = {}
    if rows:
        made |= {"share": rows[0].share} | asdict(rows[0].fidelity)  # the last validation, which comes first
    if single is not None and single.fidelity is not None:
        made["single"] = {"pearson": single.fidelity.pearson, "slope": single.fidelity.slope}
    return made or None
