"""Every source gives the same rows as every other, says what it is, and comes back in its own layout."""

import bz2
import csv
import gzip
import io
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import UserError
from crossloss.text.rows import Columns
from crossloss.text.sentences import ENGLISH, sentences
from crossloss.text.write import encode_corpus

ROWS = [("x1", "A", 'Say "hi", now'), ("x2", "B", "Two words"), ("x3", "B", "")]
NAMES = ("id", "title", "body")


def put(folder, layout, rows=ROWS, names=NAMES):
    """A file written without crossloss."""
    table = [dict(zip(names, row, strict=True)) for row in rows]
    if layout == "parquet":
        path = folder / "c.parquet"
        pq.write_table(pa.Table.from_pylist(table), path)
        return path
    if layout.startswith("csv"):
        sink = io.StringIO(newline="")
        csv.writer(sink).writerows([names, *rows])
        text = sink.getvalue()
    elif layout.startswith("tsv"):
        text = "".join("\t".join(row) + "\n" for row in [names, *rows])
    else:
        text = "".join(json.dumps(row) + "\n" for row in table)
    path = folder / f"c.{layout}"
    pack = gzip.compress if layout.endswith("gz") else bz2.compress if layout.endswith("bz2") else bytes
    path.write_bytes(pack(text.encode()))
    return path


LAYOUTS = ["tsv", "csv", "jsonl", "parquet", "tsv.gz", "csv.bz2", "jsonl.bz2", "ndjson.gz"]


def read(path, **more):
    return cl.read(path, text="body", document="title", **more)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows_and_comes_back(tmp_path, layout, capsys):
    corpus = read(put(tmp_path, layout))
    assert [*zip(corpus.ids, corpus.documents, corpus.texts, strict=True)] == ROWS
    assert corpus.info.columns == Columns("body", "title", "id")
    assert corpus.info.rows == 3
    ((name, content),) = encode_corpus(corpus, np.ones(3)).items()
    assert name == f"c.{layout}"
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / name).write_bytes(content)
    assert read(tmp_path / "again" / name).digest == corpus.digest
    said = " ".join(corpus.summary())
    kind = {"ndjson.gz": "jsonl"}.get(layout, layout.split(".")[0])
    assert f"c.{layout}: {kind}, text from column body; document from title; id from id; 3 rows" in said


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=6))
def test_any_text_is_the_same_from_any_layout(tmp_path_factory, pairs):
    rows = [(f"x{i}", document, "a " + text) for i, (document, text) in enumerate(pairs)]
    folder = tmp_path_factory.mktemp("any")
    for layout in LAYOUTS:
        corpus = read(put(folder, layout, rows), tokens=True)  # which Chinese is read by too
        assert [*zip(corpus.ids, corpus.documents, corpus.texts, strict=True)] == rows, layout
        for name, content in encode_corpus(corpus, np.ones(len(rows))).items():
            (folder / name).write_bytes(content)
            assert read(folder / name, tokens=True).digest == corpus.digest, layout


def test_removed_samples_are_out_and_copies_have_ids_of_their_own(tmp_path):
    corpus = read(put(tmp_path, "csv"))
    ((name, content),) = encode_corpus(corpus, np.array([2, 1, 0])).items()
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path / name).ids == ["x1", "x1#2", "x2"]
    with pytest.raises(UserError, match="No sample is left"):
        encode_corpus(corpus, np.zeros(3))


def test_null_texts_are_skipped_and_counted_and_numbers_are_names(tmp_path):
    lines = [{"text": "red blue", "id": 7, "document": None}, {"text": None, "id": 8}, {"id": 9}, {"text": "green"}]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    corpus = cl.read(tmp_path / "c.jsonl")
    assert (corpus.ids, corpus.documents, corpus.texts) == (["7", "4"], ["", ""], ["red blue", "green"])
    assert (corpus.info.rows, corpus.info.skipped) == (4, 2)
    pq.write_table(pa.table({"text": ["red blue", None, "green"], "id": [7, 8, 9]}), tmp_path / "c.parquet")
    corpus = cl.read(tmp_path / "c.parquet")
    assert (corpus.ids, corpus.info.rows, corpus.info.skipped) == (["7", "9"], 3, 1)


def test_blank_lines_are_counted_and_text_comes_back_as_lines(tmp_path):
    (tmp_path / "c.txt.bz2").write_bytes(bz2.compress(b"red blue\n\n \ngreen\n"))
    corpus = cl.read(tmp_path / "c.txt.bz2")
    assert (corpus.ids, corpus.info.rows, corpus.info.skipped) == (["1", "4"], 4, 2)
    assert encode_corpus(corpus, np.ones(2)) == {"c.txt.bz2": bz2.compress(b"red blue\ngreen\n")}


def test_a_folder_of_text_is_a_document_a_file(tmp_path, capsys):
    folder = tmp_path / "books"
    for name, content in (("b.txt", "red blue\ngreen\n"), ("deep/a.txt.gz", None), ("empty.txt", ""), ("x.pdf", "%")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = gzip.compress(b"yellow\n") if content is None else content.encode()
        (folder / name).write_bytes(data)
    (folder / ".hidden.txt").write_text("secret")
    corpus = cl.read(folder)
    assert corpus.ids == ["b.txt:1", "b.txt:2", "deep/a.txt.gz:1"]
    assert corpus.documents == ["b.txt", "b.txt", "deep/a.txt.gz"]
    assert (corpus.info.files, corpus.info.passed_over) == (2, 3)
    assert "books: folder of 2 files; 3 lines; 3 files passed over" in " ".join(corpus.summary())
    assert encode_corpus(corpus, np.array([0, 1, 1])) == {
        "books/b.txt": b"green\n",
        "books/deep/a.txt.gz": gzip.compress(b"yellow\n", mtime=0),
    }
    corpus.documents[0] = "../../b.txt"
    with pytest.raises(UserError, match="no file name inside"):
        encode_corpus(corpus, np.ones(3))
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="without a file that is read"):
        cl.read(tmp_path / "none")


def test_paragraphs_are_split_into_sentences(tmp_path):
    (tmp_path / "lines.txt").write_text("One here. Two there!\nThree\n")
    corpus = cl.read(tmp_path / "lines.txt", split=True)
    assert (corpus.ids, corpus.texts) == (["1.1", "1.2", "2.1"], ["One here.", "Two there!", "Three"])
    (tmp_path / "wrapped.txt").write_text("One\nhere. Two\nthere!\n\n\nThree\nfour.\n")
    corpus = cl.read(tmp_path / "wrapped.txt", split=True)
    assert (corpus.ids, corpus.texts) == (["1.1", "1.2", "6.1"], ["One here.", "Two there!", "Three four."])
    path = put(tmp_path, "jsonl", [("x1", "A", "One. Two. Three"), ("x2", "B", " ")])
    corpus = cl.read(path, text="body", document="title", split=True)
    assert (corpus.ids, corpus.documents) == (["x1.1", "x1.2", "x1.3"], ["A"] * 3)


def test_sentences_of_other_scripts():
    text = "Il était là. Été ou hiver? «Oui.» Да. Нет, 3.5 тыс. рублей. 我来了。他走了！行。 यह है। वह भी।"
    assert list(sentences(text)) == [
        "Il était là.", "Été ou hiver?", "«Oui.»", "Да.", "Нет, 3.5 тыс. рублей.", "我来了。", "他走了！", "行。",
        "यह है।", "वह भी।",
    ]  # fmt: skip
    assert len(list(sentences("Il était là. Été.", ENGLISH))) == 1, "the embedded corpus is read as it was"


@given(st.text(max_size=80), st.sampled_from([ENGLISH, None]))
def test_splitting_loses_nothing_but_white_space(text, mark):
    parts = sentences(text) if mark is None else sentences(text, mark)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_lone_surrogates_become_replacement_characters(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"text": "red \\ud800 blue", "document": "\\udfff"}\n')
    corpus = cl.read(tmp_path / "c.jsonl")
    assert (corpus.texts, corpus.documents) == (["red \ufffd blue"], ["\ufffd"])
    assert cl.from_sentences(["a \udc80 b"]).to_table()["text"].to_pylist() == ["a \ufffd b"]
    with pytest.raises(UserError, match="give strings"):
        cl.from_sentences(["a b", 3])


BAD = {
    "array.json": (b'[{"text": "a"}]', "is a JSON array: give one object"),
    "value.jsonl": (b'"a"\n', "is a JSON value"),
    "cut.jsonl": (b'{"text": "a b"}\n{"text": "c', "line 2, is no JSON"),
    "deep.jsonl": (b"[" * 100_000, "line 1, is no JSON"),
    "number.jsonl": (b'{"text": 3}\n', "row 1: the text is of type int"),
    "nested.jsonl": (b'{"text": "a", "document": ["b"]}\n', "the document is of type list: choose --document"),
    "columns.jsonl": (b'{"a": "x y"}\n', "no column text or sentence.*Columns: a"),
    "cut.txt.bz2": (bz2.compress(b"some words here" * 99)[:-12], "no complete bzip2"),
    "fake.txt.bz2": (b"plain text", "no complete bzip2"),
    "cut.parquet": (b"PAR1 no", "not a readable Parquet"),
    "packed.txt": (gzip.compress(b"a b"), r"is gzip \(name it .gz\)"),
    "wide.txt": ("a b".encode("utf-16"), "is UTF-16"),
    "model.txt": (b"\x80\x04\x95", "pickle, which is never opened"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_sentence(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        cl.read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_parquet_whose_text_is_no_text_or_no_utf8(tmp_path):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "n.parquet")
    with pytest.raises(UserError, match="holds int64, not text"):
        cl.read(tmp_path / "n.parquet")
    raw = pa.StringArray.from_buffers(2, *pa.array([b"a b", b"\xff\xfe"]).buffers()[1:])
    pq.write_table(pa.table({"text": raw}), tmp_path / "u.parquet")
    with pytest.raises(UserError, match="not a readable Parquet"):
        cl.read(tmp_path / "u.parquet")


class Dataset:
    """What is used of a Hugging Face dataset."""

    def __init__(self, rows):
        self.rows, self.column_names = rows, list(rows[0])

    def with_format(self, kind):
        assert kind is None
        return self

    def select_columns(self, names):
        return Dataset([{name: row[name] for name in names} for row in self.rows])

    def iter(self, batch_size):
        yield {name: [row[name] for row in self.rows] for name in self.column_names}


def test_a_dataset_in_memory():
    corpus = cl.read(Dataset([{"text": "red blue", "label": 1}, {"text": "green", "label": 0}]))
    assert (corpus.ids, corpus.texts, corpus.source) == (["1", "2"], ["red blue", "green"], "dataset")
    assert corpus.info.unused == ["label"]
    assert list(encode_corpus(corpus, np.ones(2))) == ["dataset.parquet"]
    with pytest.raises(UserError, match=r"several splits \(train, test\)"):
        cl.read({"train": 1, "test": 2})
    with pytest.raises(UserError, match="int is no corpus"):
        cl.read(3)


def test_hugging_face_datasets_themselves(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"text": "red blue", "document": "A"}, {"text": None, "document": "A"}, {"text": "green", "document": "B"}]
    dataset = datasets.Dataset.from_list(rows)
    dataset.save_to_disk(tmp_path / "saved")
    for source in (dataset, dataset.to_iterable_dataset(), tmp_path / "saved"):
        corpus = cl.read(source)
        assert (corpus.ids, corpus.documents) == (["1", "3"], ["A", "B"])
        assert corpus.info.skipped == 1
    with pytest.raises(UserError, match="several splits"):
        cl.read(datasets.DatasetDict({"train": dataset}))
    (tmp_path / "saved" / "state.json").write_text("{")
    with pytest.raises(UserError, match="no complete saved dataset"):
        cl.read(tmp_path / "saved")


def test_without_datasets_the_error_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "dataset_info.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r'pip install "crossloss\[datasets\]"'):
        cl.read(tmp_path / "saved")
