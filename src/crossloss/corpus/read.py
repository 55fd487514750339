"""A corpus: samples with id, document and text, read from files."""

import hashlib
import json
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from crossloss.core import Progress, UserError
from crossloss.corpus.builtin import BUILTIN, wikipedia
from crossloss.corpus.given import strings
from crossloss.corpus.languages import refuse_unspaced
from crossloss.corpus.remarks import refuse_one_sentence, remarks
from crossloss.corpus.rows import Columns, Found, Row
from crossloss.corpus.sources import source_rows
from crossloss.corpus.tokens import (
    FORM,
    IN_WORD,
    LETTER,
    SPLIT,
    TOKEN_PATTERN,
    Form,
    Token,
    compiled,
    finder,
    plain,
    prepared,
    tokenize,
    word_of,
)

CANDIDATE = "candidate:"
_PLAIN = r"[^\W\d_]"
"""A letter of plain text, as the digest has it, whatever else a pattern says of marks."""


@dataclass(frozen=True)
class Sample:
    """One sample: a sentence of the corpus, or a candidate (weight 0)."""

    index: int
    id: str
    document: str
    text: str
    weight: float
    token_pattern: str
    form: Form = FORM

    @property
    def tokens(self) -> list[Token]:
        """Words with their character offsets in ``text``."""
        return tokenize(self.text, self.token_pattern, self.form)


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
    form : "NFKC" or "NFC"
        Unicode normal form of letters.
    """

    ids: list[str]
    documents: list[str]
    texts: list[str]
    weights: np.ndarray
    token_pattern: str = TOKEN_PATTERN
    source: str = "sentences"
    found: Found | None = None
    form: Form = FORM

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, i: int) -> Sample:
        weight = float(self.weights[i])
        return Sample(i, self.ids[i], self.documents[i], self.texts[i], weight, self.token_pattern, self.form)

    @cached_property
    def digest(self) -> str:
        """Hash of samples, weights, token pattern and, where it bears on a text, normal form."""
        rule: list[Any] = [self.token_pattern, len(self), self.form]
        if all(map(plain, self.texts)):
            rule = [self.token_pattern.replace(TOKEN_PATTERN, f"{_PLAIN}+"), len(self)]
            rule[0] = rule[0].replace(IN_WORD, _PLAIN).replace(LETTER, _PLAIN)
        hashed = hashlib.sha256(json.dumps(rule).encode())
        for column in (self.ids, self.documents, self.texts):
            for text in column:
                raw = text.encode("utf-8", "surrogatepass")
                hashed.update(len(raw).to_bytes(8, "little") + raw)
        hashed.update(self.weights.tobytes())
        return hashed.hexdigest()

    @cached_property
    def _tokenised(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        return _tokenise(self.texts, self.token_pattern, self.form)

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
        notes = json.dumps(
            {"token_pattern": self.token_pattern, "form": self.form, "source": self.source, "found": found}
        )
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
            pattern, source, form = str(notes["token_pattern"]), str(notes["source"]), notes.get("form", FORM)
            return cls(ids, documents, texts, weights, pattern, source, found, form)
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
    vars(corpus)["_tokenised"] = _tokenise(texts, token_pattern, form, progress)
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


def _tokenise(
    texts: Sequence[str], pattern: str, form: Form, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Word type of every token, where each text's tokens start and end, and the word of every type."""
    find, kinds = finder(pattern), _Kinds(form)
    flat = array("i")
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    for i, text in enumerate(texts):
        flat.extend(map(kinds.__getitem__, find(text if text.isascii() else prepared(text, form))))
        ends[i + 1] = len(flat)
        if progress and (i % 5000 == 0 or i + 1 == len(texts)):
            progress(i + 1, len(texts))
    return np.array(flat, dtype=np.int32), ends, list(kinds.words)


class _Kinds(dict[str, int]):
    """Number of the word type of every spelling; a new one when first asked for."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.words: dict[str, int] = {}

    def __missing__(self, spelling: str) -> int:
        kind = self[spelling] = self.words.setdefault(word_of(spelling, self.form), len(self.words))
        return kind
