"""Words so common that they say nothing of a topic: gensim's list, and a token pattern that passes over words."""

from collections.abc import Iterable

import regex

from crossloss.extras import needed
from crossloss.text.tokens import IN_WORD, TOKEN_PATTERN, prepared


def stop_words() -> frozenset[str]:
    """Stop words of English, as gensim has them (337, of Stone, Dennis, Kwantes 2010).

    Raises
    ------
    UserError
        gensim is not installed.
    """
    with needed("gensim", "The list of stop words"):
        from gensim.parsing.preprocessing import STOPWORDS
    return frozenset(STOPWORDS)


def pattern_without(words: Iterable[str]) -> str:
    """Regular expression of a word that is none of these, whatever its case.

    As a corpus's token pattern it takes the words out of the text: what stood on their two sides becomes neighbours.
    """
    left_out = "|".join(sorted(regex.escape(prepared(word)) for word in words))
    if not left_out:
        return TOKEN_PATTERN
    return rf"(?<!{IN_WORD})(?!(?i:{left_out})(?!{IN_WORD})){TOKEN_PATTERN}"
