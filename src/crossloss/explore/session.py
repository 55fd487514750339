"""An explored run: its scores, what was found by retraining, and the work that changes them."""

import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from crossloss.core import UserError
from crossloss.explore.baskets import Basket, basket_key, changed_weights, plan_of, totals
from crossloss.explore.queries import Rows
from crossloss.explore.worker import Worker
from crossloss.folders.load import load
from crossloss.folders.restore import restore
from crossloss.models.skipgram.model import SkipGram
from crossloss.objectives import from_dict, measured
from crossloss.objectives.command_line import parse
from crossloss.report.text import clean
from crossloss.report.words import UNITLESS
from crossloss.run.retrainer import Retrainer
from crossloss.run.store import content_key
from crossloss.scores import Scores
from crossloss.scores.scoring import compute_scores
from crossloss.utils.display import several
from crossloss.utils.progress import part
from crossloss.validation.validation import stored_validation

FOUND = "explore.json"
"""What the explorer retrained, in the run folder."""
MOST_FOUND = 500
MOST_STARTS = 20


@dataclass(frozen=True)
class After:
    """Word vectors as retrained with a basket, by the key of its weights."""

    key: str
    view: Any


class Session:
    """What the page asks of a run. Requests read; whatever trains or writes is a job of ``worker``.

    Parameters
    ----------
    path : Path
        A run folder, which is held until ``close``.

    Raises
    ------
    UserError
        As ``cl.load``; nothing was scored.
    """

    def __init__(self, path: Path) -> None:
        self.run = load(path)
        try:
            restore(self.run)
            if self.run.results.scores is None:
                raise UserError(
                    f"The run in {path} has no scores: name an objective, `crossloss score {path} --objective weat7`."
                )
            self._use(self.run.results.scores)
        except BaseException:
            self.run.close()
            raise
        self.worker, self.after = Worker(), None
        self.seconds: float | None = self.run.store.metrics.get("train.seconds")  # of the newest training
        self._tests: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.found: list[dict[str, Any]] = list(self.run.store.load(FOUND) or [])

    def _use(self, scores: Scores) -> None:
        self.scores, self.rows = scores, Rows(scores)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop the worker and release the folder."""
        self.worker.close()
        self.run.close()

    after: After | None

    @property
    def model(self) -> Any:
        """What was trained."""
        return self.run.model

    @property
    def words(self) -> bool:
        """Whether samples are sentences whose words have vectors."""
        return isinstance(self.model, SkipGram)

    @cached_property
    def cannot(self) -> dict[str, str]:
        """What this run cannot do, and why: sentence, words, retrain, starts."""
        reasons: dict[str, str] = {}
        if not self.words:
            other = f"This is a {self.model.kind} run: sentences, words and swaps are of runs of cl.SkipGram."
            reasons |= {"sentence": other, "words": other}
            if not hasattr(self.run.trajectory.optimiser, "lr"):
                reasons["retrain"] = (
                    f"Retraining needs the field, which no folder holds: cl.load({str(self.path)!r}, field)."
                )
        if not self.run.steps:
            reasons["retrain"] = "This model was trained elsewhere, so it cannot be retrained here."
        if "retrain" not in reasons and not self.run.has_starts:
            reasons["starts"] = "This model has one start."
        if self.scores.estimator in UNITLESS:
            noun = self.model.sample_noun
            reasons["unit"] = (
                f"Scores of {self.scores.estimator} have no unit: they rank {noun}s, and predict no value."
            )
        return reasons

    @property
    def path(self) -> Path:
        """Of the run folder."""
        path = self.run.store.path
        assert path is not None
        return path

    @cached_property
    def validation(self) -> Any:
        """What was validated of the run; None where nobody looked."""
        return stored_validation(self.run)

    def tests(self) -> dict[str, Any]:
        """Value and p-value of each objective."""
        return {o.name: self._test(o) for o in self.scores.objectives}

    def _test(self, objective: Any) -> dict[str, Any]:
        place = content_key(self.run.fingerprint(objective))
        if place not in self._tests:
            value, tested = measured(objective, self.run.view)
            more = {} if tested is None else {"p": tested.p_value, "two": tested.p_value_two_sided}
            self._tests[place] = {"value": value} | more
        return dict(self._tests[place])

    # Work

    def weights(self, basket: Basket) -> np.ndarray:
        """Sample weights (n,) with a basket's changes; UserError for a sample that is not there."""
        return changed_weights(self.run.weights, basket)

    def retrain(self, basket: Basket, starts: int, label: dict[str, Any]) -> None:
        """Begin to train with a basket's weights, from several starts, and measure every objective and benchmark.

        ``label`` says what the basket is; it is stored with what was found.
        """
        self.need("retrain")
        if starts > 1:
            self.need("starts")
        weights, scores = self.weights(basket), self.scores
        if not weights.any():
            raise UserError("Nothing would be left to train on: take something out of the basket.")
        count = int((weights != self.run.weights).sum())
        what = f"retraining with {several(count, self.model.sample_noun)} changed"
        self.worker.start(what, lambda: self._retrained(scores, weights, starts, label))

    def _retrained(self, scores: Scores, weights: np.ndarray, starts: int, label: dict[str, Any]) -> dict[str, Any]:
        run = self.run
        retrainer, before, after = Retrainer(run, scores.objectives), [], []
        for i, seed in enumerate(run.seeds(starts)):
            with part(f"start {i + 1} of {starts}") if starts > 1 else nullcontext():
                begun = time.perf_counter()
                after.append(retrainer(weights, seed=seed))
                if i == 0:
                    view = retrainer.view if retrainer.view is not None else run.retrain(weights).view
                    self.after, self.seconds = After(basket_key(weights), view), time.perf_counter() - begun
                before.append(retrainer(seed=seed))
        made = label | {
            "key": basket_key(weights),
            "changed": int((weights != run.weights).sum()),
            "predicted": {t["name"]: t["predicted"] for t in totals(scores, weights)},
            "before": before[0],
            "after": after[0],
            "starts": [[b, a] for b, a in zip(before, after, strict=True)] if starts > 1 else None,
        }
        with self._lock:
            same = [f for f in self.found if f["key"] == made["key"] and f.get("n") == made.get("n")]
            known = [f for f in self.found if f not in same]
            kept = next((f["starts"] for f in same if f["starts"]), None)
            self.found = [*known, made | {"starts": made["starts"] or kept}][-MOST_FOUND:]
        run.store.save(FOUND, self.found)
        return made

    def objective(self, written: str | None, sets: dict[str, Any] | None) -> Any:
        """An objective as it was typed: KIND:arguments, or a test's word sets; UserError for others, and for a file."""
        if (written is None) == (sets is None):
            raise UserError("Give the words of a test, or one objective such as similarity:doctor/he.")
        value = parse(written) if written is not None else {"type": "weat"} | (sets or {})
        if "file" in value:
            raise UserError("Files are not read from here: name that objective with `crossloss score RUN --objective`.")
        made = from_dict(value)
        if not made.name:
            made = from_dict(value | {"name": made.default_name()})
        made.lookup(self.model.word_index)
        return made

    def value(self, objective: Any) -> dict[str, Any]:
        """What a new objective is of this run: value, p, what it means, the words that are missing."""
        counts = self.model.vocabulary.occurrences if self.words else {}
        missing = [word for row in objective.coverage(counts) for word in row.missing]
        metrics = self.run.store.metrics
        return self._test(objective) | {
            "name": objective.name,
            "meaning": clean(objective.interpretation()),
            "missing": [clean(word) for word in missing],
            "seconds": metrics.get("score.seconds"),
            "known": objective.name in self.scores.names,
        }

    def score(self, objective: Any) -> None:
        """Begin to score one more objective, which the run then has; UserError for a name that it has."""
        self.need("words")
        if objective.name in self.scores.names:
            raise UserError(f"The run has an objective named {objective.name}: give yours another name.")
        self.worker.start(f"scoring {clean(objective.name)}", lambda: self._scored(objective))

    def _scored(self, objective: Any) -> dict[str, Any]:
        chosen = self.run.store.manifest.get("estimator", {})
        scores = compute_scores(self.run, [*self.scores.objectives, objective], **chosen)
        self.run.remember([objective])
        self.run.results.scores = scores
        self._use(scores)
        return {"objective": objective.name}

    def save_plan(self, basket: Basket, name: str) -> dict[str, Any]:
        """Write a basket as plan-basket-NAME.parquet into the run folder; returns the file and the command for it."""
        weights = self.weights(basket)
        if not weights.any():
            raise UserError("Nothing would be left to train on: take something out of the basket.")
        file = f"plan-basket-{name}.parquet"
        with self.worker.idle():
            self.run.store.save(file, plan_of(self.scores, weights))
        return {"file": clean(str(self.path / file)), "command": self._command(file)}

    def _command(self, file: str) -> str:
        import shlex

        source = self.model.corpus.source if self.words else "CORPUS"
        return clean(f"crossloss train {shlex.quote(source)} --weights {shlex.quote(str(self.path / file))} --out RUN")

    def need(self, what: str) -> None:
        """Refuse what this run cannot do."""
        if what in self.cannot:
            raise UserError(self.cannot[what])
