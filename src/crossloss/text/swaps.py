"""Counterfactual versions of sentences: gender words, first names or any pairs of words change places.

Lu et al. 2018, "Gender Bias in Neural NLP"; Zhao et al. 2018 (NAACL), who swap names too; Hall Maudslay et al. 2019,
who swap in place and pair names by their frequency.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import regex

from crossloss.core import UserError
from crossloss.text.encoding import read_text
from crossloss.text.samples import Corpus
from crossloss.text.tokens import Token, normal, tokenize

SHIPPED = ("gender", "names")
PRONOUNS = ("her", "hers", "his", "him")
"""Where English has one word for two: ``her`` is his or him, and ``his`` is her or hers."""
_NEXT = regex.compile(
    r"[\s\p{Ps}\p{Pi}\"']+([\w'’.-]*\w)(?:\s+(?:his|her|their|its)\s+([\w'’.-]*\w))?", regex.IGNORECASE
)
"""The next word, whatever the rule of words makes of it (his 80th birthday), and that behind it (his or her book)."""
_QUOTED = regex.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»")


@dataclass(frozen=True)
class Swaps:
    """Words that change places.

    Attributes
    ----------
    words : mapping of str to str
        By their normal form, whatever their case.
    names : mapping of str to str
        Only where they begin with a capital letter: titles and first names.
    pronouns : bool
        Whether her, hers, his and him are exchanged, as the next word asks for.
    quotations, proper : bool
        Whether words in quotation marks, and those of ``words`` that begin with a capital letter inside of a sentence
        (parts of a name: King Crimson), are exchanged too.
    """

    words: Mapping[str, str]
    names: Mapping[str, str]
    pronouns: bool = False
    quotations: bool = True
    proper: bool = True

    @property
    def known(self) -> set[str]:
        """Every word that can be exchanged."""
        return {*self.words, *self.names, *(PRONOUNS if self.pronouns else ())}

    def version(self, text: str, tokens: Sequence[Token]) -> str:
        """The text with its words exchanged; capitals stay where they were."""
        quoted = [] if self.quotations else [match.span() for match in _QUOTED.finditer(text)]
        parts, end = [], 0
        for i, token in enumerate(tokens):
            written = text[token.start : token.end]
            other = self._partner(written, tokens, i, text)
            if other is None or any(a < token.start < b for a, b in quoted):
                continue
            parts += [text[end : token.start], _like(written, other)]
            end = token.end
        return "".join([*parts, text[end:]])

    def _partner(self, written: str, tokens: Sequence[Token], i: int, text: str) -> str | None:
        word, capital = tokens[i].word, written[:1].isupper()
        if capital and word in self.names:
            return self.names[word]
        if self.pronouns and word in PRONOUNS:
            return _pronoun(word, tokens, i, text)
        if capital and i and not self.proper and word not in ("he", "she"):
            return None
        return self.words.get(word)


def _pronoun(word: str, tokens: Sequence[Token], i: int, text: str) -> str:
    """Her as his where a noun may follow, else him; his as her or hers alike."""
    if word in ("him", "hers"):
        return {"him": "her", "hers": "his"}[word]
    following, no_noun = _NEXT.match(text, tokens[i].end), _shipped()["not_before_a_noun"]
    noun = following is not None and following[1].lower() not in no_noun
    if following is not None and following[2] and following[1].lower() in ("and", "or"):
        noun = following[2].lower() not in no_noun
    return {"her": ("him", "his"), "his": ("hers", "her")}[word][noun]


def _like(written: str, word: str) -> str:
    """A word in the case of another."""
    if written.isupper() and len(written) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if written[:1].isupper() else word


@cache
def _shipped() -> dict[str, Any]:
    known = dict(json.loads(resources.files("crossloss.text").joinpath("data", "swaps.json").read_text("utf-8")))
    return known | {"not_before_a_noun": frozenset(known["not_before_a_noun"])}


def make_swaps(corpus: Corpus, pairs: str | Path | Iterable[str | Path | tuple[str, str]], **keep: bool) -> Swaps:
    """Words to exchange in a corpus: shipped ones by name, a file's, or pairs at hand, in any mixture.

    Raises
    ------
    UserError
        No such set or file; a word with two partners.
    """
    swaps = Swaps({}, {}, **keep)
    for given in [pairs] if isinstance(pairs, str | Path) else pairs:
        if given == "gender":
            shipped = _shipped()["gender"]
            swaps = replace(swaps, pronouns=True, names={**swaps.names, **shipped["titles"]})
            words = [tuple(pair) for pair in shipped["pairs"]]
        elif given == "names":
            swaps = replace(swaps, names={**swaps.names, **_both_ways(paired_names(corpus))})
            continue
        else:
            words = [given] if isinstance(given, tuple) else read_pairs(given)
        swaps = replace(swaps, words=_both_ways([*swaps.words.items(), *((normal(a), normal(b)) for a, b in words)]))
    return swaps


def _both_ways(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    partner: dict[str, str] = {}
    for a, b in pairs:
        for one, other in ((a, b), (b, a)):
            if not one or partner.setdefault(one, other) != other:
                raise UserError(f"{one!r} has two partners, {partner.get(one)!r} and {other!r}: give each word one.")
    return partner


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """Pairs of words, one a line, parted by a tab or a comma.

    Raises
    ------
    UserError
        No such file, or a line that is no pair.
    """
    if not Path(path).exists():
        raise UserError(f"There are no pairs {str(path)!r}; there are {', '.join(SHIPPED)}, or give a file of pairs.")
    pairs = []
    for number, line in enumerate(read_text(Path(path)).splitlines(), 1):
        words = [word.strip() for word in line.replace(",", "\t").split("\t")]
        if not line.strip():
            continue
        if len(words) != 2 or not all(words) or words[0] == words[1]:
            raise UserError(f"Line {number} of {path} is no pair of words: write he<TAB>she.")
        pairs.append((words[0], words[1]))
    return pairs


def paired_names(corpus: Corpus) -> list[tuple[str, str]]:
    """Shipped first names that the corpus has: the most frequent male one with the most frequent female one, and so on.

    Of all ways to pair as many, it has the least sum of differences between frequencies (Hall Maudslay et al. 2019, who
    also use how often a name is given to either gender). Names that are left over stay alone.
    """
    trained = np.repeat(corpus.weights > 0, np.diff(corpus.indptr))
    counts = dict(zip(corpus.types, np.bincount(corpus.tokens[trained], minlength=len(corpus.types)), strict=True))
    first, second = (
        sorted((word for word in _shipped()["names"][kind] if counts.get(word, 0)), key=lambda word: -counts[word])
        for kind in ("first", "second")
    )
    return list(zip(first, second, strict=False))


def with_swaps(
    corpus: Corpus,
    pairs: str | Path | Iterable[str | Path | tuple[str, str]] = "gender",
    *,
    quotations: bool = True,
    proper: bool = True,
) -> Corpus:
    """The corpus with a counterfactual version of each sentence that has a word to exchange, as a candidate.

    A candidate has weight 0: it is scored and not trained on, so the run is the same; ``cl.plan(method="swap")`` says
    which sentences to exchange for their versions.

    Parameters
    ----------
    pairs : str, path or iterable
        gender (pronouns, kinship, professions, titles; her becomes his or him, as the next word asks for), names
        (first names paired by their frequency), a file with a pair a line (tab or comma), pairs, or several of these.
    quotations, proper : bool
        Whether words in quotation marks, and words of the pairs inside of names (King Crimson), are exchanged too.

    Returns
    -------
    Corpus
        ``originals`` has the sentence of each version.

    Raises
    ------
    UserError
        No sentence has a word of the pairs; a word with two partners; no such pairs.

    Examples
    --------
    >>> corpus = cl.with_swaps(cl.from_sentences(["He thanked her.", "It rained."]), "gender")
    >>> corpus.texts
    ['He thanked her.', 'It rained.', 'She thanked him.']
    """
    if corpus.originals is not None:
        raise UserError("The corpus has swapped versions already: give all pairs in one call, to the corpus without.")
    swaps = make_swaps(corpus, pairs, quotations=quotations, proper=proper)
    known = swaps.known
    member = np.array([word in known for word in corpus.types], dtype=bool)
    hits = np.concatenate([[0], np.cumsum(member[corpus.tokens])])
    having = np.flatnonzero((hits[corpus.indptr[1:]] > hits[corpus.indptr[:-1]]) & (corpus.weights > 0)).tolist()
    versions = [swaps.version(t := corpus.texts[i], tokenize(t, corpus.token_pattern, corpus.form)) for i in having]
    changed = [(i, text) for i, text in zip(having, versions, strict=True) if text != corpus.texts[i]]
    if not changed:
        raise UserError("No sentence of the corpus has a word to exchange: give other pairs.")
    rows = [i for i, _ in changed]
    return replace(
        corpus,
        ids=[*corpus.ids, *(f"{corpus.ids[i]}~" for i in rows)],
        documents=[*corpus.documents, *(corpus.documents[i] for i in rows)],
        texts=[*corpus.texts, *(text for _, text in changed)],
        weights=np.concatenate([corpus.weights, np.zeros(len(rows))]),
        originals=np.concatenate([np.full(len(corpus), -1), rows]).astype(np.int64),
        file=None,
    )
