"""A corpus from files, folders, datasets, or sentences at hand."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from crossloss.core import Progress, UserError
from crossloss.text.builtin import BUILTIN, wikipedia
from crossloss.text.given import strings
from crossloss.text.languages import refuse_unspaced
from crossloss.text.remarks import refuse_one_sentence, remarks
from crossloss.text.rows import Columns, Found, Row
from crossloss.text.samples import Corpus, Sample, tokenised
from crossloss.text.sources import source_rows
from crossloss.text.tokens import FORM, SPLIT, TOKEN_PATTERN, Form, compiled

__all__ = ["Corpus", "Sample", "from_sentences", "read"]

CANDIDATE = "candidate:"


def read(
    path: Any,
    *,
    text: str | None = None,
    document: str | None = None,
    id: str | None = None,
    split: bool = False,
    token_pattern: str = TOKEN_PATTERN,
    tokens: bool = False,
    form: Form = FORM,
    candidates: Any = None,
    progress: Progress | None = None,
) -> Corpus:
    """Read a corpus.

    Parameters
    ----------
    path : path, "builtin:wikipedia", or dataset
        Text with a sentence a line; .tsv or .csv with a header line; .jsonl with an object a line; each may be .gz or
        .bz2; .parquet; a folder of such files, each a document; a dataset of Hugging Face's ``datasets``, itself or as
        a folder written by its ``save_to_disk``. The builtin is the Wikipedia excerpt in gensim's wheel.
    text, document, id : str, optional
        Columns, where there are any. By default text is "text" or "sentence", document is "document" and id is
        "id" where they exist, else the number of the row; as it is where a value of "id" repeats, and for id="".
    split : bool
        Whether texts are paragraphs, to be split into sentences (``corpus.sentences``).
    token_pattern : str
        Regular expression of a word, of the library ``regex``; numbers that it matches are one word, whatever the
        number. It is matched with the text in its normal form; the whole match is the word, whatever its groups.
    tokens : bool
        Whether texts are split into tokens by white space already, as languages written without spaces must be.
    form : "NFKC" or "NFC"
        Unicode normal form that letters, marks and digits get in texts.
    candidates : path or dataset, optional
        Samples of weight 0, in the same columns: not trained on, but scored.
    progress : Progress, optional

    Raises
    ------
    UserError
        The source is absent, empty, cut off, not UTF-8, plainly in another layout, in a language without spaces, or
        lacks a column.
    """
    pattern = _pattern(token_pattern, tokens, form)
    asked = Columns(text or "", document, id)
    if str(path).startswith("builtin:"):
        if str(path) != BUILTIN:
            raise UserError(f"There is no {path}; the embedded corpus is {BUILTIN}.")
        rows: list[Row] = list(wikipedia(pattern, form, progress))
        source, found = BUILTIN, Found("builtin", rows=len(rows))
    else:
        rows, found = source_rows(path, asked, split=split)
        source = Path(path).name if isinstance(path, str | Path) else "dataset"
    weights = np.ones(len(rows))
    if candidates is not None:
        more = [Row(CANDIDATE + r.id, r.document, r.text) for r in source_rows(candidates, asked, split=split)[0]]
        rows += more
        weights = np.concatenate([weights, np.zeros(len(more))])
    return _checked(rows, weights, pattern, form, source, found, progress)


def from_sentences(
    sentences: Iterable[str],
    documents: Sequence[str] | None = None,
    *,
    candidates: Iterable[str] = (),
    token_pattern: str = TOKEN_PATTERN,
    tokens: bool = False,
    form: Form = FORM,
    source: str = "sentences",
) -> Corpus:
    """Corpus of sentences at hand; ids are "1", "2", ...

    Parameters
    ----------
    sentences, candidates : iterables of str
        A list, generator, one-dimensional array or column of a table; candidates have weight 0.
    documents : sequence of str, optional
        The document of each sentence.
    token_pattern, tokens, form
        As in ``read``.
    source : str
        What the corpus is called.

    Raises
    ------
    UserError
        What is given is no list of strings, has no sentence with a word or another number of documents, or as ``read``.
    """
    pattern = _pattern(token_pattern, tokens, form)
    texts, others = strings(sentences, "sentences"), strings(candidates, "candidates")
    names = [""] * len(texts) if documents is None else strings(documents, "documents")
    if len(names) != len(texts):
        raise UserError(f"There are {len(texts)} sentences and {len(names)} documents: give one for each.")
    rows = [Row(str(i + 1), d, t) for i, (d, t) in enumerate(zip(names, texts, strict=True))]
    more = [Row(f"{CANDIDATE}{i + 1}", "", t) for i, t in enumerate(others)]
    weights = np.concatenate([np.ones(len(rows)), np.zeros(len(more))])
    return _checked(rows + more, weights, pattern, form, source, None)


def _pattern(token_pattern: str, tokens: bool, form: str) -> str:
    """The pattern that is meant, once it is known to be one."""
    if form not in get_args(Form):
        raise UserError(f"--form is {' or '.join(get_args(Form))}, not {form!r}.")
    compiled(token_pattern)
    if not tokens:
        return token_pattern
    if token_pattern != TOKEN_PATTERN:
        raise UserError("--tokens takes what stands between spaces for words: leave --token-pattern out.")
    return SPLIT


def _checked(
    rows: list[Row],
    weights: np.ndarray,
    token_pattern: str,
    form: Form,
    source: str,
    found: Found | None,
    progress: Progress | None = None,
) -> Corpus:
    ids, documents, texts = ([_encodable(getattr(row, name)) for row in rows] for name in Row._fields)
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise UserError(
                f"{source}: the id {name!r} occurs twice and ids must be unique: name another column with --id, or "
                "number the rows with --id ''."
            )
        seen.add(name)
    corpus = Corpus(ids, documents, texts, weights, token_pattern, source, found, form)
    # The longest part of reading: done now, with progress, and kept where the property looks for it.
    vars(corpus)["_tokenised"] = tokenised(texts, token_pattern, form, progress)
    if not len(corpus.tokens):
        what = "check the file and --text" if token_pattern == TOKEN_PATTERN else f"none matches {token_pattern!r}"
        raise UserError(f"{source} has no sentence with a word in it: {what}.")
    if token_pattern != SPLIT:
        refuse_unspaced(source, corpus.types, np.bincount(corpus.tokens))
    refuse_one_sentence(source, int((weights > 0).sum()), len(corpus.tokens))
    if found is not None:
        found.notes += remarks(texts, len(corpus.tokens))
    return corpus


def _encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no file holds, one for one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text
