"""A corpus from files, folders, datasets, or sentences at hand."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import numpy as np

from crossloss.core import Progress, UserError
from crossloss.text.builtin import BUILTIN, wikipedia
from crossloss.text.checks import CANDIDATE, encodable, is_builtin, name_of, refuse_unusable, repeated
from crossloss.text.reading import read_mapped
from crossloss.text.remarks import remarks
from crossloss.text.rows import Columns, Row, SourceInfo
from crossloss.text.samples import Corpus, Sample
from crossloss.text.sources import source_rows
from crossloss.text.tokens import FORM, SPLIT, TOKEN_PATTERN, Form, compiled

__all__ = ["Corpus", "Sample", "from_sentences", "read"]

_NO_LISTS = {
    str: "a string, whose letters would be the sentences: give a list, such as text.splitlines()",
    bytes | bytearray: "bytes: give a list of strings",
    Mapping: "a mapping: give a list of its texts",
    set | frozenset: "a set, which has no order: give a list",
    PathLike: "a path: read a file with cl.read(path)",
    Corpus: "a corpus already: give its texts",
}


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
    mapped: str | Path | None = None,
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
        Whether texts are paragraphs, to be split into sentences (``text.sentences``).
    token_pattern : str
        Regular expression of a word, of the library ``regex``; numbers that it matches are one word, whatever the
        number. It is matched with the text in its normal form; the whole match is the word, whatever its groups.
    tokens : bool
        Whether texts are split into tokens by white space already, as languages written without spaces must be.
    form : "NFKC" or "NFC"
        Unicode normal form that letters, marks and digits get in texts.
    candidates : path or dataset, optional
        Samples of weight 0, in the same columns: not trained on, but scored.
    mapped : path, optional
        File that texts and words are kept in, instead of in memory: made where it is absent, else taken as it is, if
        it was made of the same source in the same way. About 4 bytes a word and the text itself.
    progress : Progress, optional

    Raises
    ------
    UserError
        The source is absent, empty, cut off, not UTF-8, plainly in another layout, in a language without spaces, or
        lacks a column; ``mapped`` is the file of another corpus, or the source is a dataset in memory.

    Examples
    --------
    >>> corpus = cl.read("corpus.txt")
    >>> print(len(corpus.texts), corpus.texts[0])
    """
    pattern = _pattern(token_pattern, tokens, form)
    asked = Columns(text or "", document, id)
    if mapped is not None:
        return read_mapped(Path(mapped), path, candidates, asked, split, pattern, form, progress)
    if is_builtin(path):
        rows = list(wikipedia(pattern, form, progress))
        source, info = BUILTIN, SourceInfo("builtin", rows=len(rows))
    else:
        rows, info = source_rows(path, asked, split=split)
        source = name_of(path)
    others = [] if candidates is None else source_rows(candidates, asked, split=split)[0]
    return _corpus(rows, others, pattern, form, source, info, progress)


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

    Examples
    --------
    >>> corpus = cl.from_sentences(["She paints.", "He sings."], documents=["a", "b"])
    >>> corpus.ids
    ['1', '2']
    """
    pattern = _pattern(token_pattern, tokens, form)
    texts, others = _strings(sentences, "sentences"), _strings(candidates, "candidates")
    names = [""] * len(texts) if documents is None else _strings(documents, "documents")
    if len(names) != len(texts):
        raise UserError(f"There are {len(texts)} sentences and {len(names)} documents: give one for each.")
    rows = [Row(str(i), d, t) for i, (d, t) in enumerate(zip(names, texts, strict=True), 1)]
    more = [Row(str(i), "", t) for i, t in enumerate(others, 1)]
    return _corpus(rows, more, pattern, form, source)


def _pattern(token_pattern: str, tokens: bool, form: str) -> str:
    if form not in get_args(Form):
        raise UserError(f"--form is {' or '.join(get_args(Form))}, not {form!r}.")
    compiled(token_pattern)
    if not tokens:
        return token_pattern
    if token_pattern != TOKEN_PATTERN:
        raise UserError("--tokens takes what stands between spaces for words: leave --token-pattern out.")
    return SPLIT


def _corpus(
    rows: list[Row],
    candidates: list[Row],
    pattern: str,
    form: Form,
    source: str,
    info: SourceInfo | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Corpus of rows and candidates; one that cannot be scored is refused."""
    weights = np.repeat([1.0, 0.0], [len(rows), len(candidates)])
    rows = rows + [row._replace(id=CANDIDATE + row.id) for row in candidates]
    ids, documents, texts = ([encodable(getattr(row, name)) for row in rows] for name in Row._fields)
    if len(set(ids)) < len(ids):
        ((twice, _),) = Counter(ids).most_common(1)
        raise UserError(repeated(source, twice))
    corpus = Corpus(ids, documents, texts, weights, pattern, source, info, form)
    corpus.tokenise(progress)
    refuse_unusable(corpus)
    if info is not None:
        info.notes += remarks(texts, len(corpus.tokens))
    return corpus


def _strings(given: Any, name: str) -> list[str]:
    """The strings of a list, tuple, generator, one-dimensional array or column of a table, and of nothing else."""
    for kinds, what in _NO_LISTS.items():
        if isinstance(given, kinds):
            raise UserError(f"{name} is {what}.")
    kind = type(given).__name__
    if hasattr(given, "columns") or hasattr(given, "column_names"):
        names = list(map(str, getattr(given, "column_names", None) or getattr(given, "columns", [])))
        column = next((c for c in ("text", "sentence") if c in names), names[0] if names else "text")
        raise UserError(f"{name} is a {kind} with columns: give one of them, such as table[{column!r}].")
    if len(getattr(given, "shape", (0,))) != 1:
        raise UserError(f"{name} is a {kind} of shape {tuple(given.shape)}: give one dimension of strings.")
    if hasattr(given, "read") and hasattr(given, "readline"):
        raise UserError(f"{name} is an open file: read it with cl.read(path).")
    if not isinstance(given, Iterable):
        raise UserError(f"{name} is of type {kind}: give a list of strings.")
    return [item if type(item) is str else _string(item, f"{name}[{i}]") for i, item in enumerate(given)]


def _string(item: Any, where: str) -> str:
    if hasattr(item, "as_py"):  # what iterating over an Arrow column gives
        item = item.as_py()
    if isinstance(item, str):
        return str(item)
    kind = type(item).__name__
    if item is None or isinstance(item, float | np.floating) or kind in ("NAType", "NaTType"):
        raise UserError(f"{where} is {item}: leave missing ones out, such as by column.dropna().")
    if isinstance(item, list | tuple | np.ndarray) and all(isinstance(part, str) for part in item):
        raise UserError(f"{where} is of type {kind}: give strings, split tokens as ' '.join(tokens) and tokens=True.")
    raise UserError(f"{where} is of type {kind}: give strings.")
