"""What every corpus is checked for, whether it is held or mapped."""

import re
from pathlib import Path
from typing import Any

from crossloss.core import UserError
from crossloss.text.builtin import BUILTIN
from crossloss.text.remarks import refuse_one_sentence, refuse_unspaced
from crossloss.text.samples import Corpus, type_counts
from crossloss.text.tokens import SPLIT, TOKEN_PATTERN

CANDIDATE = "candidate:"
"""What stands before the id of a candidate."""


def refuse_unusable(corpus: Corpus) -> None:
    """Refuse a corpus that cannot be scored."""
    source, pattern = corpus.source, corpus.token_pattern
    if not len(corpus.tokens):
        what = "check the file and --text" if pattern == TOKEN_PATTERN else f"none matches {pattern!r}"
        raise UserError(f"{source} has no sentence with a word in it: {what}.")
    if pattern != SPLIT:
        refuse_unspaced(source, corpus.types, type_counts(corpus))
    refuse_one_sentence(source, int((corpus.weights > 0).sum()), len(corpus.tokens))


def is_builtin(path: Any) -> bool:
    """Whether a source is the embedded corpus; refused where it is another that is not there."""
    if str(path).startswith("builtin:") and str(path) != BUILTIN:
        raise UserError(f"There is no {path}; the embedded corpus is {BUILTIN}.")
    return str(path) == BUILTIN


def name_of(path: Any) -> str:
    """What a corpus of a source is called."""
    return BUILTIN if is_builtin(path) else Path(path).name if isinstance(path, str | Path) else "dataset"


def repeated(source: str, id: str) -> str:
    """What is wrong with an id that two samples have."""
    return (
        f"{source}: the id {id!r} occurs twice and ids must be unique: name another column with --id, or number the "
        "rows with --id ''."
    )


def encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no file holds, one for one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text
