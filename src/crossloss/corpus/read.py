"""A corpus: samples with id, document and text, read from files."""

import hashlib
import json
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crossloss.core import Progress, UserError
from crossloss.corpus.builtin import BUILTIN, wikipedia
from crossloss.corpus.layouts import Columns, Found, Row
from crossloss.corpus.sources import source_rows
from crossloss.corpus.tokens import TOKEN_PATTERN, Token, tokenize, word_of

CANDIDATE = "candidate:"


@dataclass(frozen=True)
class Sample:
    """One sample: a sentence of the corpus, or a candidate (weight 0)."""

    index: int
    id: str
    document: str
    text: str
    weight: float
    token_pattern: str

    @property
    def tokens(self) -> list[Token]:
        """Words with their character offsets in ``text``."""
        return tokenize(self.text, self.token_pattern)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Samples and their words.

    Attributes
    ----------
    ids, documents, texts : list of str
        n each; texts are as they were read.
    weights : (n,) float64 array
        1 for a sentence, 0 for a candidate.
    token_pattern : str
    source : str
        File name, or builtin:NAME.
    found : Found or None
        What the source turned out to be; None for sentences at hand.
    """

    ids: list[str]
    documents: list[str]
    texts: list[str]
    weights: np.ndarray
    token_pattern: str = TOKEN_PATTERN
    source: str = "sentences"
    found: Found | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, i: int) -> Sample:
        weight = float(self.weights[i])
        return Sample(i, self.ids[i], self.documents[i], self.texts[i], weight, self.token_pattern)

    @cached_property
    def digest(self) -> str:
        """Hash of samples, weights and token pattern."""
        hashed = hashlib.sha256(json.dumps([self.token_pattern, len(self)]).encode())
        for column in (self.ids, self.documents, self.texts):
            for text in column:
                raw = text.encode("utf-8", "surrogatepass")
                hashed.update(len(raw).to_bytes(8, "little") + raw)
        hashed.update(self.weights.tobytes())
        return hashed.hexdigest()

    @cached_property
    def _tokenised(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        return _tokenise(self.texts, self.token_pattern)

    @property
    def tokens(self) -> np.ndarray:
        """Word type of every token, int32; made when first asked for."""
        return self._tokenised[0]

    @property
    def indptr(self) -> np.ndarray:
        """Tokens of sample i are ``tokens[indptr[i]:indptr[i + 1]]``, (n + 1,) int64."""
        return self._tokenised[1]

    @property
    def types(self) -> list[str]:
        """Word of each word type, in order of first appearance."""
        return self._tokenised[2]

    def to_table(self) -> pa.Table:
        """Sample, id, document, text, weight."""
        columns = {
            "sample": np.arange(len(self)),
            "id": pa.array(self.ids, pa.string()),
            "document": pa.array(self.documents, pa.string()),
            "text": pa.array(self.texts, pa.string()),
            "weight": self.weights,
        }
        found = None if self.found is None else asdict(self.found)
        notes = json.dumps({"token_pattern": self.token_pattern, "source": self.source, "found": found})
        return pa.table(columns).replace_schema_metadata({"crossloss": notes})

    @classmethod
    def from_table(cls, table: pa.Table) -> "Corpus":
        """Inverse of ``to_table``.

        Raises
        ------
        UserError
            The table is no table of samples.
        """
        try:
            notes = json.loads((table.schema.metadata or {})[b"crossloss"])
            ids, documents, texts = (table[name].to_pylist() for name in ("id", "document", "text"))
            weights = table["weight"].to_numpy().astype(np.float64)
            found = None if notes.get("found") is None else Found(**notes["found"])
            if found is not None and found.columns is not None:
                found.columns = Columns(*found.columns)
            return cls(ids, documents, texts, weights, str(notes["token_pattern"]), str(notes["source"]), found)
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"The samples file is damaged ({error}); run again with --overwrite.") from error


def read(
    path: Any,
    *,
    text: str | None = None,
    document: str | None = None,
    id: str | None = None,
    split: bool = False,
    token_pattern: str = TOKEN_PATTERN,
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
        "id" where they exist, else the number of the row.
    split : bool
        Whether texts are paragraphs, to be split into sentences (``corpus.sentences``).
    token_pattern : str
        Regular expression of a word; numbers that it matches are one word, whatever the number.
    candidates : path or dataset, optional
        Samples of weight 0, in the same columns: not trained on, but scored.
    progress : Progress, optional

    Raises
    ------
    UserError
        The source is absent, empty, cut off, not UTF-8, or lacks a column.
    """
    try:
        re.compile(token_pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(f"--token-pattern {token_pattern!r} is no regular expression ({error}).") from error
    asked = Columns(text or "", document, id)
    if str(path).startswith("builtin:"):
        if str(path) != BUILTIN:
            raise UserError(f"There is no {path}; the embedded corpus is {BUILTIN}.")
        rows: list[Row] = list(wikipedia(token_pattern, progress))
        source, found = BUILTIN, Found("builtin", rows=len(rows))
    else:
        rows, found = source_rows(path, asked, split=split)
        source = Path(path).name if isinstance(path, str | Path) else "dataset"
    weights = np.ones(len(rows))
    if candidates is not None:
        more = [Row(CANDIDATE + r.id, r.document, r.text) for r in source_rows(candidates, asked, split=split)[0]]
        rows += more
        weights = np.concatenate([weights, np.zeros(len(more))])
    return _checked(rows, weights, token_pattern, source, found, progress)


def from_sentences(
    sentences: Iterable[str],
    documents: Sequence[str] | None = None,
    *,
    candidates: Iterable[str] = (),
    token_pattern: str = TOKEN_PATTERN,
    source: str = "sentences",
) -> Corpus:
    """Corpus of sentences at hand; ids are "1", "2", ...

    Raises
    ------
    UserError
        No sentence with a word, or another number of documents.
    """
    texts = list(sentences)
    if documents is not None and len(documents) != len(texts):
        raise UserError(f"There are {len(texts)} sentences and {len(documents)} documents: give one for each.")
    names = documents if documents is not None else [""] * len(texts)
    rows = [Row(str(i + 1), d, t) for i, (d, t) in enumerate(zip(names, texts, strict=True))]
    more = [Row(f"{CANDIDATE}{i + 1}", "", t) for i, t in enumerate(candidates)]
    weights = np.concatenate([np.ones(len(rows)), np.zeros(len(more))])
    return _checked(rows + more, weights, token_pattern, source, None)


def _checked(
    rows: list[Row],
    weights: np.ndarray,
    token_pattern: str,
    source: str,
    found: Found | None,
    progress: Progress | None = None,
) -> Corpus:
    ids, documents, texts = ([_encodable(getattr(row, name)) for row in rows] for name in Row._fields)
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise UserError(f"{source}: the id {name!r} occurs twice; ids must be unique.")
        seen.add(name)
    corpus = Corpus(ids, documents, texts, weights, token_pattern, source, found)
    # The longest part of reading: done now, with progress, and kept where the property looks for it.
    vars(corpus)["_tokenised"] = _tokenise(texts, token_pattern, progress)
    if not len(corpus.tokens):
        raise UserError(f"{source} has no sentence with a word in it: check the file and --text.")
    return corpus


def _encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no file holds, one for one."""
    if not isinstance(text, str):
        raise UserError(f"A sentence, document or id is of type {type(text).__name__}: give strings.")
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


def _tokenise(
    texts: Sequence[str], pattern: str, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Word type of every token, where each text's tokens start and end, and the word of every type."""
    find = re.compile(pattern).findall
    kinds: dict[str, int] = {}
    surface: dict[str, int] = {}
    flat = array("i")
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    for i, text in enumerate(texts):
        for word in find(text):
            kind = surface.get(word)
            if kind is None:
                kind = surface[word] = kinds.setdefault(word_of(word), len(kinds))
            flat.append(kind)
        ends[i + 1] = len(flat)
        if progress and (i % 5000 == 0 or i + 1 == len(texts)):
            progress(i + 1, len(texts))
    return np.array(flat, dtype=np.int32), ends, list(kinds)
