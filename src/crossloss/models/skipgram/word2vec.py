"""Vectors in and out of other programs: word2vec files, gensim's KeyedVectors, the Embedding Projector."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossloss.core import UserError, refusing
from crossloss.utils.extras import needed

PICKLE = (
    "{} is a Python pickle, which can run code when it is opened, so it is not: open it yourself with gensim and pass "
    "the live model to cl.from_gensim, or save its vectors with model.wv.save_word2vec_format(...) and pass that file."
)


def keyed_vectors(words: Sequence[str], vectors: np.ndarray, counts: Sequence[int] | None = None) -> Any:
    """Gensim's KeyedVectors of words and their vectors (V, d), float32, in the same order.

    Parameters
    ----------
    counts : sequence of int, optional
        Stored as the vector attribute "count".

    Raises
    ------
    UserError
        gensim is not installed.

    Examples
    --------
    >>> vectors = cl.keyed_vectors(list(run.view.index), run.view.vectors.numpy())
    >>> print(vectors.most_similar("math"))
    """
    with needed("gensim", "A KeyedVectors"):
        from gensim.models import KeyedVectors
    made = KeyedVectors(vectors.shape[1])
    made.add_vectors(list(words), np.asarray(vectors, dtype=np.float32))
    for word, count in () if counts is None else zip(words, counts, strict=True):
        made.set_vecattr(word, "count", int(count))
    return made


def save_word2vec(path: Path, words: Sequence[str], vectors: np.ndarray, *, binary: bool = False) -> None:
    """Write a word2vec file, by gensim; UserError without it, or where a word holds white space."""
    spaced = next((word for word in words if word.split() != [word]), None)
    if spaced is not None:
        raise UserError(f"The word {spaced!r} holds white space, which a word2vec file cannot: use --format projector.")
    keyed_vectors(words, vectors).save_word2vec_format(str(path), binary=binary)


def read_word2vec(source: Any) -> tuple[list[str], np.ndarray]:
    """Words and vectors (V, d) float32 of a word2vec file, text or binary, or of gensim's KeyedVectors in memory.

    Stricter than word2vec: UserError for a file that holds something else than its first line says, a word twice, a
    number that is not finite, and for a pickle, which is never opened.
    """
    if hasattr(source, "index_to_key") and hasattr(source, "vectors"):
        words, vectors = list(source.index_to_key), np.array(source.vectors, dtype=np.float32)
        if not words or not all(isinstance(word, str) for word in words) or vectors.shape[:1] != (len(words),):
            raise UserError("These KeyedVectors are not of words, a vector each: pass model.wv of a Word2Vec.")
        if not np.isfinite(vectors).all():
            raise UserError("A vector of these KeyedVectors is not finite: train them again.")
        return words, vectors
    if not isinstance(source, str | Path):
        raise UserError(f"A {type(source).__name__} holds no word vectors: pass a word2vec file, or KeyedVectors.")
    path = Path(source)
    with refusing((OSError, ValueError), f"{path} cannot be read", "check the path"):
        raw = b"" if path.suffix == ".model" else path.read_bytes()
    if path.suffix == ".model" or raw.startswith(b"\x80"):
        raise UserError(PICKLE.format(path))
    errors = (ValueError, OverflowError, MemoryError)
    with refusing(errors, f"{path} is no word2vec file", "save it with save_word2vec_format"):
        return _parsed(raw)


def _parsed(raw: bytes) -> tuple[list[str], np.ndarray]:
    header, newline, rest = raw.partition(b"\n")
    numbers = header.split()
    if not newline or len(numbers) != 2 or not all(number.isdigit() and len(number) < 16 for number in numbers):
        raise ValueError("its first line is not the number of words and their dimension")
    size, dimension = map(int, numbers)
    if not size or not dimension or 2 * size * dimension > len(rest):
        raise ValueError(f"it is too short for {size} words of dimension {dimension}")
    entries = _text if _is_text(rest[: rest.find(b"\n")], dimension) else _binary
    words, vectors = [], np.empty((size, dimension), dtype=np.float32)
    for i, (word, vector) in enumerate(entries(rest, size, dimension)):
        words.append(word.decode())
        vectors[i] = vector
    if not np.isfinite(vectors).all():
        raise ValueError("a number is not finite")
    if len(set(words)) < size:
        raise ValueError("a word stands twice")
    return words, vectors


def _is_text(row: bytes, dimension: int) -> bool:
    values = row.split(b" ")[1:]
    try:
        return len(values) in (dimension, dimension + 1) and float(values[0]) is not None
    except ValueError:
        return False


def _text(rest: bytes, size: int, dimension: int) -> Iterator[tuple[bytes, np.ndarray]]:
    lines = rest.split(b"\n")
    if len(lines) < size or any(line.strip() for line in lines[size:]):
        raise ValueError(f"its first line says {size} words")
    for number, line in enumerate(lines[:size], 2):
        word, *values = line.rstrip(b" \r").split(b" ")
        if len(values) != dimension:
            raise ValueError(f"line {number} has {len(values)} numbers, not {dimension}")
        yield word, np.array(values, dtype=np.float32)


def _binary(rest: bytes, size: int, dimension: int) -> Iterator[tuple[bytes, np.ndarray]]:
    at = 0
    for number in range(1, size + 1):
        end = rest.find(b" ", at)
        if end < 0 or end + 1 + 4 * dimension > len(rest):
            raise ValueError(f"it ends within word {number}")
        yield rest[at:end].lstrip(b"\n"), np.frombuffer(rest, "<f4", dimension, end + 1)
        at = end + 1 + 4 * dimension
    if rest[at:].strip(b"\n"):
        raise ValueError(f"more follows than the {size} words of its first line")


def projector(
    words: Sequence[str], vectors: np.ndarray, counts: Sequence[int], sets: Mapping[str, str]
) -> dict[str, str]:
    """vectors.tsv and metadata.tsv (word, count, set) for TensorFlow's Embedding Projector, by file name.

    ``sets`` names the word sets of each word that belongs to any.
    """

    def flat(text: str) -> str:
        return " ".join(text.split())

    rows = (f"{flat(word)}\t{count}\t{flat(sets.get(word, ''))}" for word, count in zip(words, counts, strict=True))
    return {
        "vectors.tsv": "".join("\t".join(f"{x:.6g}" for x in row) + "\n" for row in vectors.tolist()),
        "metadata.tsv": "\n".join(["word\tcount\tset", *rows]) + "\n",
    }
