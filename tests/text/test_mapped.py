"""A corpus that lies in a file: what is in memory otherwise, to the bit; complete or absent; no other taken for it."""

import gzip
import json
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram import counting as counting_module
from crossloss.objectives import Weat
from crossloss.text import encoding, long_rows, mapped, reading, streamed
from crossloss.text.mapped import Strings
from crossloss.text.pairs import count_pairs
from crossloss.text.vocabulary import build_vocabulary
from crossloss.utils.mapping import map_arrays
from dense import random_sentences
from distributed_sample import results
from train_on import train_on

LINES = [*random_sentences(3, sentences=60), "Größe 12 Ñandú \u201cfi\ufb01\u201d", "x <unk> y", "", "waa wab", "Ã¼ber"]


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(encoding, "PIECE", 50)
    monkeypatch.setattr(mapped, "AT_ONCE", 7)


def written(folder, layout):
    """The lines in a file of some layout, with ids and documents where it has columns."""
    rows = [(f"s{i}", f"d{i // 9}", line) for i, line in enumerate(LINES)]
    path = folder / f"corpus{layout}"
    if layout == ".txt":
        path.write_bytes("\r\n".join(LINES).encode())
    elif layout == ".tsv.gz":
        path.write_bytes(
            gzip.compress("\n".join("\t".join(row) for row in [("id", "document", "text"), *rows]).encode())
        )
    elif layout == ".csv":
        path.write_text("id,document,text\n" + "".join(f'{i},{d},"{t}\nmore"\n' for i, d, t in rows))
    elif layout == ".jsonl":
        objects = [{"id": i, "document": d, "sentence": t} | ({"extra": 1} if i == "s50" else {}) for i, d, t in rows]
        path.write_text("\n".join(map(json.dumps, objects)))
    elif layout == ".parquet":
        pq.write_table(pa.table(dict(zip(("id", "document", "text"), zip(*rows, strict=True), strict=True))), path)
    else:
        path = folder / "folder"
        path.mkdir()
        for name, part in (("a.txt", LINES[:30]), ("b.txt", LINES[30:])):
            (path / name).write_text("\n".join(part))
    return path


def assert_same(found, whole):
    for name in ("ids", "documents", "texts", "types"):
        assert list(getattr(found, name)) == list(getattr(whole, name))
    for name in ("weights", "tokens", "indptr"):
        assert np.array_equal(getattr(found, name), getattr(whole, name))
        assert getattr(found, name).dtype == getattr(whole, name).dtype
    assert found.summary() == whole.summary()
    assert found.digest == whole.digest
    assert found.info == whole.info
    assert (found.source, found.token_pattern, found.form) == (whole.source, whole.token_pattern, whole.form)


@pytest.mark.parametrize("layout", [".txt", ".tsv.gz", ".csv", ".jsonl", ".parquet", "folder"])
@pytest.mark.parametrize("split", [False, True])
def test_the_corpus_of_memory_whatever_the_layout(tmp_path, monkeypatch, layout, split):
    path = written(tmp_path, layout)
    whole = cl.read(path, split=split, candidates=path)
    monkeypatch.setattr(encoding, "PIECE", 50)
    monkeypatch.setattr(mapped, "AT_ONCE", 7)
    assert_same(cl.read(path, split=split, candidates=path), whole)
    for _ in ("made", "taken"):
        assert_same(cl.read(path, split=split, candidates=path, mapped=tmp_path / "kept"), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "kept"])


def test_ids_that_repeat_are_numbers_or_refused(tmp_path, small_pieces):
    path = tmp_path / "corpus.tsv"
    path.write_text("id\ttext\na\tred blue\na\tblue red\n")
    assert_same(cl.read(path, mapped=tmp_path / "kept"), cl.read(path))
    with pytest.raises(UserError, match="the id 'a' occurs twice"):
        cl.read(path, id="id", mapped=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("swapped", [False, True])
def test_ids_are_told_apart_source_by_source(tmp_path, small_pieces, swapped):
    repeating, unique = tmp_path / "a.tsv", tmp_path / "b.tsv"
    repeating.write_text("id\ttext\n7\tred blue\n7\tblue red\n8\tred red\n")
    unique.write_text("id\ttext\n7\tred blue\n8\tblue red\n")
    path, candidates = (repeating, unique) if swapped else (unique, repeating)
    whole = cl.read(path, candidates=candidates)
    found = cl.read(path, candidates=candidates, mapped=tmp_path / "kept")
    assert_same(found, whole)
    assert found.summary() == whole.summary()


def test_the_ending_chooses_the_layout_and_so_the_corpus(tmp_path):
    (tmp_path / "c.tsv").write_text("text\nred blue\nblue red\n")
    (tmp_path / "c.txt").write_text("text\nred blue\nblue red\n")
    assert len(cl.read(tmp_path / "c.tsv", mapped=tmp_path / "kept")) == 2
    with pytest.raises(UserError, match="different: source"):
        cl.read(tmp_path / "c.txt", mapped=tmp_path / "kept")


def test_two_who_make_the_same_file_do_not_write_into_each_others(tmp_path, monkeypatch):
    """The second waits, and takes what the first one made."""
    path, written, begun = tmp_path / "c.txt", [], threading.Event()
    path.write_text("red blue\nblue red\n" * 30)
    write = mapped.write_corpus

    def slow(file, *more):
        written.append(file)
        begun.set()
        time.sleep(0.3)
        return write(file, *more)

    monkeypatch.setattr(reading, "write_corpus", slow)
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(cl.read, path, mapped=tmp_path / "kept")]
        begun.wait(10)
        made.append(pool.submit(cl.read, path, mapped=tmp_path / "kept"))
        assert [len(one.result()) for one in made] == [60, 60]
    assert len(written) == 1


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_was_exchanged_is_noticed_before_the_pairs_are_counted(tmp_path, monkeypatch, gone):
    path, other, kept = tmp_path / "c.txt", tmp_path / "d.txt", tmp_path / "kept"
    path.write_text("red blue\nblue red\n")
    other.write_text("green blue\nblue green\n")
    corpus = cl.read(path, mapped=kept)
    kept.unlink()
    if not gone:
        cl.read(other, mapped=kept)
    monkeypatch.setattr(counting_module, "stream_pairs", lambda *unused, **more: pytest.fail("counted"))
    with pytest.raises(UserError, match="is gone" if gone else "was exchanged since the corpus was read"):
        cl.train(cl.SkipGram(corpus, min_count=1), out=tmp_path / "run")


def test_another_source_or_another_way_of_reading_is_another_corpus(tmp_path):
    path, kept = tmp_path / "corpus.txt", tmp_path / "kept"
    path.write_text("red blue\nblue red\n")
    cl.read(path, mapped=kept)
    with pytest.raises(UserError, match=r"holds another corpus \(different: token_pattern\)"):
        cl.read(path, tokens=True, mapped=kept)
    path.write_text("red blue\nblue green\n")
    with pytest.raises(UserError, match=r"different: source\)"):
        cl.read(path, mapped=kept)
    with pytest.raises(UserError, match="holds another corpus"):
        cl.read("builtin:wikipedia", mapped=kept)
    kept.write_bytes(kept.read_bytes()[:200])
    with pytest.raises(UserError, match="no complete corpus that crossloss wrote"):
        cl.read(path, mapped=kept)
    with pytest.raises(UserError, match="no complete corpus that crossloss wrote"):
        cl.read(path, mapped=path)
    assert path.read_text() == "red blue\nblue green\n"
    kept.write_text("red blue")
    with pytest.raises(UserError, match="no complete corpus that crossloss wrote"):
        cl.read(path, mapped=kept)


@pytest.mark.parametrize("content", ["1 2 3\n", "", "这是一个没有空格的句子\n" * 3])
def test_what_is_refused_leaves_no_file(tmp_path, small_pieces, content):
    path = tmp_path / "corpus.txt"
    path.write_text(content)
    with pytest.raises(UserError) as held:
        cl.read(path)
    with pytest.raises(UserError) as kept:
        cl.read(path, mapped=tmp_path / "kept")
    assert str(kept.value) == str(held.value)
    assert [p.name for p in tmp_path.iterdir()] == ["corpus.txt"]
    with pytest.raises(UserError, match="lies in no file"):
        cl.read([{"text": "a"}], mapped=tmp_path / "kept")


def test_a_letter_that_is_not_utf8_is_told_by_its_line(tmp_path, small_pieces):
    path = tmp_path / "corpus.txt"
    path.write_bytes(("\n".join(LINES) + "\ncaf").encode() + b"\xe9\nnoch\n")
    with pytest.raises(UserError, match=rf"line {len(LINES) + 1}, byte 0xe9"):
        cl.read(path)


def test_strings_are_a_sequence():
    texts = ["a", "", "größe", "x" * 30]
    raw = [text.encode() for text in texts]
    made = Strings(np.frombuffer(b"".join(raw), np.uint8), np.cumsum([0, *map(len, raw)]))
    assert list(made) == texts
    assert [made[i] for i in (-1, 2)] == [texts[-1], texts[2]]
    assert made[1:3] == texts[1:3]
    assert made[np.int64(0)] == "a"
    with pytest.raises(IndexError):
        made[4]


def chain(corpus, out):
    with train_on(corpus, out=out, min_count=1, window=3, dimension=4, steps=4) as run:
        words = run.view.words
        tests = [Weat("t", *(tuple(words[i : i + 2]) for i in range(0, 8, 2)))]
        scores = cl.score(run, tests)
        scores.save()
        return scores


def test_a_run_of_it_is_the_run_of_the_corpus_in_memory(tmp_path, small_pieces):
    path = written(tmp_path, ".tsv.gz")
    held = chain(cl.read(path), tmp_path / "held")
    kept = chain(cl.read(path, mapped=tmp_path / "kept"), tmp_path / "mapped")
    assert np.array_equal(held.samples, kept.samples)
    assert held.documents() == kept.documents()
    for name in ("scores.parquet", "samples.parquet", "pairs.safetensors", "model.safetensors"):
        assert (tmp_path / "held" / name).read_bytes() == (tmp_path / "mapped" / name).read_bytes()
    with cl.load(tmp_path / "mapped") as run:
        assert isinstance(run.model.corpus.texts, Strings), "opened, the texts stay in their file"
        assert_same(run.model.corpus, cl.read(path))
        assert run.model.with_words(["waa"]).tolist() == ["waa" in text.split() for text in run.model.corpus.texts]


def test_what_is_held_does_not_grow_with_the_text(tmp_path, monkeypatch):
    """Ten times the sentences: beside their numbers (weights, ends, scores) nothing more is held."""
    monkeypatch.setattr(encoding, "PIECE", 1 << 14)
    monkeypatch.setattr(mapped, "AT_ONCE", 200)
    peaks = {}
    for times in (1, 10):
        path = tmp_path / f"{times}.txt"
        path.write_text("\n".join(random_sentences(5, sentences=3000) * times))
        for file in (None, tmp_path / f"kept{times}"):
            tracemalloc.start()
            corpus = cl.read(path, mapped=file)
            build_vocabulary(corpus, min_count=1)
            assert corpus.digest
            peaks[times, file is None] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert peaks[10, True] > 5 * peaks[1, True]
    assert peaks[10, False] < 1.3 * peaks[1, False] + 27_000 * 40


def test_more_elements_than_scipy_counts_are_taken_by_rows(tmp_path, monkeypatch):
    path = written(tmp_path, ".txt")
    whole = chain(cl.read(path), tmp_path / "whole")
    monkeypatch.setattr(long_rows, "LONG", 10)
    by_rows = chain(cl.read(path), tmp_path / "rows")
    assert isinstance(by_rows.run.model.counts.matrix, long_rows.LongRows)
    assert np.array_equal(by_rows.samples, whole.samples)
    matrix, other = (scores.run.model.counts.matrix for scores in (whole, by_rows))
    assert (matrix.nnz, matrix.shape) == (other.nnz, other.shape)
    for rows in (slice(3, 9), 5, np.array([4, 2])):
        assert (matrix[rows] != other[rows]).nnz == 0
    with pytest.raises(UserError, match="on all pair counts at once"):
        other.sum(axis=1)


def test_a_stopped_count_goes_on_from_its_stretches(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed.counting, "TOKENS_AT_ONCE", 40)
    corpus = cl.from_sentences(random_sentences(4, sentences=90))
    vocabulary = build_vocabulary(corpus, min_count=2)
    original, seen = streamed.Stretch.count, []

    def counted(stretch, *given):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(stretch.base.name)
        original(stretch, *given)

    monkeypatch.setattr(streamed.Stretch, "count", counted)
    for _ in ("stopped", "stopped again"):
        with pytest.raises(KeyboardInterrupt):
            streamed.stream_pairs(corpus, vocabulary, window=4, file=tmp_path / "pairs.safetensors")
        first, seen[:] = list(seen), []
        assert len(first) == 3
    monkeypatch.setattr(streamed.Stretch, "count", original)
    streamed.stream_pairs(corpus, vocabulary, window=4, file=tmp_path / "pairs.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["pairs.safetensors"]
    whole = count_pairs(corpus, vocabulary, window=4)
    arrays = whole.to_tensors()
    for name, array in map_arrays(tmp_path / "pairs.safetensors").items():
        assert np.array_equal(array, arrays[name])


def test_of_two_processes_one_reads_and_each_counts_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed.counting, "TOKENS_AT_ONCE", 40)
    path = written(tmp_path, ".txt")

    def work(rank):
        opened = []
        original = encoding.text_pieces
        monkeypatch.setattr("crossloss.text.layouts.text_pieces", lambda p: opened.append(1) or original(p))
        count = streamed.Stretch.count
        monkeypatch.setattr(streamed.Stretch, "count", lambda s, *given: opened.append(s.samples) or count(s, *given))
        corpus = cl.read(path, mapped=tmp_path / "kept")
        vocabulary = build_vocabulary(corpus, min_count=1)
        streamed.stream_pairs(corpus, vocabulary, window=3, file=tmp_path / "pairs.safetensors")
        return opened

    one, two = results(2, work)
    assert one[0] == 1
    assert 1 not in two, "the second process reads no text"
    mine = [part for part in one + two if part != 1]
    assert len(mine) > 4
    assert abs(len(one) - 1 - len(two)) <= 1, "each counts half of the stretches"
    arrays = count_pairs(corpus := cl.read(path), build_vocabulary(corpus, min_count=1), window=3).to_tensors()
    for name, array in map_arrays(tmp_path / "pairs.safetensors").items():
        assert np.array_equal(array, arrays[name])
