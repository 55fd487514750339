"""Texts that are no list of sentences of words, which are refused, and what a reader should know of those that are."""

from collections.abc import Iterator, Sequence

import numpy as np
import regex

from crossloss.core import UserError
from crossloss.text.tokens import UNSPACED

LONGEST = 1000
"""Words that a corpus of one sentence may have."""
LONG = 100
"""Mean words of a sentence above which sentences look like documents."""
SHARE = 0.1
"""Part of a corpus's letters that may be of languages without spaces: names and quotations."""
_TWICE = regex.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac[\u0153\u009d\u2122\u02dc\u201c\u00a6]")
"""What UTF-8 becomes that is read as Windows-1252 and written as UTF-8 again, of letters and quotes of the West."""
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


def refuse_one_sentence(source: str, sentences: int, words: int) -> None:
    """Refuse a long text that is one sentence, which would be one sample."""
    if sentences == 1 and words > LONGEST:
        raise UserError(
            f"{source} is one sentence of {words:,} words: give a sentence a line, by --split, or by "
            "`fold -s -w 500 FILE` where nothing ends its sentences."
        )


def refuse_unspaced(source: str, types: Sequence[str], counts: np.ndarray) -> None:
    """Refuse a corpus of ``types``, each as often as ``counts`` (types,), with much in scripts without spaces."""
    other = {
        word: int(n) for word, n in zip(types, counts, strict=True) if not word.isascii() and _UNSPACED.search(word)
    }

    def letters(characters: str) -> int:
        rule = regex.compile(f"[{characters}]")
        return sum(n * len(rule.findall(word)) for word, n in other.items())

    if letters(UNSPACED) <= SHARE * int(counts @ np.array(list(map(len, types)))):
        return
    shares = {name: letters(characters) for name, (characters, _) in _SCRIPTS.items()}
    if shares["Japanese"]:
        shares["Japanese"] += shares.pop("Chinese")
    language = max(shares, key=lambda name: shares[name])
    kind, splitter = (language, _SCRIPTS[language][1]) if shares[language] else ("such a language", "for its language")
    longest = max(other, key=len)
    raise UserError(
        f"{source} is {kind}, which puts no space between words ({longest[:20]!r} would be one): split its words with "
        f"a tokeniser {splitter}, put spaces between them, and read that with --tokens."
    )


def remarks(texts: Sequence[str], words: int) -> Iterator[str]:
    """Clauses on texts that hold so many words in all."""
    if words > LONG * len(texts):
        mean = f"sentences have {words / len(texts):,.0f} words on average"
        yield f"{mean}; if they are paragraphs or documents, --split splits them"
    unknown = damaged = lost = 0
    example = ""
    for text in texts:
        unknown += "<unk>" in text
        if not text.isascii():
            if match := _TWICE.search(text):
                damaged, example = damaged + 1, example or match.group()
            lost += "\ufffd" in text
    if unknown:
        yield f"{unknown:,} sentences hold <unk>, which is read as the word unk"
    if damaged:
        yield (
            f"{damaged:,} sentences hold characters that were decoded wrongly before they came here (such as "
            f"{example!r}); `ftfy` mends such a file"
        )
    if lost:
        yield f"{lost:,} sentences hold U+FFFD, which stands for a character that could not be decoded"
