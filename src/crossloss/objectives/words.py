"""What every objective of word vectors says of itself: its words, their coverage, its unit, its sign."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.algebra import Composable
from crossloss.text.tokens import foreign, normal


@contextmanager
def naming(objective: str) -> Iterator[None]:
    """Begin what is refused inside with the name of the objective, once."""
    try:
        yield
    except UserError as error:
        said = str(error)
        raise UserError(said if said.startswith(f"{objective}: ") else f"{objective}: {said}") from error


class WordView(Protocol):
    """What a word objective sees: rows of ``vectors`` (V, d) by word."""

    @property
    def index(self) -> Mapping[str, int]:
        """Row of each word."""
        ...

    @property
    def vectors(self) -> Tensor:
        """Word vectors (V, d)."""
        ...


@dataclass(frozen=True)
class Coverage:
    """Words of one set that a vocabulary has, with their counts, and those it lacks."""

    side: str
    label: str
    present: tuple[tuple[str, int], ...]
    missing: tuple[str, ...]


LONGEST = 200
"""Characters of a word."""


class WordObjective(Composable):
    """An objective made of named sets of words; a subclass is a frozen dataclass with a ``name``.

    Its constructor cleans and checks its words (``one``, ``several``), so that it makes no difference whether they come
    from Python, from YAML or from the command line.

    Words that the vocabulary lacks are left out of their set, the other sets stay as they are; a set with fewer than
    ``least`` words present is an error.
    """

    least: ClassVar[int] = 1

    def _clean(self, **fields: Any) -> None:
        """Put cleaned words into the fields of a frozen dataclass."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _apart(self, first: str, second: str) -> None:
        """Refuse a word that stands in two sets which are set against each other."""
        both = set(getattr(self, first)) & set(getattr(self, second))
        if both:
            raise UserError(f"{', '.join(sorted(both))} stands in both {first} and {second}: name it in one of them.")

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
        """Its words by set."""
        raise NotImplementedError

    def label(self, side: str) -> str:
        """What a set is called."""
        return side

    @property
    def words(self) -> tuple[str, ...]:
        """All its words, each once."""
        return tuple(dict.fromkeys(word for words in self.sets.values() for word in words))

    def rows(self, index: Mapping[str, int]) -> dict[str, list[int]]:
        """Rows of the words present, by set.

        Raises
        ------
        UserError
            Fewer than ``least`` words of a set are in the vocabulary.
        """
        return {side: self.present(side, words, index) for side, words in self.sets.items()}

    def present(self, side: str, words: Sequence[str], index: Mapping[str, int]) -> list[int]:
        """Rows of the words of one set that are present; UserError for fewer than ``least``."""
        found = [index[word] for word in words if word in index]
        if len(found) < self.least:
            raise UserError(self._lacking(side, words, index))
        return found

    def _lacking(self, side: str, words: Sequence[str], index: Mapping[str, int]) -> str:
        missing = [word for word in words if word not in index]
        cut = foreign(missing, index)
        if len(words) == 1 and self.least == 1:
            advice = cut or "name this objective when training, add text, or choose another word"
            return f"{self.name}: the vocabulary lacks the word {words[0]!r}: {advice}."
        called = f"{self.label(side)}; " if self.label(side) != side else ""
        needed = "one is" if self.least == 1 else "two are"
        return (
            f"{self.name}: the vocabulary has {len(words) - len(missing)} of the {len(words)} words of {side} "
            f"({called}missing: {', '.join(missing)}) and {needed} needed: "
            f"{cut or 'add text, or words to the set'}."
        )

    def units(self, view: WordView) -> dict[str, Tensor]:
        """Vectors of the words present, each of length 1, by set: (words, d).

        Raises
        ------
        UserError
            Too few words, or a vector that is not finite or of length zero.
        """
        return {side: self.unit_rows(view, rows, side) for side, rows in self.rows(view.index).items()}

    def vectors(self, view: WordView, rows: Sequence[int], side: str) -> Tensor:
        """Vectors of some rows, (rows, d); UserError where one is not finite."""
        vectors = view.vectors[torch.tensor(rows, device=view.vectors.device)]
        if not bool(torch.isfinite(vectors).all()):
            raise UserError(f"{self.name}: a word of {side} has a vector that is not finite: train with a lower lr.")
        return vectors

    def unit_rows(self, view: WordView, rows: Sequence[int], side: str) -> Tensor:
        """Vectors of some rows, each of length 1, (rows, d); UserError where one has no direction."""
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

    @property
    def measure(self) -> str:
        """What the number is, and its unit, in a few words."""
        raise NotImplementedError

    def reading(self) -> str:
        """What sign and unit mean, in one sentence."""
        raise NotImplementedError


def listed(words: Sequence[str]) -> str:
    """Words for a sentence: all of three, else the first two and how many more."""
    if len(words) <= 3:
        return ", ".join(words)
    return f"{words[0]}, {words[1]} and {len(words) - 2} more"


def given_name(kind: str, *arguments: Sequence[str]) -> str:
    """Name of an objective that was given none: similarity-he-nurse, margin-dooku-vader_and_2-kirk."""
    parts = [words[0] if len(words) == 1 else f"{words[0]}_and_{len(words) - 1}" for words in arguments if words]
    return "-".join("".join(c if c.isalnum() or c in "-_" else "_" for c in part) for part in (kind, *parts))


def one(word: Any) -> str:
    """A word as the vocabulary has it: in normal form, case-folded.

    Raises
    ------
    UserError
        Not a string, nothing but white space, or longer than 200 characters.
    """
    if not isinstance(word, str):
        raise UserError(f"A word of an objective is of type {type(word).__name__}: give strings.")
    made = normal(str(word))
    if not made:
        raise UserError("A word of an objective is empty: give words.")
    if len(made) > LONGEST:
        raise UserError(f"A word of an objective is {len(made)} characters long: a word has at most {LONGEST}.")
    return made


def several(words: str | Iterable[str], what: str = "a set of words", least: int = 1) -> tuple[str, ...]:
    """Words as the vocabulary has them; where one is enough it may be given alone. A Python set is put into order.

    Raises
    ------
    UserError
        Not a list of words (a text, a dict, a table), fewer than ``least``, or one twice.
    """
    cleaned = listed_words(words, what, alone=least == 1)
    if len(set(cleaned)) < len(cleaned):
        twice = next(word for word in cleaned if cleaned.count(word) > 1)
        raise UserError(f"{twice!r} stands twice in {what}: name each word once.")
    if len(cleaned) < least:
        has = f"has {len(cleaned)} word{'s' * (len(cleaned) != 1)}" if cleaned else "is empty"
        raise UserError(f"{what.capitalize() if what[0] == 'a' else what} {has}: give {least} or more.")
    return cleaned


def listed_words(words: Any, what: str, alone: bool = False) -> tuple[str, ...]:
    """Words of a list, tuple, set, one-dimensional array or column, as the vocabulary has them; also one ``alone``.

    Raises
    ------
    UserError
        Something else, or an entry that is no word.
    """
    if isinstance(words, str):
        if not alone or words.replace(",", " ").split() != [words.strip()]:
            raise UserError(f"{words!r} is one string where {what} is wanted: give a list of words.")
        return (one(words),)
    if isinstance(words, bytes | Mapping) or not isinstance(words, Iterable) or np.ndim(_plain(words)) > 1:
        raise UserError(f"A {type(words).__name__} was given where {what} is wanted: give a list of words.")
    cleaned = [one(word) for word in words]
    return tuple(sorted(cleaned) if isinstance(words, set | frozenset) else cleaned)


def _plain(words: Any) -> Any:
    """What tells the number of dimensions: arrays and tables have a shape, lists of words one dimension."""
    return np.empty(getattr(words, "shape", (0,)))
