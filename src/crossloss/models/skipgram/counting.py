"""Vocabulary and pair counts of a corpus: counted, or read from the files of a run folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crossloss.core import UserError
from crossloss.models.skipgram.settings import Settings
from crossloss.text.mapped import open_corpus
from crossloss.text.pairs import PairCounts, count_pairs
from crossloss.text.read import Corpus
from crossloss.text.streamed import stream_pairs
from crossloss.text.vocabulary import Vocabulary, build_vocabulary
from crossloss.utils import files
from crossloss.utils.mapping import map_arrays
from crossloss.utils.progress import track

MAPPED = "corpus.safetensors"
"""File of a run folder with the words and texts of a corpus that is mapped."""
SAMPLES, VOCABULARY, PAIRS = PARTS = ("samples.parquet", "vocabulary.json", "pairs.safetensors")
"""Files of a run folder that hold corpus, vocabulary and counts."""


def count_corpus(
    corpus: Corpus,
    settings: Settings,
    keep_words: Iterable[str],
    folder: Path | None = None,
    vocabulary: Vocabulary | None = None,
    counts: PairCounts | None = None,
) -> tuple[Vocabulary, PairCounts]:
    """Vocabulary and counts: those given, of the folder, or counted now; after it the folder has all its files."""
    if folder is None or not all((folder / name).exists() for name in PARTS):
        if folder is not None and corpus.file is not None:
            _keep(corpus, folder / MAPPED)  # before the work: the file may be another one by its end
        if vocabulary is None:
            limits: dict[str, Any] = {"min_count": settings.min_count, "max_words": settings.max_words or None}
            vocabulary = build_vocabulary(corpus, keep_words=keep_words, subsample=settings.subsample, **limits)
        if counts is None:
            with track("counting pairs") as progress:
                if folder is None:
                    counts = count_pairs(corpus, vocabulary, window=settings.window, progress=progress)
                else:
                    stream_pairs(corpus, vocabulary, window=settings.window, file=folder / PAIRS, progress=progress)
        elif folder is not None:
            files.write_arrays(folder / PAIRS, counts.to_tensors())
        if folder is not None:
            files.write_json(folder / VOCABULARY, vocabulary.to_json())
            files.write_tables(folder / SAMPLES, corpus.tables())  # the last: all are there now
    if folder is not None and counts is None:
        return stored_counts(folder)
    assert vocabulary is not None
    assert counts is not None
    return vocabulary, counts


def _keep(corpus: Corpus, file: Path) -> None:
    """Link the file of a mapped corpus into a run folder; refused where it holds another one by now."""
    assert corpus.file is not None
    if not corpus.file.exists():
        raise UserError(f"{corpus.file} is gone, which the corpus was read from: give the same command again.")
    files.link(file, corpus.file)
    if open_corpus(file).digest != corpus.digest:
        raise UserError(f"{corpus.file} was exchanged since the corpus was read: give the same command again.")


def stored_counts(folder: Path) -> tuple[Vocabulary, PairCounts]:
    """Vocabulary and counts of a run folder, the counts mapped."""
    vocabulary = Vocabulary.from_json(files.read_json(folder / VOCABULARY))
    return vocabulary, PairCounts.from_tensors(map_arrays(folder / PAIRS))


def stored_corpus(folder: Path) -> Corpus:
    """The corpus of a run folder, mapped where it was."""
    if (folder / MAPPED).exists():
        return open_corpus(folder / MAPPED)
    return Corpus.from_table(files.read_table(folder / SAMPLES))
