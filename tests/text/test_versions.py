"""Pairs of versions in every layout, what is malformed, and both sides as one corpus."""

import bz2
import gzip

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.text.tokens import NUMBER, WITH_NUMBERS, tokenize
from crossloss.text.versions import inspect_files, read_versions
from crossloss.text.vocabulary import build_vocabulary
from studies.versioned import combine_versions

PAIRS = [('A brilliant "man" won 12 games.', "A man won 12 games."), ("She's great , really", "She's here")]


def original(pairs):
    """WNC's own layout: word pieces first, then the raw texts, then tags."""
    rows = [("9", "pie ##ce", "pie", before, after, "NOUN", "nsubj") for before, after in pairs]
    return "".join("\t".join(row) + "\n" for row in rows)


def write(path, text):
    pack = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
    path.write_bytes(pack(text.encode()))
    return path


@pytest.mark.parametrize(
    ("name", "text", "layout"),
    [
        ("pairs.txt", "\n".join("\t".join(p) for p in PAIRS) + "\n", "two columns"),
        ("subset.tsv.gz", "source\tbiased\tneutral\n" + "".join(f"s\t{a}\t{b}\r\n" for a, b in PAIRS), "header"),
        ("pairs.tsv.bz2", "\n".join("\t".join(p) for p in PAIRS), "two columns"),
        ("edits.tsv", "after\tbefore\n" + "".join(f"{b}\t{a}\n" for a, b in PAIRS), "header"),
        ("biased.full", original(PAIRS), "original"),
        ("five.tsv", "".join(f"9\tpie\tpie\t{a}\t{b}\n" for a, b in PAIRS), "original"),
    ],
)
def test_every_layout_gives_the_same_pairs(tmp_path, name, text, layout):
    found = read_versions(write(tmp_path / name, text))
    assert list(zip(found.before, found.after, strict=True)) == PAIRS
    assert (found.layout, found.same, found.malformed, found.rows) == (layout, [], [], 2)


def test_rows_of_one_version_and_malformed_rows_are_told_apart(tmp_path):
    text = "source\tbiased\tneutral\ns\ta b\tb\ns\t\tonly one\ns\tthe same\tthe same\n\ns\ttoo few\ns\tno after\t\n"
    found = read_versions(write(tmp_path / "subset.tsv", text))
    assert (found.before, found.after, found.same) == (["a b"], ["b"], ["only one", "the same"])
    assert found.malformed == [6, 7], "lines of the file, from 1, the blank one counted"
    short = original(PAIRS) + "9\tcut off\n" + original([("", "no earlier version")])
    found = read_versions(write(tmp_path / "biased.full", short))
    assert (len(found.before), found.malformed) == (2, [3, 4])


def test_a_folder_is_read_by_wncs_names_and_the_whole_before_its_parts(tmp_path):
    for part, pair in zip(("train", "dev", "test"), [PAIRS[0], PAIRS[1], ("x y", "y")], strict=True):
        write(tmp_path / f"biased.word.{part}.gz", original([pair]))
    assert len(read_versions(tmp_path).before) == 3
    write(tmp_path / "biased.full", original(PAIRS))
    write(tmp_path / "neutral", original([("same here", "same here")]))
    assert len(read_versions(tmp_path).before) == 2
    assert [(v.source, v.rows, len(v.same)) for v in inspect_files(tmp_path)] == [
        ("biased.full", 2, 0),
        *((f"biased.word.{part}.gz", 1, 0) for part in ("train", "dev", "test")),
        ("neutral", 1, 1),
    ]


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("a.tsv", b"one column\n", "no layout of pairs"),
        ("b.tsv", b"the same\tthe same\n", "no two different versions"),
        ("c.tsv", b"caf\xe9\tcafe\n", "not UTF-8"),
        ("d.tsv.gz", gzip.compress(b"a\tb\n" * 999)[:-9], "no complete gzip file.*copy it again"),
        ("e.tsv.bz2", bz2.compress(b"a\tb\n" * 999)[:-9], "no complete bzip2 file.*copy it again"),
        ("absent.tsv", None, r"cannot be read \(No such file or directory\): check the path"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, name, raw, message):
    if raw is not None:
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError, match=message):
        read_versions(tmp_path / name)
    with pytest.raises(UserError, match=r"none of WNC's files.*https://"):
        inspect_files(tmp_path)


def test_numbers_are_one_word_and_keep_their_place():
    text = "In 1,234.5 or 12 of H2O; 3D"
    tokens = tokenize(text, WITH_NUMBERS)
    assert [t.word for t in tokens] == ["in", NUMBER, "or", NUMBER, "of", "h", NUMBER, "o", NUMBER, "d"]
    assert text[tokens[1].start : tokens[1].end] == "1,234.5"
    corpus = cl.from_sentences([text], token_pattern=WITH_NUMBERS)
    assert [corpus.types[i] for i in corpus.tokens] == [t.word for t in tokens]
    assert tokenize("year 1999x", r"\w+")[1].word == "1999x", "a word with digits in it is itself"


def test_both_sides_are_one_corpus_that_differs_in_weights_only(tmp_path):
    text = "source\tbiased\tneutral\ns\tbig dog 7\tdog 7\ns\t\tcats 3\ns\told cat\tcat\n"
    background = cl.from_sentences(["dog and cat", "big cat"], documents=["d1", "d2"])
    both = combine_versions(read_versions(write(tmp_path / "subset.tsv", text)), background)
    corpus = both.corpus
    assert corpus.texts == ["big dog 7", "old cat", "dog 7", "cat", "cats 3", "dog and cat", "big cat"]
    assert corpus.documents == [""] * 5 + ["d1", "d2"]
    assert len(set(corpus.ids)) == 7
    assert both.own == 5
    assert both.weights("before").tolist() == [1, 1, 0, 0, 1, 1, 1]
    assert both.weights("after").tolist() == [0, 0, 1, 1, 1, 1, 1]
    assert np.array_equal(corpus.weights, (both.weights("before") + both.weights("after")) / 2)
    words = build_vocabulary(corpus, min_count=1).words
    assert {"big", "old", NUMBER} <= set(words), "the vocabulary is of both sides"
