"""Files to samples: layouts, encodings, offsets, and one sentence for each bad input."""

import gzip

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.text.builtin import plain
from crossloss.text.read import Corpus
from crossloss.text.sentences import sentences


def test_a_sentence_a_line(tmp_path):
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbfFirst line.\r\n\r\nThird <b>line</b>\n")
    corpus = cl.read(tmp_path / "c.txt")
    assert corpus.ids == ["1", "3"]
    assert corpus.texts == ["First line.", "Third <b>line</b>"]
    assert corpus[1].weight == 1.0
    assert [t.word for t in corpus[1].tokens] == ["third", "b", "line", "b"]
    assert corpus.types == ["first", "line", "third", "b"]
    assert corpus.tokens.tolist() == [0, 1, 2, 3, 1, 3]
    assert corpus.indptr.tolist() == [0, 2, 6]


@pytest.mark.parametrize("packed", [False, True])
def test_tsv_and_csv_give_the_same_rows(tmp_path, packed):
    tsv = 'document\tid\tsentence\nA\tx1\tSay "hi", now\nB\tx2\tTwo words\n'
    csv = 'document,id,sentence\nA,x1,"Say ""hi"", now"\r\nB,x2,Two words\r\n'
    found = []
    for name, text in (("c.tsv", tsv), ("c.csv", csv)):
        path = tmp_path / (name + ".gz" if packed else name)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        corpus = cl.read(path)
        found.append((corpus.ids, corpus.documents, corpus.texts))
    assert found[0] == found[1] == (["x1", "x2"], ["A", "B"], ['Say "hi", now', "Two words"])


def test_named_columns_and_row_numbers(tmp_path):
    (tmp_path / "c.tsv").write_text("body\tsource\nred blue\ts1\ngreen\ts2\n")
    corpus = cl.read(tmp_path / "c.tsv", text="body", document="source")
    assert corpus.ids == ["1", "2"]
    assert corpus.documents == ["s1", "s2"]


def test_candidates_have_weight_zero_and_ids_of_their_own(tmp_path):
    (tmp_path / "c.txt").write_text("red blue\n")
    (tmp_path / "more.txt").write_text("green red\n")
    corpus = cl.read(tmp_path / "c.txt", candidates=tmp_path / "more.txt")
    assert corpus.ids == ["1", "candidate:1"]
    assert corpus.weights.tolist() == [1.0, 0.0]


BAD = {
    "empty.txt": (b"", "is empty"),
    "blank.txt": (b"  \n\n", "is empty"),
    "wordless.txt": (b"123 456\n", "no sentence with a word"),
    "latin.txt": ("ok\ncafé".encode("latin-1"), r"not UTF-8 \(line 2, byte 0xe9\)"),
    "columns.tsv": (b"a\tb\n1\t2\n", "no column text or sentence.*Columns: a, b"),
    "ragged.tsv": (b"text\tb\n1\t2\n3\n", "row 2: 1 fields where the header has 2"),
    "quotes.csv": (b'text,b\n"x"y,2\n', "no valid csv"),
    "cut.txt.gz": (gzip.compress(b"some words here" * 99)[:-12], "no complete gzip"),
    "fake.txt.gz": (b"plain text", "no complete gzip"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_sentence(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        cl.read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_what_is_not_a_corpus(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        cl.read(tmp_path / "absent.txt")
    with pytest.raises(UserError, match="is a folder"):
        cl.read(tmp_path)
    with pytest.raises(UserError, match="embedded corpus is builtin:wikipedia"):
        cl.read("builtin:other")
    (tmp_path / "c.tsv").write_text("text\nred blue\n")
    with pytest.raises(UserError, match="no column body"):
        cl.read(tmp_path / "c.tsv", text="body")
    (tmp_path / "c.txt").write_text("red blue\n")
    with pytest.raises(UserError, match="has no columns"):
        cl.read(tmp_path / "c.txt", text="body")
    with pytest.raises(UserError, match="no regular expression"):
        cl.read(tmp_path / "c.txt", token_pattern="[")


def test_the_digest_sees_every_part():
    base = cl.from_sentences(["red blue", "green"], ["A", "B"])
    others = [
        cl.from_sentences(["red blue", "green"], ["A", "C"]),
        cl.from_sentences(["red blue green", ""], ["A", "B"]),
        cl.from_sentences(["red blue", "green"], ["A", "B"], token_pattern="[a-z]+"),
        cl.from_sentences(["red blue"], ["A"], candidates=["green"]),
    ]
    assert len({c.digest for c in [base, *others]}) == 5
    assert base.digest == cl.from_sentences(["red blue", "green"], ["A", "B"]).digest


def test_tables_bring_a_corpus_back():
    corpus = cl.from_sentences(["red <i>blue", "gr\x1b[31meen \x00"], ["A", "B"], candidates=["x y"])
    again = Corpus.from_table(corpus.to_table())
    assert again.digest == corpus.digest
    assert again.texts == corpus.texts
    assert np.array_equal(again.weights, corpus.weights)
    with pytest.raises(UserError, match="damaged"):
        Corpus.from_table(corpus.to_table().drop_columns(["id"]))


def test_sentences_end_where_people_end_them():
    text = 'Mr. Smith met J. R. Jones in the U.S. Army. It cost 3.5 million! "Was it?" she asked. (Yes.) No'
    assert list(sentences(text)) == [
        "Mr. Smith met J. R. Jones in the U.S. Army.",
        "It cost 3.5 million!",
        '"Was it?" she asked.',
        "(Yes.)",
        "No",
    ]


def test_markup_that_filters_leave_is_stripped():
    text = "== Heading ==\n* item\n| cell\nA <ref name=x>note</ref>word &amp; '''more''' {{ x }} [[y]] https://a.b/c\n"
    assert " ".join(plain(text).split()) == "A word & more x y"


@pytest.mark.slow
def test_the_embedded_corpus_is_prose():
    corpus = cl.read("builtin:wikipedia")
    assert len(set(corpus.documents)) >= 100
    assert len(corpus.tokens) > 350_000
    assert not [t for t in corpus.texts if any(mark in t for mark in ("[[", "{{", "==", "<ref", "{|"))]
    assert min(len(corpus[i].tokens) for i in range(0, len(corpus), 50)) >= 3
