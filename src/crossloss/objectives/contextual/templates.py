"""Sentences that say next to nothing about a word: the frames of the Sentence Encoder Association Test."""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from crossloss.core import UserError

SINGULAR = ("This is # {}.", "That is # {}.", "There is # {}.", "Here is # {}.", "The {} is here.", "The {} is there.")
PLURAL = ("These are {}.", "Those are {}.", "They are {}.", "The {} are here.", "The {} are there.")
FRAMES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "noun": (SINGULAR, PLURAL),
    "plural": ((), PLURAL),
    "mass": (("This is {}.", "That is {}.", "There is {}.", "Here is {}.", "It is {}."), ()),
    "adjective": (("This is {}.", "That is {}.", "It is {}.", "They are {}."), ()),
    "verb": (("They {}.", "These {}.", "Those {}."), ()),
    "name": (("This is {}.", "That is {}.", "There is {}.", "Here is {}.", "{} is here.", "{} is there."), ()),
    "subject": (("{} is here.", "{} is there.", "Here {} is.", "There {} is."), ()),
    "object": (("This is {}.", "That is {}.", "It is {}."), ()),
    "possessive": (("This is {}.", "That is {}.", "It is {}.", "They are {}."), ()),
}
"""Frames of the word as it is, and of its plural, by kind of word; # is its article."""
AN_BEFORE, A_BEFORE = ("hono", "hour", "heir", "hones"), ("uni", "use", "usu", "eu", "one", "once", "ut")


class Sentence(NamedTuple):
    """A sentence, and where in it the word stands that it is about: ``text[start:end]``.

    Examples
    --------
    >>> print(cl.objectives.Sentence("This is a rose.", 10, 14).word)
    rose
    """

    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The word as it stands there."""
        return self.text[self.start : self.end]


def bland_sentences(words: Sequence[str], kind: str) -> list[Sentence]:
    """Each word in sentences that say next to nothing about it, such as "This is a rose." (May et al. 2019).

    Parameters
    ----------
    words : sequence of str
        As they are to be written.
    kind : str
        "noun" (counted, in the singular; its plural is made by rule), "plural", "mass" (a noun without article),
        "adjective", "verb", "name", "subject" (he), "object" (him) or "possessive" (his).

    Raises
    ------
    UserError
        There is no such kind, or a word is empty.

    Examples
    --------
    >>> print([sentence.text for sentence in cl.objectives.bland_sentences(["rose"], "noun")][:2])
    ['This is a rose.', 'That is a rose.']
    """
    if kind not in FRAMES:
        raise UserError(f"There is no kind of word {kind!r}; there are: {', '.join(FRAMES)}.")
    if isinstance(words, str) or not all(isinstance(word, str) and word.strip() for word in words):
        raise UserError("bland_sentences takes a list of words, none of them empty.")
    return [sentence for word in words for sentence in _of(word.strip(), kind)]


def _of(word: str, kind: str) -> list[Sentence]:
    alone, many = FRAMES[kind]
    return [_fill(frame, word) for frame in alone] + [_fill(frame, plural(word)) for frame in many]


def _fill(frame: str, word: str) -> Sentence:
    before, after = frame.replace("#", article(word)).split("{}")
    shown = word if before else word[0].upper() + word[1:]
    return Sentence(before + shown + after, len(before), len(before) + len(shown))


def article(word: str) -> str:
    """A or an, by spelling, with the common exceptions."""
    start = word.lower()
    vowel = start.startswith(AN_BEFORE) or (start[0] in "aeiou" and not start.startswith(A_BEFORE))
    return "an" if vowel else "a"


def plural(word: str) -> str:
    """Plural of a noun: that of the data file, the word itself where it is one, or by rule."""
    known = _data()
    if word.lower() in known["plurals"]:
        return str(known["plurals"][word.lower()])
    if word.lower() in known["kinds"]["plural"]:
        return word
    if word[-1] == "y" and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


@cache
def _data() -> Any:
    return json.loads(resources.files("crossloss.objectives").joinpath("data", "word_kinds.json").read_text("utf-8"))


def known_sentences(words: Sequence[str], shown: dict[str, tuple[str, str]]) -> list[Sentence]:
    """Sentences of words of the shipped lists; ``shown`` has spelling and kind by case-folded word.

    UserError that names the words that are not among them.
    """
    strange = [word for word in words if word.casefold() not in shown]
    if strange:
        raise UserError(
            f"No kind is known of {', '.join(strange)}: give sentences instead of words, as in "
            '{"X": cl.objectives.bland_sentences(words, "noun"), "Y": ..., "A": ..., "B": ...}.'
        )
    return [sentence for word in words for sentence in _of(*shown[word.casefold()])]


@cache
def shipped_words() -> dict[str, tuple[str, str]]:
    """Spelling and kind of every word of the shipped lists, by case-folded word."""
    lists = json.loads(resources.files("crossloss.objectives").joinpath("data", "caliskan.json").read_text("utf-8"))
    kinds = {word: kind for kind, words in _data()["kinds"].items() for word in words}
    shown: dict[str, tuple[str, str]] = {}
    for name, words in lists["sets"].items():
        for word in words:
            default = "name" if "names" in name else "noun"
            shown[word.casefold()] = word, kinds.get(word.casefold(), default)
    return shown
