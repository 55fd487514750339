"""Transfer: does a plan made here change another trainer's model? gensim's Word2Vec on the corpus before and after."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from crossloss.core import Objective
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.model import require_skipgram
from crossloss.run.run import Run
from crossloss.run.store import Entry, content_key
from crossloss.utils.extras import needed
from crossloss.utils.progress import track
from crossloss.utils.statistics import deviation

EPOCHS = 10


def copies(weights: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Whole numbers of copies (n,) int64 with the weights as their expectation: the fraction is drawn."""
    whole = np.floor(weights)
    return np.asarray(whole + (generator.random(len(weights)) < weights - whole), dtype=np.int64)


class Copies:
    """Sentences of a corpus as lists of words of a vocabulary, each as often as its weight says, drawn anew each time.

    Over the epochs of a trainer the copies average to the weights.
    """

    def __init__(self, run: Run, weights: np.ndarray, seed: int) -> None:
        model, self.weights = require_skipgram(run.model, "Transfer"), weights
        self._generator = np.random.default_rng(seed)
        known = set(model.vocabulary.words)
        types = [word if word in known else None for word in model.corpus.types]
        tokens, ends = model.corpus.tokens, model.corpus.indptr
        self._sentences = [
            [word for word in (types[t] for t in tokens[a:b]) if word is not None] for a, b in pairwise(ends)
        ]

    def __iter__(self) -> Iterator[list[str]]:
        for sentence, number in zip(self._sentences, copies(self.weights, self._generator), strict=True):
            for _ in range(number):
                yield sentence


@dataclass(frozen=True)
class Transfer:
    """One objective in another trainer's models, by seed, before and after."""

    before: list[float]
    after: list[float]

    @property
    def spread(self) -> tuple[float, float]:
        """Standard deviations between seeds before and after."""
        return deviation(self.before), deviation(self.after)

    @property
    def significant(self) -> bool:
        """Whether the means differ by more than twice the standard error of their difference."""
        error = np.sqrt(sum(s**2 / len(self.before) for s in self.spread))
        return bool(abs(np.mean(self.after) - np.mean(self.before)) > 2 * error)

    def metrics(self, start: str) -> dict[str, float]:
        """Flat figures START.before, .before_sd, .after, .after_sd."""
        sides = zip(("before", "after"), (self.before, self.after), self.spread, strict=True)
        pairs = [(side, float(np.mean(values)), sd) for side, values, sd in sides]
        return {f"{start}.{side}": mean for side, mean, _ in pairs} | {f"{start}.{s}_sd": sd for s, _, sd in pairs}

    @property
    def verdict(self) -> str:
        """In a few words, whether it carries over and to which side."""
        if not self.significant:
            return "not beyond the spread"
        return "yes" if abs(np.mean(self.after)) < abs(np.mean(self.before)) else "yes, but farther from 0"


def transfer(
    run: Run,
    objectives: Sequence[Objective],
    weights: np.ndarray,
    seeds: Sequence[int],
    *,
    epochs: int = EPOCHS,
    entry: Entry | None = None,
) -> dict[str, Transfer]:
    """Train gensim's Word2Vec with the run's settings on the corpus as it was and as corrected.

    Parameters
    ----------
    weights : (n,) array
        The plan.
    seeds : sequence of int
        Of gensim's draws; each is one model before and one after.
    entry : Entry, optional
        Where each model's figures are stored, by weights and seed: a stopped transfer goes on, and no model is trained
        twice. Its key must identify the objectives.

    Raises
    ------
    UserError
        gensim is not installed, or an objective asks for more than vectors: where they began, a text's likelihood.
    """
    with needed("gensim", "Transfer"):
        from gensim.models import Word2Vec
    done: dict[str, dict[str, float]] = {} if entry is None else entry.load() or {}
    model = require_skipgram(run.model, "Transfer")
    settings = model.settings
    own = replace(run.view, initial=None, field=None)
    for o in objectives:  # before the work: what gensim's models have no answer to
        o(own)
    before, after = (content_key(w.tolist())[:16] for w in (run.weights, weights))
    sides = {before: run.weights, after: weights}
    with track("training gensim's Word2Vec") as progress:
        for number, (side, seed) in enumerate((side, seed) for seed in seeds for side in sides):
            progress(number, len(sides) * len(seeds))
            if f"{side}.{seed}" in done:
                continue
            word2vec = Word2Vec(
                vector_size=settings.dimension,
                window=settings.window,
                min_count=1,
                sample=settings.subsample,
                negative=max(1, round(settings.negatives)),
                ns_exponent=settings.exponent,
                sg=1,
                workers=1,  # more would not be reproducible
                seed=seed,
                epochs=epochs,
            )
            # Words and their frequencies are those of the corpus as it was, for both sides.
            word2vec.build_vocab_from_freq(model.vocabulary.occurrences)
            chosen = Copies(run, sides[side], seed)
            word2vec.train(chosen, total_examples=round(float(sides[side].sum())), epochs=epochs)
            words = list(word2vec.wv.index_to_key)
            vectors = torch.from_numpy(np.array(word2vec.wv.vectors))
            contexts = torch.from_numpy(np.array(word2vec.syn1neg))
            view = Embeddings(words, {w: i for i, w in enumerate(words)}, vectors, contexts)
            done[f"{side}.{seed}"] = {o.name: float(o(view)) for o in objectives}
            if entry is not None:
                entry.save(done)
    return {
        o.name: Transfer(*([done[f"{side}.{seed}"][o.name] for seed in seeds] for side in (before, after)))
        for o in objectives
    }
