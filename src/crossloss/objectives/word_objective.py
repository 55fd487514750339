"""What every objective of word vectors shares: its words by set, their coverage, their vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.algebra import BaseObjective
from crossloss.text.tokens import foreign


class WordView(Protocol):
    """What a word objective sees: rows of ``vectors`` (V, d) by word."""

    @property
    def index(self) -> Mapping[str, int]:
        """Row of each word."""

    @property
    def vectors(self) -> Tensor:
        """Word vectors (V, d)."""

    @property
    def initial(self) -> Tensor | None:
        """The same before the first step; None where no run is known."""


@dataclass(frozen=True)
class Coverage:
    """Words of one set that a vocabulary has, with their counts, and those it lacks.

    Examples
    --------
    >>> for words in weat.coverage(run.model.vocabulary.occurrences):
    ...     print(words.label, words.present, words.missing)
    """

    side: str
    label: str
    present: tuple[tuple[str, int], ...]
    missing: tuple[str, ...]

    @property
    def row(self) -> tuple[str, str, str, str]:
        """For a table: the set, how many of its words are present, which with their counts, and which are missing."""
        name = self.side if self.label == self.side else f"{self.side}: {self.label}"
        words = ", ".join(f"{word} {count}" for word, count in self.present)
        number = f"{len(self.present)} of {len(self.present) + len(self.missing)}"
        return name, number, words, ", ".join(self.missing)


class WordObjective(BaseObjective):
    """An objective made of named sets of words, ``sets``.

    Words that the vocabulary lacks are left out of their set, the other sets stay as they are; a set with fewer than
    ``least`` words present is an error.

    Examples
    --------
    >>> isinstance(weat, cl.objectives.WordObjective), weat.sets["X"][:2]
    (True, ('math', 'algebra'))
    """

    arguments: ClassVar[Sequence[str]] = ()
    """Fields that hold words: those that it is registered with."""
    least: ClassVar[int] = 1

    @property
    def sets(self) -> Mapping[str, Sequence[str]]:
        """Its words by set."""
        given = {name: getattr(self, name) for name in self.arguments}
        return {name: (words,) if isinstance(words, str) else words for name, words in given.items() if words}

    def default_name(self) -> str:
        """Made of its type and its words."""
        return name_from_words(self.type, *self.sets.values())

    def interpretation(self) -> str:
        """``meaning``, with the words of sets for their names."""
        return self.meaning.format(self, **{side: join_words(words) for side, words in self.sets.items()})

    def label(self, side: str) -> str:
        """What a set is called."""
        return side

    @property
    def words(self) -> Sequence[str]:
        """All its words, each once."""
        return tuple(dict.fromkeys(word for words in self.sets.values() for word in words))

    def lookup(self, index: Mapping[str, int]) -> dict[str, list[int]]:
        """Rows of the words present, by set; UserError for fewer than ``least`` of one in the vocabulary."""
        return {side: self.present(side, words, index) for side, words in self.sets.items()}

    def present(self, side: str, words: Sequence[str], index: Mapping[str, int]) -> list[int]:
        """Rows of the words of one set that are present; UserError for fewer than ``least``."""
        missing = [word for word in words if word not in index]
        if len(words) - len(missing) >= self.least:
            return [index[word] for word in words if word in index]
        cut = foreign(missing, index)
        if len(words) == 1 and self.least == 1:
            advice = cut or "name this objective when training, add text, or choose another word"
            raise UserError(f"{self.name}: the vocabulary lacks the word {words[0]!r}: {advice}.")
        label = f"{self.label(side)}; " if self.label(side) != side else ""
        needed = "one is" if self.least == 1 else "two are"
        raise UserError(
            f"{self.name}: the vocabulary has {len(words) - len(missing)} of the {len(words)} words of {side} "
            f"({label}missing: {', '.join(missing)}) and {needed} needed: {cut or 'add text, or words to the set'}."
        )

    def units(self, view: WordView) -> dict[str, Tensor]:
        """Vectors of the words present, each of length 1, by set: (words, d); UserError as ``unit_rows``."""
        return {side: self.unit_rows(view, rows, side) for side, rows in self.lookup(view.index).items()}

    def vectors(self, view: WordView, rows: Sequence[int], side: str) -> Tensor:
        """Vectors of some rows, (rows, d); UserError where one is not finite."""
        vectors = view.vectors[torch.tensor(rows, device=view.vectors.device)]
        if not bool(torch.isfinite(vectors).all()):
            raise UserError(f"{self.name}: a word of {side} has a vector that is not finite: train with a lower lr.")
        return vectors

    def unit_rows(self, view: WordView, rows: Sequence[int], side: str) -> Tensor:
        """Vectors of some rows, each of length 1, (rows, d); UserError where one has no direction or is not finite."""
        vectors = self.vectors(view, rows, side)
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        if not bool((lengths > 0).all()):
            raise UserError(f"{self.name}: a word of {side} has a vector of length zero, which has no direction.")
        unit: Tensor = vectors / lengths
        return unit

    def coverage(self, counts: Mapping[str, int]) -> list[Coverage]:
        """Which words of each set occur, and how often."""
        table = []
        for side, words in self.sets.items():
            present = tuple((word, counts[word]) for word in words if counts.get(word, 0) > 0)
            table.append(Coverage(side, self.label(side), present, tuple(w for w in words if not counts.get(w, 0))))
        return table


def halves_of(
    words: Sequence[str], index: Mapping[str, int], generator: np.random.Generator, subject: str
) -> tuple[list[str], list[str]]:
    """The words in ``index``, split in two at random, each in its order; of an odd number the first has one more.

    UserError for fewer than four, in a sentence that starts with ``subject``.
    """
    present = [word for word in words if word in index]
    if len(present) < 4:
        raise UserError(f"{subject} {len(present)} words present; halves need four.")
    order, middle = generator.permutation(len(present)), (len(present) + 1) // 2
    first, second = ([present[i] for i in sorted(part)] for part in (order[:middle], order[middle:]))
    return first, second


def join_words(words: Sequence[str]) -> str:
    """Words for a sentence: all of three, else the first two and how many more."""
    return ", ".join(words) if len(words) <= 3 else f"{words[0]}, {words[1]} and {len(words) - 2} more"


def name_from_words(kind: str, *sets: Sequence[str]) -> str:
    """Name of an objective that was given none: similarity-he-nurse, margin-dooku-vader_and_2-kirk."""
    parts = [words[0] if len(words) == 1 else f"{words[0]}_and_{len(words) - 1}" for words in sets if words]
    return "-".join("".join(c if c.isalnum() or c in "-_" else "_" for c in part) for part in (kind, *parts))
