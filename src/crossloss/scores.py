"""Scores of samples: tables, rankings, groups, and a sentence explained word pair by word pair."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import pyarrow as pa
from torch import Tensor

from crossloss import estimators
from crossloss.core import Accumulator, Estimator, Objective, UserError
from crossloss.estimators import ESTIMATORS
from crossloss.estimators.gradient import objective_values
from crossloss.fieldscores import FieldScores
from crossloss.inputs import read_only, row_numbers
from crossloss.models.skipgram.cooccurrence import co_occurrence
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.influence import PairInfluence, project
from crossloss.models.torch import ModelView
from crossloss.models.torch.outer import check_objectives
from crossloss.objectives import as_objective
from crossloss.objectives.stored import identity
from crossloss.objectives.weat import Weat
from crossloss.ranking import Named, Ranking
from crossloss.run import atomic
from crossloss.run.available import peak_memory
from crossloss.run.fields import FieldRun
from crossloss.run.folder import content_key
from crossloss.run.progress import Track, quiet
from crossloss.run.runs import Run
from crossloss.run.training import FileCheckpoint
from crossloss.text.pairs import near
from crossloss.text.tokens import tokenize

UNROLLED, CO_OCCURRENCE = "unrolled", "co-occurrence"
ESTIMATOR_NAMES = (*ESTIMATORS, CO_OCCURRENCE)


@dataclass(frozen=True)
class Scored:
    """One sample with its score for one objective.

    ``score`` is d f/d w_i in f's unit; ``effect_if_removed`` is minus the score times the sample's weight (a
    candidate's: times 1), the predicted change of f.
    """

    sample: int
    id: str
    document: str
    text: str
    score: float
    effect_if_removed: float
    rank: int
    share: float


@dataclass(frozen=True)
class Explanation:
    """A sentence taken apart.

    Attributes
    ----------
    text : str
    sample : int or None
        Its number among the samples trained on; None of a text that is none of them, which can only be added.
    score : float
        d f/d(weight of this sentence).
    pairs : list of (word, word, contribution)
        Strongest first; they add up to the score.
    spans : list of (start, end, contribution)
        Each token's share: half of every pair it is in.
    unseen : float
        Share of the sentence's expected pairs that no sample has, left out of the score.
    """

    text: str
    score: float
    pairs: list[tuple[str, str, float]]
    spans: list[tuple[int, int, float]]
    unseen: float
    sample: int | None = None
    weight: float = 1.0

    @property
    def effect_if_removed(self) -> float:
        """Minus the score, times the sample's weight (1 of a text that is no sample)."""
        return -self.score * self.weight

    @property
    def effect_if_added(self) -> float:
        """The score: what the objective is predicted to change by when the text is added once."""
        return self.score


class Scores(Ranking[Scored]):
    """Scores of every sample of a run for k objectives.

    Parameters
    ----------
    run : Run
    estimator : str
    objectives : sequence of Objective
    pairs : (k, m) array
        Derivative of each objective by the count of each pair in both orders; read-only.
    """

    def __init__(self, run: Run, estimator: str, objectives: Sequence[Objective], pairs: np.ndarray) -> None:
        self.run, self.pairs = run, read_only(pairs)
        samples = project(run.counts.matrix, pairs.astype(np.float64))
        view = run.embeddings
        values = {o.name: float(o(view)) for o in objectives}
        super().__init__(estimator, objectives, samples, run.weights, run.corpus.weights > 0, values)

    def _shown(self, sample: int, score: float, effect: float, rank: int, objective: Named) -> Scored:
        corpus, value = self.run.corpus, self.values[self.objectives[self.row(objective)].name]
        share = score / abs(value) if value else 0.0
        where = (corpus.ids[sample], corpus.documents[sample], corpus.texts[sample])
        return Scored(sample, *where, score, effect, rank, share)

    def documents(self, objective: Named = None) -> list[tuple[str, float, int]]:
        """(document, effect if removed, samples), strongest first."""
        return self.totals(self.run.corpus.documents, objective)

    def explain(self, sentence: str | int, objective: Named = None) -> Explanation:
        """Take a sentence apart, in the corpus (its number, or its text) or not (its text).

        Raises
        ------
        UserError
            No such sample, no text, or the sentence has no two words of the vocabulary.
        """
        text, sample = self._text_of(sentence)
        weight = 1.0 if sample is None else float(self.run.weights[sample])
        taken = replace(self.take_apart(text, objective), sample=sample, weight=weight)
        if len(taken.spans) < 2:
            raise UserError("The sentence has fewer than two words of the vocabulary, so it has no pairs.")
        return taken

    def _text_of(self, sentence: str | int) -> tuple[str, int | None]:
        """Text, and number of the sample that it is where it is one that was trained on."""
        corpus, weights = self.run.corpus, self.run.weights
        if isinstance(sentence, str):
            same = (i for i, text in enumerate(corpus.texts) if text == sentence and weights[i] > 0)
            return sentence, next(same, None)
        (number,) = row_numbers([sentence], len(corpus), "The number of the sentence").tolist()
        return corpus.texts[number], number if weights[number] > 0 else None

    def take_apart(self, text: str, objective: Named = None) -> Explanation:
        """``explain`` for any text: one with fewer than two words of the vocabulary has no pairs and scores 0."""
        run, values = self.run, self.pairs[self.row(objective)]
        tokens = [
            t for t in tokenize(text, run.corpus.token_pattern, run.corpus.form) if t.word in run.vocabulary.index
        ]
        words = np.array([run.vocabulary.index[t.word] for t in tokens], dtype=np.int64)
        at, to, count, known, column = pair_terms(run, words, np.zeros_like(words))
        contribution = np.where(known, values[column] * count, 0.0)
        by_token = np.bincount(at, contribution, len(words)) + np.bincount(to, contribution, len(words))
        by_pair: dict[tuple[str, str], float] = {}
        for a, b, value in zip(at, to, contribution, strict=True):
            pair = (tokens[a].word, tokens[b].word)
            pair = pair if pair[::-1] not in by_pair else pair[::-1]
            by_pair[pair] = by_pair.get(pair, 0.0) + float(value)
        return Explanation(
            text=text,
            score=float(contribution.sum()),
            pairs=sorted(((a, b, v) for (a, b), v in by_pair.items()), key=lambda p: -abs(p[2])),
            spans=[(t.start, t.end, float(v) / 2) for t, v in zip(tokens, by_token, strict=True)],
            unseen=float(count[~known].sum() / count.sum()) if len(count) else 0.0,
        )

    def table(self, retrained: Mapping[str, Mapping[int, float]] | None = None) -> pa.Table:
        """Sample, id, document, text, weight, and per objective score, effect_if_removed, rank and share.

        ``retrained`` gives, by objective, changes by sample that retraining without it found: one more column, null for
        the other samples.
        """
        corpus = self.run.corpus
        columns: dict[str, object] = {
            "sample": np.arange(len(corpus)),
            "id": pa.array(corpus.ids, pa.string()),
            "document": pa.array(corpus.documents, pa.string()),
            "text": pa.array(corpus.texts, pa.string()),
            "weight": self.run.weights,
        }
        for o in self.objectives:
            scores = self.of(o)
            columns[f"{o.name}.score"] = scores
            columns[f"{o.name}.effect_if_removed"] = self.effects(o)
            columns[f"{o.name}.rank"] = self.ranks(o)
            value = self.values[o.name]
            columns[f"{o.name}.share"] = scores / abs(value) if value else np.zeros_like(scores)
            if retrained and o.name in retrained:
                changes = [retrained[o.name].get(sample) for sample in range(len(corpus))]
                columns[f"{o.name}.retrained"] = pa.array(changes, pa.float64())
        return pa.table(columns).replace_schema_metadata(
            {"crossloss": json.dumps({"estimator": self.estimator, "values": self.values}, sort_keys=True)}
        )


def pair_terms(run: Run, words: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, ...]:
    """Pairs of positions in texts that need not be samples of the run.

    Parameters
    ----------
    words, sample : (t,) int64 arrays
        Vocabulary row, and number of its text, of every token of the vocabulary.

    Returns
    -------
    at, to, count, known, column : arrays, one entry a pair of positions
        Its two positions, its expected count, whether any sample of the run has this pair of words, and where.
    """
    parts = list(near(words, sample, run.vocabulary.keep, run.counts.window))
    if not parts:
        nowhere = np.empty(0, dtype=np.int64)
        return nowhere, nowhere, np.empty(0), nowhere.astype(bool), nowhere
    at, to, count = (np.concatenate(part) for part in zip(*parts, strict=True))
    count = np.where(words[at] == words[to], 2 * count, count)
    return at, to, count, *find_pairs(run.counts.pairs, words[at], words[to])


def find_pairs(pairs: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each pair (a, b), in either order, is among the sorted ``pairs`` (m, 2), and where."""
    size = int(max(pairs.max(initial=0), a.max(initial=0), b.max(initial=0))) + 1
    keys = pairs[:, 0].astype(np.int64) * size + pairs[:, 1]
    wanted = np.minimum(a, b).astype(np.int64) * size + np.maximum(a, b)
    column = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return keys[column] == wanted, column


@overload
def score(
    run: Run,
    objectives: Sequence[Objective | Callable[[Embeddings], Tensor]],
    estimator: str | Estimator = "unrolled",
    *,
    damping: float = 0.0,
    track: Track = quiet,
) -> Scores: ...
@overload
def score(
    run: FieldRun,
    objectives: Sequence[Objective | Callable[[ModelView], Tensor]],
    estimator: str | Estimator = "unrolled",
    *,
    damping: float = 0.0,
    track: Track = quiet,
) -> FieldScores: ...
def score(
    run: Run | FieldRun,
    objectives: Sequence[Objective | Callable[[Any], Tensor]],
    estimator: str | Estimator = "unrolled",
    *,
    damping: float = 0.0,
    track: Track = quiet,
) -> Scores | FieldScores:
    """Score every sample of a run for several objectives in one backward pass.

    Parameters
    ----------
    run : Run or FieldRun
    objectives : sequence
        Objectives, or functions that return a scalar tensor: of the embeddings, or of a field's ``ModelView``.
    estimator : str or Estimator
        "unrolled" (exact), "gradient-dot", "tracin", "inverse-hessian" and its kinds, or "co-occurrence"
        (association tests only); or an object with settings of its own, ``TracIn(every=10)``.
    damping : float
        Added to the curvature, for inverse-hessian estimators only.
    track : Track

    Raises
    ------
    UserError
        Unknown estimator, no objective, or one without a finite gradient; damping where there is no curvature.
    """
    if isinstance(objectives, str | Mapping) or not isinstance(objectives, Iterable):
        raise UserError("score takes a list of objectives: cl.score(run, [cl.objectives.weat(NAME)]).")
    chosen = [as_objective(o) for o in objectives]
    if not chosen:
        raise UserError("Name at least one objective to score.")
    names = [o.name for o in chosen]
    if len(set(names)) < len(names):
        raise UserError(f"Two objectives have the same name ({', '.join(sorted(names))}): rename one.")
    if estimator == CO_OCCURRENCE and isinstance(run, Run):
        if damping:
            raise UserError(f"{CO_OCCURRENCE} takes no damping: it is for the inverse-Hessian estimators.")
        return Scores(run, estimator, chosen, _co_occurrence(run, chosen))
    estimate = estimators.get(estimator, damping, others=(CO_OCCURRENCE,) if isinstance(run, Run) else ())
    if isinstance(run, FieldRun):
        check_objectives(run.field, run.theta, chosen)  # before the work
        with track(f"scoring ({estimate.name})") as progress:
            influence = estimate(run.training, chosen, progress=progress)
        return FieldScores(run, estimate.name, chosen, influence.samples().cpu().numpy())
    objective_values(run.embeddings, chosen)  # before the work
    return Scores(run, estimate.name, chosen, _influence(run, chosen, estimate, track))


def _co_occurrence(run: Run, objectives: Sequence[Objective]) -> np.ndarray:
    rows = []
    for o in objectives:
        if not isinstance(o, Weat):
            raise UserError(f"co-occurrence needs word sets X, Y, A, B, which {o.name} has not.")
        rows.append(co_occurrence(run.counts, run.vocabulary, {"X": o.X, "Y": o.Y, "A": o.A, "B": o.B}))
    return np.stack(rows)


def _influence(run: Run, objectives: Sequence[Objective], estimator: Estimator, track: Track) -> np.ndarray:
    """Pair influences (k, m) float32; as many objectives a pass as memory has room for."""
    at_once = run.needs.at_once(len(objectives), run.settings.steps, run.memory)
    groups = [objectives[i : i + at_once] for i in range(0, len(objectives), at_once)]
    start = time.perf_counter()
    rows, computed = [], False
    name, settings, estimate = estimator.name, estimator.settings(), estimator.at(run.training)
    for number, group in enumerate(groups):
        label = name if len(groups) == 1 else f"{name}-{number + 1}"
        row, fresh = _pass(run, group, label, settings, estimate, track)
        rows.append(row)
        computed |= fresh
    if run.folder is not None and name == "unrolled" and computed:
        run.folder.record({"score.seconds": time.perf_counter() - start, "peak_memory_bytes": peak_memory()})
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _pass(
    run: Run,
    objectives: Sequence[Objective],
    label: str,
    settings: object,
    estimate: Callable[..., Accumulator],
    track: Track,
) -> tuple[np.ndarray, bool]:
    """Pair influences of one pass, and whether it was made now."""
    folder = run.folder
    described = [objective_key(o) for o in objectives]
    if folder is None or settings is None or None in described:
        with track(f"scoring ({label})") as progress:
            return _pairs(estimate(objectives, progress=progress)), True
    stage, file = f"score.{label}", f"influence-{label}.safetensors"
    key = content_key(run.key, label, settings, described)
    checkpoint = FileCheckpoint(folder.file(f"backward-{key[:16]}.safetensors"), run.settings.device)
    fresh = not folder.done(stage, key, file)
    if fresh:
        with track(f"scoring ({label})") as progress:
            influence = estimate(objectives, progress=progress, checkpoint=checkpoint)
        atomic.write_arrays(folder.file(file), {"pairs": _pairs(influence)})
        folder.finish(stage, key)
    checkpoint.path.unlink(missing_ok=True)
    return atomic.read_arrays(folder.file(file))["pairs"], fresh


def _pairs(influence: Accumulator) -> np.ndarray:
    assert isinstance(influence, PairInfluence)
    return influence.unordered().astype(np.float32)


def objective_key(objective: Objective) -> object:
    """What identifies an objective across processes; None for a Python function, which nothing identifies."""
    return identity(objective)
