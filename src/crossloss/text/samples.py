"""Samples of a corpus: ids, documents, texts, and their words when first asked for."""

import hashlib
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, reduce
from pathlib import Path

import numpy as np
import pyarrow as pa

from crossloss.core import Progress, refusing
from crossloss.text import tokens as words
from crossloss.text.rows import Columns, SourceInfo
from crossloss.text.tokens import FORM, SPLIT, TOKEN_PATTERN, Form, Token
from crossloss.utils.display import several
from crossloss.utils.mapping import forget

AT_ONCE = 1 << 20
"""Tokens that are looked at at once."""
ROWS = 50_000
"""Samples of a part of a table."""


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
        return words.tokenize(self.text, self.token_pattern, self.form)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Samples and their words.

    Attributes
    ----------
    ids, documents, texts : sequences of str
        n each; texts are as they were read.
    weights : (n,) float64 array
        1 for a sentence, 0 for a candidate.
    source : str
        File name, or builtin:NAME.
    info : SourceInfo or None
        What the source turned out to be; None for sentences at hand.
    token_pattern, form : str
        As in ``cl.read``.
    originals : (n,) int64 array, optional
        The sentence that a candidate is a version of (``cl.with_swaps``); -1 of others.
    file : Path, optional
        Where texts and words lie, of a corpus that was read with ``mapped``.

    Examples
    --------
    >>> corpus = cl.from_sentences(["She paints.", "He sings."], candidates=["He paints."])
    >>> corpus.texts[2], corpus.weights.tolist()
    ('He paints.', [1.0, 1.0, 0.0])
    """

    ids: Sequence[str]
    documents: Sequence[str]
    texts: Sequence[str]
    weights: np.ndarray
    token_pattern: str = TOKEN_PATTERN
    source: str = "sentences"
    info: SourceInfo | None = None
    form: Form = FORM
    originals: np.ndarray | None = None
    file: Path | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, i: int) -> Sample:
        weight = float(self.weights[i])
        return Sample(i, self.ids[i], self.documents[i], self.texts[i], weight, self.token_pattern, self.form)

    def summary(self) -> list[str]:
        """What was read, a line each: the source, sentences and words, and another rule of words than the usual."""
        lines = [] if self.info is None or self.info.layout == "builtin" else self.info.summary(self.source)
        trained, documents = int((self.weights > 0).sum()), len(set(self.documents) - {""})
        parts = [several(trained, "sentence")]
        if documents:
            parts.append(several(documents, "document"))
        parts.append(several(len(self.tokens), "word"))
        if trained < len(self):
            parts.append(several(len(self) - trained, "candidate"))
        lines.append(f"{self.source}: {', '.join(parts)}")
        if self.token_pattern != TOKEN_PATTERN:
            split = self.token_pattern == SPLIT
            lines.append(f"Words: {'what stands between white space' if split else self.token_pattern}")
        return lines

    @cached_property
    def digest(self) -> str:
        """Hash of samples, weights, token pattern and, where it bears on a text, normal form."""
        pattern, form = self.token_pattern, [self.form]
        if all(map(words.plain, self.texts)):
            pattern, form = reduce(lambda rule, part: rule.replace(*part), words.PLAIN, pattern), []
        hashed = hashlib.sha256(json.dumps([pattern, len(self), *form]).encode())
        for column in (self.ids, self.documents, self.texts):
            for text in column:
                raw = text.encode("utf-8", "surrogatepass")
                hashed.update(len(raw).to_bytes(8, "little") + raw)
        hashed.update(self.weights.tobytes())
        return hashed.hexdigest()

    def tokenise(self, progress: Progress | None = None) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """``tokens``, ``indptr`` and ``types``; made when first asked for."""
        if "_tokenised" not in vars(self):
            kinds = Kinds(self.form)
            vars(self)["_tokenised"] = (*tokenised(self.texts, self.token_pattern, kinds, progress), list(kinds.words))
        made: tuple[np.ndarray, np.ndarray, list[str]] = vars(self)["_tokenised"]
        return made

    @property
    def tokens(self) -> np.ndarray:
        """Word type of every token, int32."""
        return self.tokenise()[0]

    @property
    def indptr(self) -> np.ndarray:
        """Tokens of sample i are ``tokens[indptr[i]:indptr[i + 1]]``, (n + 1,) int64."""
        return self.tokenise()[1]

    @property
    def types(self) -> list[str]:
        """Word of each word type, in order of first appearance."""
        return self.tokenise()[2]

    def blocks(self, at_once: int, samples: slice | None = None) -> Iterator[slice]:
        """Yield stretches of the samples, or of some in a row, each of at most so many tokens, or of one sample."""
        first, end = (0, len(self)) if samples is None else (samples.start, samples.stop)
        while first < end:
            last = int(np.searchsorted(self.indptr, self.indptr[first] + at_once, side="right")) - 1
            last = min(max(last, first + 1), end)
            yield slice(first, last)
            first = last

    def tokens_of(self, samples: slice) -> tuple[np.ndarray, np.ndarray]:
        """Word type of every token of a stretch of samples, and the sample of each, counted from its first one."""
        ends = self.indptr[samples.start : samples.stop + 1]
        tokens = np.array(self.tokens[ends[0] : ends[-1]])
        forget(self.tokens)
        return tokens, np.repeat(np.arange(len(ends) - 1), np.diff(ends))

    def tables(self) -> Iterator[pa.Table]:
        """Yield ``to_table``, some samples at a time."""
        for first in range(0, len(self), ROWS):
            yield self.to_table(slice(first, first + ROWS))

    def to_table(self, samples: slice = slice(None)) -> pa.Table:
        """Sample, id, document, text, weight, of a stretch of samples."""
        columns = {
            "sample": np.arange(len(self))[samples],
            **{name: pa.array(getattr(self, f"{name}s")[samples], pa.string()) for name in ("id", "document", "text")},
            "weight": self.weights[samples],
        }
        info = None if self.info is None else asdict(self.info)
        notes = {"token_pattern": self.token_pattern, "form": self.form, "source": self.source, "info": info}
        if self.originals is not None:
            columns["original"] = self.originals[samples]
        return pa.table(columns).replace_schema_metadata({"crossloss": json.dumps(notes)})

    @classmethod
    def from_table(cls, table: pa.Table) -> "Corpus":
        """Inverse of ``to_table``; what is no table of samples is refused."""
        with refusing(
            (KeyError, ValueError, TypeError), "The samples file is damaged", "run again with overwrite=True"
        ):
            notes = json.loads((table.schema.metadata or {})[b"crossloss"])
            ids, documents, texts = (table[name].to_pylist() for name in ("id", "document", "text"))
            weights = table["weight"].to_numpy().astype(np.float64)
            info = None if notes.get("info") is None else SourceInfo(**notes["info"])
            if info is not None and info.columns is not None:
                info.columns = Columns(*info.columns)
            pattern, source, form = str(notes["token_pattern"]), str(notes["source"]), notes.get("form", FORM)
            originals = table["original"].to_numpy() if "original" in table.column_names else None
        return cls(ids, documents, texts, weights, pattern, source, info, form, originals)


def type_counts(corpus: Corpus, *, trained: bool = False) -> np.ndarray:
    """How often each word type occurs, (types,) int64; in the samples of positive weight only if ``trained``."""
    counts = np.zeros(len(corpus.types), dtype=np.int64)
    for block in corpus.blocks(AT_ONCE):
        tokens, sample = corpus.tokens_of(block)
        if trained:
            tokens = tokens[corpus.weights[block][sample] > 0]
        counts += np.bincount(tokens, minlength=len(counts))
    return counts


def tokenised(
    texts: Sequence[str], pattern: str, kinds: "Kinds", progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Word type of every token, to which ``kinds`` adds, and where each text's tokens start and end."""
    find, form = words.finder(pattern), kinds.form
    flat = array("i")
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    for i, text in enumerate(texts):
        flat.extend(map(kinds.__getitem__, find(text if text.isascii() else words.prepared(text, form))))
        ends[i + 1] = len(flat)
        if progress and (i % 5000 == 0 or i + 1 == len(texts)):
            progress(i + 1, len(texts))
    return np.array(flat, dtype=np.int32), ends


class Kinds(dict[str, int]):
    """Word type of every spelling; a new one when first asked for. ``words`` are in order of first appearance."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.words: dict[str, int] = {}

    def __missing__(self, spelling: str) -> int:
        kind = self[spelling] = self.words.setdefault(words.word_of(spelling, self.form), len(self.words))
        return kind
