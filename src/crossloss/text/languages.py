"""Languages written without spaces between words, whose sentences no pattern can split."""

from collections.abc import Sequence

import numpy as np
import regex

from crossloss.core import UserError
from crossloss.text.tokens import UNSPACED

SHARE = 0.1
"""Part of a corpus's letters that may be of such languages: names and quotations."""
_SCRIPTS = {
    "Thai": (r"\p{Thai}", "such as pythainlp"),
    "Lao": (r"\p{Lao}", "such as laonlp"),
    "Khmer": (r"\p{Khmer}", "such as khmer-nltk"),
    "Burmese": (r"\p{Myanmar}", "such as pyidaungsu"),
    "Japanese": (r"\p{Hiragana}\p{Katakana}", "such as fugashi or SudachiPy"),
    "Chinese": (r"\p{Han}", "such as jieba"),
    "Tibetan": (r"\p{Tibetan}", "such as botok"),
}
"""Characters of a script, and who splits its words."""
_UNSPACED = regex.compile(f"[{UNSPACED}]")


def refuse_unspaced(source: str, types: Sequence[str], counts: np.ndarray) -> None:
    """Refuse a corpus whose letters are of scripts without spaces for more than a tenth.

    Parameters
    ----------
    source : str
        What the corpus is called.
    types : sequence of str
        Its different words.
    counts : (types,) int array
        Occurrences of each.

    Raises
    ------
    UserError
        Names the language, a word as it stands there, what splits it, and how the split text is read.
    """
    other = np.array([i for i, word in enumerate(types) if not word.isascii() and _UNSPACED.search(word)], dtype=int)
    if not len(other):
        return
    inside = np.array([len(_UNSPACED.findall(types[i])) for i in other])
    total = int(counts @ np.array([len(word) for word in types]))
    if inside @ counts[other] <= SHARE * total:
        return
    shares = {
        name: sum(int(counts[i]) * len(regex.findall(f"[{characters}]", types[i])) for i in other)
        for name, (characters, _) in _SCRIPTS.items()
    }
    if shares["Japanese"]:
        shares["Japanese"] += shares.pop("Chinese")
    language = max(shares, key=lambda name: shares[name])
    said, splitter = (language, _SCRIPTS[language][1]) if shares[language] else ("such a language", "for its language")
    longest = max((types[i] for i in other), key=len)
    raise UserError(
        f"{source} is {said}, which puts no space between words ({longest[:20]!r} would be one): split its words with "
        f"a tokeniser {splitter}, put spaces between them, and read that with --tokens."
    )
