"""Words that a removal depletes: where much of a word goes, it is learnt from little, and first order may miss."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from crossloss.models.skipgram.model import SkipGram
from crossloss.run.run import Run
from crossloss.text.vocabulary import known_words

MUCH = 0.25
"""Part of a word's occurrences from which it counts as depleted."""


@dataclass(frozen=True)
class DepletedWord:
    """A word of which ``inside`` of all ``count`` occurrences are in a set of ``samples`` samples."""

    word: str
    inside: int
    count: int
    samples: int

    def sentence(self, predicted: bool = True) -> str:
        """What a reader must know of it: of a ``predicted`` value, or of one that was retrained."""
        here = "this sentence" if self.samples == 1 else f"these {self.samples:,} sentences"
        return (
            f"{self.inside:,} of the {self.count:,} occurrences of {self.word!r} are in {here}: without them it is "
            f"learnt from little{', and the prediction may miss' if predicted else ''}."
        )


def depleted_words(run: Run, words: Iterable[str], removed: np.ndarray, much: float = MUCH) -> list[DepletedWord]:
    """Words of which at least the part ``much`` of all occurrences trained on is in the samples ``removed``.

    Largest part first.
    """
    if not isinstance(run.model, SkipGram):
        return []
    size = len(run.model.vocabulary.words)
    chosen = np.zeros(len(run.model.corpus), dtype=bool)
    chosen[removed] = True
    trained = run.weights > 0
    counts, inside = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for block, tokens, sample in known_words(run.model.corpus, run.model.vocabulary):
        kept = trained[block][sample]
        counts += np.bincount(tokens[kept], minlength=size)
        inside += np.bincount(tokens[kept & chosen[block][sample]], minlength=size)
    rows = [run.model.vocabulary.index[w] for w in dict.fromkeys(words) if w in run.model.vocabulary.index]
    rows = [i for i in rows if inside[i] and inside[i] >= much * counts[i]]
    rows.sort(key=lambda i: -inside[i] / counts[i])
    return [DepletedWord(run.model.vocabulary.words[i], int(inside[i]), int(counts[i]), len(removed)) for i in rows]
