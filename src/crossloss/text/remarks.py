"""What a reader should know of a corpus that was read: long sentences, damaged characters."""

from collections.abc import Iterator, Sequence

import regex

from crossloss.core import UserError

LONGEST = 1000
"""Words that a corpus of one sentence may have."""
LONG = 100
"""Mean words of a sentence above which sentences look like documents."""
_TWICE = regex.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac[\u0153\u009d\u2122\u02dc\u201c\u00a6]")
"""What UTF-8 becomes that is read as Windows-1252 and written as UTF-8 again, of letters and quotes of the West."""


def refuse_one_sentence(source: str, sentences: int, words: int) -> None:
    """Refuse a long text that is one sentence, which would be one sample.

    Raises
    ------
    UserError
        With how to cut it.
    """
    if sentences == 1 and words > LONGEST:
        raise UserError(
            f"{source} is one sentence of {words:,} words: give a sentence a line, by --split, or by "
            "`fold -s -w 500 FILE` where nothing ends its sentences."
        )


def remarks(texts: Sequence[str], words: int) -> Iterator[str]:
    """Clauses on texts that hold so many words in all."""
    if words > LONG * len(texts):
        mean = f"sentences have {words / len(texts):,.0f} words on average"
        yield f"{mean}; if they are paragraphs or documents, --split splits them"
    unknown = sum("<unk>" in text for text in texts)
    if unknown:
        yield f"{unknown:,} sentences hold <unk>, which is read as the word unk"
    others = [text for text in texts if not text.isascii()]
    damaged = [found for text in others if (found := _TWICE.search(text))]
    if damaged:
        shown = damaged[0].group()
        yield (
            f"{len(damaged):,} sentences hold characters that were decoded wrongly before they came here (such as "
            f"{shown!r}); `ftfy` mends such a file"
        )
    lost = sum("\ufffd" in text for text in others)
    if lost:
        yield f"{lost:,} sentences hold U+FFFD, which stands for a character that could not be decoded"
