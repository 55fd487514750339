"""The WNC study: association tests on both sides of the Wiki Neutrality Corpus (paper Sec. 4.3, Tables 2, 3, 7).

What makes the tests large on the biased side and on the neutralised one, and which edits move them.

D_B and D_N are one corpus with other weights (``text.versions.VersionedCorpus``): the same words, counts, initial
vectors and step sizes. So the two models differ by the edits alone, every version not trained on is a candidate, and
D_N is D_B with all edits applied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossloss.core import UserError
from crossloss.edits import Edit, Edits, score_sample_edits
from crossloss.models.skipgram.explain import explain_text
from crossloss.models.skipgram.model import SkipGram, require_skipgram
from crossloss.models.skipgram.settings import split_settings
from crossloss.objectives.permutation import PermutationResult, permutation_test
from crossloss.objectives.weat import Weat
from crossloss.progress import track
from crossloss.reading import near_duplicates
from crossloss.run.folder import RunFolder
from crossloss.run.run import Run
from crossloss.run.train import train
from crossloss.scores import Scores, score
from crossloss.text.read import Corpus
from crossloss.text.versions import Side, VersionedCorpus
from crossloss.validation.retrain import Retrainer

CONVENTIONS: Mapping[str, Mapping[str, Any]] = {
    "word2vec": {"negatives": 10.0, "exponent": 0.75},
    "paper": {"negatives": 1.0, "exponent": 1.0},
}
"""Ten negatives summed, noise to the power .75 (word2vec); and what the published code trains, whatever it draws."""
SIDES: Mapping[Side, str] = {"before": "biased", "after": "neutral"}
"""D_B is made of the earlier versions, D_N of the later ones."""
SETTINGS: Mapping[str, Any] = {"window": 10, "dimension": 100, "max_words": 10_000}
"""The paper's (App. H), at most 10,000 words beside the tests' own."""
APPLIED = 100
EDITS_SHOWN = 10
SENTENCES_SHOWN = 5


@dataclass(frozen=True)
class Sentence:
    """A sentence of the corpus (not of the background) and what removing it is predicted to do.

    Attributes
    ----------
    text : str
    effect : float
        Effect if removed.
    rank : int
        Among all sentences of its side, the background's too; 1 is the strongest of its set.
    spans : list of (start, end, part of the effect)
    alike : int
        Near-duplicates of it among the sentences of its sign, which are not shown.
    """

    text: str
    effect: float
    rank: int
    spans: list[tuple[int, int, float]]
    alike: int = 0


@dataclass(frozen=True)
class Shared:
    """A sentence that is strong on both sides: both versions, and the effects if removed on D_B and on D_N."""

    before: str
    after: str
    effects: tuple[float, float]


@dataclass(frozen=True)
class Applied:
    """Edits applied together: how many, and the change of the test as predicted and as retrained."""

    edits: int
    predicted: float
    retrained: float


@dataclass(frozen=True)
class Convention:
    """What one convention of negatives gave, by test.

    Attributes
    ----------
    measured : dict of (side, test) -> PermutationResult
    sentences : dict of (side, test, "A" or "M") -> list of Sentence
        Those that amplify the size of the test most, and those that mitigate it most.
    shared : dict of test -> list of Shared
    overlap : dict of test -> int
        How many of D_B's strongest sentences are among D_N's, of as many as ``applied`` has edits.
    edits : dict of test -> list of Edit
        The strongest of D_B.
    applied : dict of (test, set) -> Applied
        ``top``: the strongest either way; ``nearer``: those that bring the test nearest to zero; ``random``: as many at
        random, the same for every test; ``all``: D_N.
    agreement : dict of test -> float
        Correlation of the edits' effects as predicted on D_B and on D_N.
    """

    measured: dict[tuple[str, str], PermutationResult]
    sentences: dict[tuple[str, str, str], list[Sentence]]
    shared: dict[str, list[Shared]]
    overlap: dict[str, int]
    edits: dict[str, list[Edit]]
    applied: dict[tuple[str, str], Applied]
    agreement: dict[str, float]


@dataclass(frozen=True)
class WncStudy:
    """What the study found.

    Attributes
    ----------
    tests : list of str
    sizes : dict
        pairs, same, background, words: sentences and the size of the vocabulary.
    applied : int
        Edits of ``top``, ``nearer`` and ``random``.
    conventions : dict of name -> Convention
    """

    tests: list[str]
    sizes: dict[str, int]
    applied: int
    conventions: dict[str, Convention]

    def metrics(self) -> dict[str, float]:
        """Flat figures wnc.CONVENTION.SIDE.NAME.effect (.p_value, ...) and edits.NAME.top100.predicted (...).

        Predicted and retrained are changes of the test. Of the paper's convention: wnc.paper.edits.NAME. ...
        """
        found: dict[str, float] = {f"wnc.{name}": value for name, value in self.sizes.items()}
        for label, convention in self.conventions.items():
            for (side, test), result in convention.measured.items():
                start = f"wnc.{label}.{side}.{test}"
                found |= {
                    f"{start}.effect": result.effect,
                    f"{start}.p_value": result.p_value,
                    f"{start}.p_value_two_sided": result.p_value_two_sided,
                }
            for test in self.tests:
                found[f"wnc.{label}.{test}.overlap"] = convention.overlap[test]
                found[f"wnc.{label}.{test}.agreement"] = convention.agreement[test]
            for (test, chosen), done in convention.applied.items():
                size = "" if chosen == "all" else self.applied
                start = f"edits.{test}.{chosen}{size}"
                start = start if label == "word2vec" else f"wnc.{label}.{start}"
                found |= {f"{start}.predicted": done.predicted, f"{start}.retrained": done.retrained}
        return found


def passes(tests: int) -> tuple[int, int]:
    """Trainings and scorings that the study takes: both sides of both conventions, and edits retrained in each."""
    return len(CONVENTIONS) * (len(SIDES) + 2 * tests + 1), len(CONVENTIONS) * len(SIDES)


def enough_text(corpus: Corpus, tests: Sequence[Weat]) -> None:
    """Refuse tests whose words the corpus lacks, before anything is trained.

    Raises
    ------
    UserError
        Fewer than two words of a set occur.
    """
    index = {word: i for i, word in enumerate(corpus.types)}
    for test in tests:
        try:
            test.lookup(index)
        except UserError as error:
            raise UserError(f"{error} --background FILE adds the same text to both sides.") from error


def train_biased(both: VersionedCorpus, tests: Sequence[Weat], out: Path, **settings: Any) -> Run:
    """Train D_B in word2vec's convention: the run that the study goes out from.

    Raises
    ------
    UserError
        Too little text for a test, or as ``train``.
    """
    enough_text(both.corpus, tests)
    given, recipe = split_settings(**(dict(SETTINGS) | settings | dict(CONVENTIONS["word2vec"])))
    model = SkipGram(both.corpus, keep_words=[word for test in tests for word in test.words], **given)
    return train(model, recipe.optimiser, steps=recipe.steps, seed=recipe.seed, weights=both.weights("before"), out=out)


def wnc_study(run: Run, both: VersionedCorpus, tests: Sequence[Weat], *, applied: int = APPLIED) -> WncStudy:
    """Train the other side and the other convention, score, and apply edits; a stopped study goes on.

    Parameters
    ----------
    run : Run
        D_B in word2vec's convention (``train_biased``), in a folder; the other three runs are folders in it.
    both : VersionedCorpus
        What it was trained on.
    tests : sequence of Weat
    applied : int
        Edits applied at once.
    """
    store, model = run.store, require_skipgram(run.model, "The study")
    assert isinstance(store, RunFolder), "the study works on a run in a folder"
    found = {}
    for label, convention in CONVENTIONS.items():
        runs: dict[Side, Run] = {}
        try:
            for side, name in SIDES.items():
                where = "-".join(part for part in (label.replace("word2vec", ""), name) if part)
                first = label == "word2vec" and side == "before"
                other = model if label == "word2vec" else model.changed(**convention)
                runs[side] = run if first else train(
                    other, run.given_optimiser, steps=run.steps, seed=run.seed, weights=both.weights(side),
                    out=store.file(where), memory=f"{run.memory}B",
                )  # fmt: skip
            found[label] = _convention(runs, both, tests, applied)
        finally:
            for opened in runs.values():
                if opened is not run:
                    opened.close()
    sizes = {
        "pairs": both.pairs,
        "same": both.own - 2 * both.pairs,
        "background": len(both.corpus) - both.own,
        "words": len(model.vocabulary.words),
    }
    return WncStudy([test.name for test in tests], sizes, applied, found)


def _convention(runs: Mapping[Side, Run], both: VersionedCorpus, tests: Sequence[Weat], applied: int) -> Convention:
    measured, sentences = {}, {}
    scores: dict[Side, Scores] = {}
    for side, run in runs.items():
        scores[side] = score(run, tests)
        for test in tests:
            result = measured[SIDES[side], test.name] = permutation_test(test, run.view)
            for name, sign in (("A", 1.0), ("M", -1.0)):
                key = SIDES[side], test.name, name
                sentences[key] = _sentences(scores[side], both, test.name, sign * np.sign(result.effect))
    edits = score_sample_edits(scores["before"], both.before, both.after)
    back = score_sample_edits(scores["after"], both.before, both.after)
    runs["before"].store.save("edits.parquet", edits.table())
    shared, overlap = {}, {}
    for test in tests:
        shared[test.name], overlap[test.name] = _shared(scores, both, test.name, applied)
    return Convention(
        measured=measured,
        sentences=sentences,
        shared=shared,
        overlap=overlap,
        edits={t.name: [edits.edit(i, t) for i in edits.strongest(EDITS_SHOWN, t)] for t in tests},
        applied=_applied(runs, edits, tests, applied),
        agreement={t.name: _correlation(edits.of(t), back.of(t)) for t in tests},
    )


def _sentences(scores: Scores, both: VersionedCorpus, test: str, sign: float) -> list[Sentence]:
    """Sentences of one side, without the background, with the largest score times ``sign``; near-duplicates as one."""
    size = np.where(scores.run.weights > 0, scores.of(test) * sign, -np.inf)
    order = np.argsort(-size, kind="stable")
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    own = order[(order < both.own) & (size[order] > 0)]
    effects, found = scores.effects(test), []
    model = require_skipgram(scores.run.model, "The study")
    texts = model.corpus.texts
    for i, *alike in near_duplicates(scores, own, SENTENCES_SHOWN):
        text = texts[i]
        spans = [(a, b, -value) for a, b, value in explain_text(model, scores.atoms[scores.index_of(test)], text).spans]
        found.append(Sentence(text, float(effects[i]), int(ranks[i]), spans, len(alike)))
    return found


def _shared(scores: Mapping[Side, Scores], both: VersionedCorpus, test: str, applied: int) -> tuple[list[Shared], int]:
    """Sentences strong on both sides in one direction, and how many of the strongest of either side are the other's."""
    same = np.arange(2 * both.pairs, both.own)
    numbers = {"before": np.concatenate([both.before, same]), "after": np.concatenate([both.after, same])}
    on = {side: scores[side].of(test)[numbers[side]] for side in SIDES}
    least = np.minimum(np.abs(on["before"]), np.abs(on["after"])) * (on["before"] * on["after"] > 0)
    texts = both.corpus.texts
    found = []
    for i in np.argsort(-least, kind="stable")[:SENTENCES_SHOWN]:
        if least[i] > 0:
            old, new = (texts[numbers[side][i]] for side in SIDES)
            found.append(Shared(old, new, (-float(on["before"][i]), -float(on["after"][i]))))
    first, second = (set(np.argsort(-np.abs(on[side]), kind="stable")[:applied].tolist()) for side in SIDES)
    return found, len(first & second)


def _applied(
    runs: Mapping[Side, Run], edits: Edits, tests: Sequence[Weat], count: int
) -> dict[tuple[str, str], Applied]:
    retrainer = Retrainer(runs["before"], tests)
    found = {}
    control = np.random.default_rng(0).permutation(len(edits))[:count]
    with track("retraining with edits") as progress:
        for number, test in enumerate(tests):
            value = edits.scores.values[test.name]
            nearer = edits.strongest(count, test, sign=-int(np.sign(value)))
            sets = {"top": edits.strongest(count, test), "nearer": nearer, "random": control}
            for name, chosen in sets.items():
                weights = edits.apply(chosen)
                change = retrainer(weights)[test.name] - value
                found[test.name, name] = Applied(len(chosen), edits.predicted(weights, test), change)
            progress(number + 1, len(tests))
    for test in tests:
        change = float(test(runs["after"].view)) - edits.scores.values[test.name]
        found[test.name, "all"] = Applied(len(edits), float(edits.of(test).sum()), change)
    return found


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; 0 where one of them is constant."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
