"""Robustness of a measure: how few samples decide it (Broderick, Giordano, Meager 2020), verified by retraining."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crossloss.core import UserError
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives.permutation import permutation_test
from crossloss.objectives.weat import Weat
from crossloss.run.run import Run
from crossloss.scores import Scores
from crossloss.text.vocabulary import known_words
from crossloss.utils.inputs import grouped
from crossloss.utils.progress import track

LEVEL = 0.05
VERDICTS = ("zero", "insignificant")

Measured = tuple[float, float]
"""Objective and two-sided p-value."""


@dataclass(frozen=True, eq=False)
class SmallestFlip:
    """The smallest set found whose removal changes what a measure says.

    Attributes
    ----------
    verdict : str
        zero (the objective is at zero or beyond it: its sign flips) or insignificant (two-sided p > .05).
    removed : int64 array
        Samples, strongest first.
    trained : int
        Samples of positive weight.
    before, after : float
        The objective, as retrained.
    p_before, p_after : float
        Two-sided p-values, as retrained.
    found : bool
        False where removing every helpful sample up to the limit does not do it; then the set is that limit.

    Examples
    --------
    >>> flip = cl.smallest_flip(scores, "weat7", most=0.5)
    >>> print(flip.found, len(flip.removed), flip.before, flip.after)
    >>> print(flip.sentence())
    """

    name: str
    verdict: str
    removed: np.ndarray
    trained: int
    before: float
    after: float
    p_before: float
    p_after: float
    found: bool

    @property
    def share(self) -> float:
        """Part of the samples trained on."""
        return len(self.removed) / self.trained

    def sentence(self) -> str:
        """What was found, for a reader."""
        several = f"{len(self.removed):,} of {self.trained:,} sentences"
        if not self.found:
            return f"{self.name} stands: removing the {several} that hold it up most leaves it at {self.after:+.3f}."
        if not len(self.removed):
            return f"{self.name} ({self.before:+.3f}) is not significant as it is (p = {self.p_before:.3f})."
        what = (
            f"p rises from {self.p_before:.3g} to {self.p_after:.3g}"
            if self.verdict == "insignificant"
            else (f"it goes from {self.before:+.3f} to {self.after:+.3f}")
        )
        verb = "decides" if len(self.removed) == 1 else "decide"
        return f"{several} {verb} {self.name}: retrained without them, {what}."

    def metrics(self) -> dict[str, float]:
        """Flat figures robustness.NAME.smallest_set, .share, .retrained; robustness.NAME.significance.* of p."""
        start = f"robustness.{self.name}" + (".significance" if self.verdict == "insignificant" else "")
        figures = {"smallest_set": len(self.removed), "share": self.share, "retrained": self.after}
        return {f"{start}.{name}": float(value) for name, value in figures.items()} if self.found else {}


def smallest_flip(
    scores: Scores, objective: str | Weat | None = None, verdict: str = "zero", *, most: float = 0.05
) -> SmallestFlip:
    """Find the fewest samples, strongest first, whose removal brings a test to zero or makes it insignificant.

    How many are needed is found by retraining, by doubling and halving, so the set does it and the last smaller one
    tried does not. Another, smaller set may exist. No retraining is done twice.

    Parameters
    ----------
    scores : Scores
        Whose ranking is taken.
    objective : str or Weat, optional
        The first scored where None.
    verdict : "zero" or "insignificant"
    most : float
        Largest share of the samples to remove.

    Raises
    ------
    UserError
        Another verdict, an objective that is no test, or scores that are not finite.

    Examples
    --------
    >>> print(cl.smallest_flip(scores, "weat7", "insignificant", most=0.5).sentence())
    """
    run, weat = scores.run, scores.objectives[scores.index_of(objective)]
    if not isinstance(weat, Weat):
        raise UserError(f"The smallest flip is of an association test, and {weat.name} is none.")
    if verdict not in VERDICTS:
        raise UserError(f'The verdict is "zero" or "insignificant", not {verdict!r}.')
    if not np.isfinite(scores.of(weat)).all():
        raise UserError("The smallest flip needs finite scores.")
    start = permutation_test(weat, run.view)
    sign = np.sign(start.effect)
    effects = scores.of(weat) * run.weights * sign
    order = np.argsort(-effects, kind="stable")
    order = order[effects[order] > 0]
    trained = int((run.weights > 0).sum())
    limit = min(len(order), trained - 1, max(1, int(most * trained)))

    def measure(size: int) -> Measured:
        """Objective and p-value without the first ``size`` samples."""
        if not size:
            return start.effect, start.p_value_two_sided
        weights = run.weights.copy()
        weights[order[:size]] = 0.0

        def test() -> list[float]:
            result = permutation_test(weat, run.retrain(weights).view)
            return [result.effect, result.p_value_two_sided]

        effect, p_value = run.store.get_or_make("retrains/p-value", run.fingerprint(weat), weights, make=test)
        return effect, p_value

    def changed(found: Measured) -> bool:
        return found[0] * sign <= 0 if verdict == "zero" else found[1] > LEVEL

    predicted = int(np.searchsorted(np.cumsum(effects[order]), abs(start.effect))) + 1
    if verdict == "insignificant":
        predicted = max(1, predicted // 2)
    with track(f"smallest set that decides {weat.name}"):
        size, found = smallest_that(measure, changed, guess=predicted, limit=limit)
    flip = SmallestFlip(
        name=weat.name,
        verdict=verdict,
        removed=order[:size],
        trained=trained,
        before=start.effect,
        after=found[0],
        p_before=start.p_value_two_sided,
        p_after=found[1],
        found=changed(found),
    )
    run.results.flips.setdefault(weat.name, []).append(flip)
    return flip


def smallest_that(
    measure: Callable[[int], Measured], holds: Callable[[Measured], bool], *, guess: int, limit: int
) -> tuple[int, Measured]:
    """Smallest size in 0, ..., limit whose measure holds, and the measure, if it holds from some size on.

    Doubles or halves from ``guess`` until the size is enclosed, then bisects. Where it does not hold at the limit,
    the limit.
    """
    low, found = 0, measure(0)
    if holds(found):
        return 0, found
    high = min(max(guess, 1), limit)
    found = measure(high)
    while not holds(found):
        if high == limit:
            return limit, found
        low, high = high, min(2 * high, limit)
        found = measure(high)
    while high - low > 1:
        middle = (low + high) // 2
        tried = measure(middle)
        if holds(tried):
            high, found = middle, tried
        else:
            low = middle
    return high, found


@dataclass(frozen=True)
class Common:
    """What a set of samples has in common.

    Attributes
    ----------
    documents : list of (document, samples of the set, samples of the corpus)
        Most of the set first.
    words : list of (word, part of the set's samples with it, part of the corpus's)
        Words of several samples, more than twice as frequent in the set; by log-likelihood ratio.
    """

    documents: list[tuple[str, int, int]]
    words: list[tuple[str, float, float]]


def sentences(found: SmallestFlip, common: Common) -> list[str]:
    """What a reader must know of such a set: how few, then where they are from and their words."""
    lines = [found.sentence()]
    if len(found.removed) > 1 and common.documents:
        named = ", ".join(f"{document} ({mine} of its {whole})" for document, mine, whole in common.documents[:3])
        lines.append(f"Most are from: {named}.")
    if len(found.removed) > 1 and common.words:
        lines.append(f"Their words: {', '.join(word for word, _, _ in common.words)}.")
    return lines


def in_common(run: Run, samples: np.ndarray, count: int = 10) -> Common:
    """Documents and words that a set of samples shares more than chance would have it."""
    model = require_skipgram(run.model, "What sentences have in common")
    corpus, size = model.corpus, len(model.vocabulary.words)
    names, inverse = grouped(corpus.documents)
    whole, mine = np.bincount(inverse), np.bincount(inverse[samples], minlength=len(names))
    order = [i for i in np.argsort(-mine, kind="stable")[:count] if mine[i] and names[i]]
    chosen = np.zeros(len(corpus), dtype=bool)
    chosen[samples] = True
    everywhere, within = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for block, tokens, sample in known_words(corpus, model.vocabulary):
        pairs = np.unique(sample * size + tokens)
        everywhere += np.bincount(pairs % size, minlength=size)
        within += np.bincount(pairs[chosen[block][pairs // size]] % size, minlength=size)
    part, rest = within / max(len(samples), 1), everywhere / len(corpus)
    gain = np.where(
        (within > 1) & (part > 2 * rest), within * np.log(np.maximum(part, 1e-300) / np.maximum(rest, 1e-300)), 0
    )
    best = [i for i in np.argsort(-gain, kind="stable")[:count] if gain[i] > 0]
    return Common(
        [(names[i], int(mine[i]), int(whole[i])) for i in order],
        [(model.vocabulary.words[i], float(part[i]), float(rest[i])) for i in best],
    )
