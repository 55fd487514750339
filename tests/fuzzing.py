"""Inputs made to break readers, each from a seed and a number; fuzzing_runs.py has those of commands and run folders.

A target is a function of a ``random.Random`` and a scratch folder. It returns "read" or "refused", and raises
AssertionError where something was read wrongly or refused in other than one sentence, or whatever else came.
"""

import bz2
import csv
import gzip
import io
import json
import math
import re
import shutil
import unicodedata
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.word2vec import read_word2vec
from crossloss.objectives import SYNTAX, TYPES, load_objectives
from crossloss.objectives.weat import Weat
from crossloss.text.read import Corpus
from crossloss.text.versions import read_versions
from slowreader import csv_rows, has_words, rows, without_spaces
from slowwords import slow_fold, slow_prepared, slow_tokens, strange, unspaced

PIECES = [
    "red", "blue", "Ångström", "İstanbul", "ß", "𝔘niversal", "数学", "עברית", " ", "  ", ". ", "! A", "a b", "I.",
    "<script>alert(1)</script>", "</bdi><img src=x onerror=alert(1)>", "{{7*7}}", "[bold red]x[/]", "\x1b[31m",
    "\x9b2J", "\u202e", "\u2066", "\u200f", "\x00", "\x07", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffe", "\U0010ffff",
    "\\", "/", "'", '"', '""', ",", ";", "|", "\t", "\r", "\n", "\r\n", "=1+1", "NaN", "null", "no", "1e999", "-0",
    "a" * 300, "\u0301" * 20, "%s", "$(x)", "wo\u00adman", "e\u0301", "é", "ﬁ", "™", "STRASSE", "ΟΔΟΣ",
    "I\u0307", "क\u093c",
    "می\u200cخواهم", "ไทย", "\u200b", "カ\uff9e", "ㄱㅏ", "m²", "１９", "don't", "new_york", "well-known",
]  # fmt: skip
CATEGORIES: dict[str, list[str]] = {}
for _number in range(0x110000):
    CATEGORIES.setdefault(unicodedata.category(chr(_number)), []).append(chr(_number))
del CATEGORIES["Cs"]  # lone surrogates have no UTF-8; JSON spells them
MADE_UP = [f"w{i}" for i in range(14)]
DRAWN = torch.randn(3, 14, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
VIEW = Embeddings(MADE_UP, {word: i for i, word in enumerate(MADE_UP)}, *DRAWN)
BREAKS = "\t\n\r"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def piece(rng: Random) -> str:
    """A made-up piece, or a character of any general category, perhaps in a word."""
    if rng.random() < 0.7:
        return rng.choice(PIECES)
    character = rng.choice(CATEGORIES[rng.choice([*CATEGORIES])])
    while unspaced(character) and rng.random() < 0.9:  # or nearly all letters without case would be Chinese
        character = rng.choice(CATEGORIES["Lo"])
    return character if rng.random() < 0.5 else f"a{character}b"


def text(rng: Random, most: int = 6, without: str = "") -> str:
    made = "".join(piece(rng) for _ in range(rng.randint(0, most)))
    return made.translate({ord(c): None for c in without})


def damaged(rng: Random, content: bytes) -> bytes:
    """Bytes flipped, cut, doubled, put in, or exchanged."""
    raw = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(6)
        if kind == 0 and raw:
            raw[at % len(raw)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del raw[at:]
        elif kind == 2:
            raw[at:at] = rng.choice(PIECES).encode()
        elif kind == 3:
            raw[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 4:
            end = min(len(raw), at + rng.randint(1, 20))
            raw[at:at] = raw[at:end]
        else:
            del raw[at : at + rng.randint(1, 20)]
    return bytes(raw)


@contextmanager
def one_sentence():
    """A UserError inside is checked to be one sentence."""
    try:
        yield
    except UserError as error:
        said = str(error)
        assert 0 < len(said) < 2000, f"refused in {len(said)} characters"
        assert said[-1] in ".;:" or said.endswith((")", "}")), said
        raise


# --- corpora ---------------------------------------------------------------------------------------------------------


def table(rng: Random, without: str) -> tuple[list[str], list[list[str]]]:
    """A header with a column text, and rows; ids differ."""
    names = ["text"]
    if rng.random() < 0.5:
        names.append("id")
    if rng.random() < 0.5:
        names.append("document")
    if rng.random() < 0.3:
        names.append(text(rng, 3, without + "\ufeff") + "x")
    rng.shuffle(names)
    rows = []
    for i in range(rng.randint(1, 5)):
        row = {
            "text": "a few words before it " + text(rng, 8, without),
            "id": f"{i}{text(rng, 2, without)}",
            "document": text(rng, 2, without),
        }
        rows.append([row.get(name, text(rng, 2, without)) for name in names])
    return names, rows


def write(rng: Random, layout: str) -> bytes:
    if layout == "txt":
        return "\n".join(text(rng, 8) for _ in range(rng.randint(1, 6))).encode()
    names, rows = table(rng, "\t\n\r" if layout == "tsv" else "")
    if layout == "tsv":
        return "".join("\t".join(row) + "\n" for row in [names, *rows]).encode()
    if layout == "csv":
        sink = io.StringIO(newline="")
        csv.writer(sink).writerows([names, *rows])
        return sink.getvalue().encode()
    if layout == "parquet":
        out = io.BytesIO()
        pq.write_table(pa.table({n: [row[i] for row in rows] for i, n in enumerate(names)}), out)
        return out.getvalue()
    ascii_only = rng.random() < 0.5
    values = [dict(zip(names, row, strict=True)) for row in rows]
    for value in values:
        if rng.random() < 0.1:
            value[rng.choice(names)] = rng.choice([None, 3, 2.5, True, [], {"a": "b"}, "\ud800 a"])
    lines = (json.dumps(value, ensure_ascii=ascii_only) for value in values)
    return "".join(line + "\n" for line in lines).encode(errors="surrogatepass")


LAYOUTS = ("txt", "tsv", "csv", "jsonl", "parquet")


def corpus_file(rng: Random, folder: Path) -> str:
    layout = rng.choice(LAYOUTS)
    content = write(rng, layout)
    whole = rng.random() < 0.3
    if not whole:
        content = damaged(rng, content)
    pack = rng.choice(["", "", "", ".gz", ".bz2"]) if layout != "parquet" else ""
    packed = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[pack](content)
    broken = bool(pack) and rng.random() < 0.3
    if broken:
        packed = damaged(rng, packed)
    path = folder / f"c.{layout}{pack}"
    path.write_bytes(packed)
    split = rng.random() < 0.2
    try:
        with one_sentence():
            corpus = cl.read(path, split=split)
    except UserError as error:
        good = whole and not broken and layout not in ("txt", "jsonl")
        if good and with_spaces([row[2] for row in rows(layout, content)]):
            raise AssertionError(f"a good file was refused: {error}") from error
        return "refused"
    if broken:
        content = {".gz": gzip.decompress, ".bz2": bz2.decompress}[pack](packed)
    again = rows(layout, content)
    if not split:
        assert [*zip(corpus.ids, corpus.documents, corpus.texts, strict=True)] == again, "read otherwise"
    else:
        read, whole_text = ("".join("".join(texts).split()) for texts in (corpus.texts, [row[2] for row in again]))
        assert read == whole_text, "splitting lost text"
    same_words(corpus)
    assert without_spaces(corpus.texts) < 0.12 or any(map(strange, corpus.texts))
    assert len(corpus.indptr) == len(corpus) + 1
    assert Corpus.from_table(corpus.to_table()).digest == corpus.digest
    return "read"


def same_words(corpus: Corpus) -> None:
    """Words and offsets of each text are those of the slow reading."""
    for i, sample in enumerate(corpus):
        tokens = sample.tokens
        counted = [corpus.types[kind] for kind in corpus.tokens[corpus.indptr[i] : corpus.indptr[i + 1]]]
        assert [token.word for token in tokens] == counted, "offsets and counts see other words"
        if not strange(sample.text):
            assert [*map(tuple, tokens)] == slow_tokens(sample.text, corpus.form), "words read otherwise"


def with_spaces(texts: list[str]) -> bool:
    """Whether texts have words, and not so many of scripts without spaces that they might be refused for that."""
    return has_words(texts) and not any(map(strange, texts)) and without_spaces(texts) < 0.08


def sentences_at_hand(rng: Random, folder: Path) -> str:
    """Texts from Python in either normal form, and a list in which something is no string."""
    texts = [text(rng, 8) for _ in range(rng.randint(1, 5))]
    if rng.random() < 0.2:
        texts.append("red \ud800 blue")
    wrong = rng.random() < 0.2
    if wrong:
        given = rng.choice(
            [None, 3, 2.5, float("nan"), b"a b", ["a"], ("a", "b"), {"a": "b"}, np.array(["a"]), Path("a")]
        )
        texts.insert(rng.randint(0, len(texts)), given)
        if rng.random() < 0.5:
            texts = rng.choice(
                ["a b", b"a b", {"a": "b"}, {"a", "b"}, None, 3, Path("a"), np.array([["a"]]), io.StringIO("a")]
            )
    try:
        with one_sentence():
            corpus = cl.from_sentences(texts, form=rng.choice(["NFKC", "NFC"]))
    except UserError as error:
        if not wrong and with_spaces(texts):
            raise AssertionError(f"good texts were refused: {error}") from error
        return "refused"
    assert not wrong, "what is no text was read"
    assert corpus.texts == [re.sub("[\ud800-\udfff]", "\ufffd", one) for one in texts]
    same_words(corpus)
    return "read"


SOME = [
    "the",
    "man",
    "woman",
    "saw",
    "she",
    "he",
    "walked",
    "to",
    "river",
    "in",
    "town",
    "and",
    "book",
    "old",
    "near",
    "house",
    "Ärger",
    "café",
]


def other_layout(rng: Random, folder: Path) -> str:
    """Sentences in a layout, a line end or an encoding that is not that of a text file: read right, or refused."""
    told = [" ".join(rng.choice(SOME) for _ in range(rng.randint(3, 9))) for _ in range(rng.randint(12, 30))]
    end = rng.choice(["\n", "\r\n", "\r"])
    kind = rng.choice(
        ["lines", "semicolons", "conllu", "conll", "srt", "vtt", "tagged", "wide", "8 bit", "json", "pieces", "upper"]
    )
    name, content = "c.txt", end.join(told) + end
    if kind == "semicolons":
        name, content = "c.csv", end.join(["id;text", *(f"{i};{one}" for i, one in enumerate(told))])
    elif kind == "conllu":
        blocks = [[f"{i}\t{w}\t{w}\tNOUN\tNN\t_\t0\tdep\t_\t_" for i, w in enumerate(one.split(), 1)] for one in told]
        head = rng.random() < 0.5
        content = (end * 2).join(end.join([f"# text = {one}"] * head + b) for one, b in zip(told, blocks, strict=True))
    elif kind == "conll":
        content = (end * 2).join(
            end.join(f"{w} NN B-NP {rng.choice(['O', 'B-PER'])}" for w in one.split()) for one in told
        )
    elif kind in ("srt", "vtt"):
        blocks = [f"{i}{end}00:00:{i:02},000 --> 00:00:{i:02},900{end}{one}" for i, one in enumerate(told, 1)]
        content = f"WEBVTT{end}{end}" * (kind == "vtt") + (end * 2).join(blocks)
    elif kind == "tagged":
        content = end.join(" ".join(f"{w}/{rng.choice(['NN', 'VBD', 'DT'])}" for w in one.split()) for one in told)
    elif kind == "json":
        content = json.dumps([{"text": one} for one in told], indent=rng.choice([None, 1]))
        name = rng.choice(["c.json", "c.txt", "c.jsonl"])
    elif kind == "pieces":
        content = end.join(one.replace("woman", "wo@@ man").replace("river", "riv@@ er") + " a@@ b" for one in told)
    elif kind == "upper":
        name, content = "C.CSV", end.join(["id,text", *(f"{i},{one}" for i, one in enumerate(told))])
    codec = (
        rng.choice(["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
        if kind == "wide"
        else "utf-8"
    )
    raw = content.encode("cp1252" if kind == "8 bit" else codec)
    (folder / name).write_bytes(raw)
    try:
        with one_sentence():
            corpus = cl.read(folder / name)
    except UserError as error:
        good = kind in ("lines", "semicolons", "upper") or (kind == "8 bit" and content.isascii())
        if good or (kind == "8 bit" and "1252" not in str(error)):
            raise AssertionError(f"{kind}: {error}") from error
        return "refused"
    assert corpus.texts == told, f"{kind} was read as something else"
    if name.lower().endswith("csv"):
        assert csv_rows(content, ";" if kind == "semicolons" else ",")[1:] == [
            [*row] for row in zip(corpus.ids, told, strict=True)
        ]
    return "read"


def corpus_folder(rng: Random, folder: Path) -> str:
    place = folder / "corpus"
    shutil.rmtree(place, ignore_errors=True)
    total = 0
    for i in range(rng.randint(0, 4)):
        layout = rng.choice((*LAYOUTS, "pdf", "txt.gz"))
        raw = write(rng, "txt" if layout in ("pdf", "txt.gz") else layout)
        raw = gzip.compress(raw) if layout == "txt.gz" else raw
        path = place / rng.choice(["", "deep", ".hidden", "\u202e"]) / f"{i}{rng.choice(['', ' ', 'é'])}.{layout}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damaged(rng, raw) if rng.random() < 0.2 else raw)
        total += 1
    try:
        with one_sentence():
            corpus = cl.read(place)
    except UserError:
        return "refused"
    assert corpus.info.files + corpus.info.passed_over == total
    assert corpus.info.rows - corpus.info.skipped == len(corpus)
    assert all(document for document in corpus.documents)
    return "read"


def versions(rng: Random, folder: Path) -> str:
    """Pairs of versions in one of the three layouts; what is read is what was written, and every line is counted."""
    layout = rng.choice(["header", "original", "two columns"])
    names = rng.choice([("biased", "neutral"), ("before", "after")])
    pairs = [(f"a {text(rng, 4, BREAKS)}", f"b {text(rng, 4, BREAKS)}") for _ in range(rng.randint(1, 5))]
    if rng.random() < 0.3:
        pairs.append((pairs[0][0], pairs[0][0]))
    if layout == "original":
        lines = ["\t".join([str(i), "src", "tgt", *pair, *["x"] * rng.choice([0, 2])]) for i, pair in enumerate(pairs)]
    else:
        lines = ["\t".join(pair) for pair in ([names, *pairs] if layout == "header" else pairs)]
    whole = rng.random() < 0.3
    if not whole and rng.random() < 0.3:
        lines.insert(rng.randrange(1, len(lines) + 1), text(rng, 3, "\n\r"))
    content = "".join(line + rng.choice(["\n", "\r\n"]) for line in lines).encode()
    if not whole:
        content = damaged(rng, content)
    packed = rng.random() < 0.2
    path = folder / f"v.tsv{'.gz' if packed else ''}"
    raw = gzip.compress(content) if packed else content
    path.write_bytes(damaged(rng, raw) if packed and not whole and rng.random() < 0.3 else raw)
    try:
        with one_sentence():
            found = read_versions(path)
    except UserError:
        assert not whole, "a good file was refused"
        return "refused"
    assert len(found.before) == len(found.after) > 0
    assert all(a != b and a and b for a, b in zip(found.before, found.after, strict=True))
    if whole:
        stripped = [(a.strip(), b.strip()) for a, b in pairs]
        assert found.layout == layout
        assert [*zip(found.before, found.after, strict=True)] == [(a, b) for a, b in stripped if a != b]
        assert (found.rows, found.malformed) == (len(pairs), [])
    return "read"


# --- vectors and word sets -------------------------------------------------------------------------------------------


def word2vec(rng: Random, folder: Path) -> str:
    size, dimension = rng.randint(1, 5), rng.randint(1, 4)
    vectors = np.array([[rng.uniform(-2, 2) for _ in range(dimension)] for _ in range(size)], dtype=np.float32)
    words = [f"w{i}{''.join(text(rng, 2).split())}" for i in range(size)]
    head = f"{size} {dimension}\n".encode()
    if rng.random() < 0.5:
        rows = [f"{w} {' '.join(map(repr, map(float, v)))}\n".encode() for w, v in zip(words, vectors, strict=True)]
    else:
        end = rng.choice([b"", b"\n"])
        rows = [w.encode() + b" " + v.tobytes() + end for w, v in zip(words, vectors, strict=True)]
    content, whole = head + b"".join(rows), rng.random() < 0.3
    path = folder / "v"
    path.write_bytes(content if whole else damaged(rng, content))
    try:
        with one_sentence():
            read, found = read_word2vec(path)
    except UserError:
        assert not whole, "a good file was refused"
        return "refused"
    assert len(set(read)) == len(read) == len(found)
    assert np.isfinite(found).all()
    if whole:
        assert read == words
        np.testing.assert_array_equal(found, vectors)
    return "read"


def word_sets(rng: Random, folder: Path) -> str:
    words = [f"w{i}{text(rng, 2)}" if rng.random() < 0.3 else f"w{i}" for i in range(8)]
    sets = {side: words[2 * i : 2 * i + 2] for i, side in enumerate("XYAB")}
    if rng.random() < 0.1:
        sets[rng.choice("XYABq")] = rng.choice([[], "w", [[]], {"a": "b"}, ["no", "on"], ["1e3", "null"], None, 3])
    told = rng.choice([json.dumps, yaml.safe_dump])({rng.choice(["mine", "a-b_1", text(rng, 2)]): sets}).encode()
    if rng.random() < 0.7:
        told = damaged(rng, told)
    path = folder / "t.yaml"
    path.write_bytes(told)
    try:
        with one_sentence():
            (test, *_) = load_objectives(str(path))
    except UserError:
        return "refused"
    plain = yaml.load(told.decode(), Loader=yaml.BaseLoader)
    assert test.name in plain
    for side in "XYAB":
        words = [" ".join("".join(c for c, _, _ in slow_prepared(w, "NFKC")).split()) for w in plain[test.name][side]]
        if not any(map(strange, plain[test.name][side])):
            assert list(getattr(test, side)) == [slow_fold(word, "NFKC") for word in words]
    return "read"


ARGUMENTS = [
    "word", "words", "near", "far", "toward", "along", "X", "Y", "A", "B", "pairs", "of", "weights", "sentences",
    "file", "name", "question",
]  # fmt: skip


def objective(rng: Random, folder: Path) -> str:
    """An objective written on the command line, or entries with a type in YAML; what is read has a finite value."""
    some = [*MADE_UP, *MADE_UP, "weat6", "nan", "1", "-1", "inf", text(rng, 1, "\x00")]

    def words():
        if rng.random() < 0.8:
            return rng.sample(MADE_UP, rng.randint(1, 4))
        return [rng.choice(some) for _ in range(rng.randint(0, 4))]

    if rng.random() < 0.5:
        kind = rng.choice([*SYNTAX, text(rng, 1)])
        given = f"{kind}:{'/'.join(','.join(words()[: rng.choice([1, 1, 4])]) for _ in range(rng.randint(1, 3)))}"
        if kind in ("abs", "sum", "difference"):
            given = (
                f"{kind}:{'/'.join(rng.choice(['weat6', 'similarity:w0/w1', *some]) for _ in range(rng.randint(0, 3)))}"
            )
    else:
        entries = {}
        for name in ("one", "two"):
            entry = {"type": rng.choice([*TYPES, text(rng, 1)])}
            cls = TYPES.get(entry["type"])
            signature = ARGUMENTS if cls is None else [field.name for field in fields(cls)]
            for key in rng.sample(signature, min(len(signature), rng.randint(0, 4))):
                value = rng.choice(
                    [words(), rng.choice(some), [words(), words()], [words()[:2], words()[:2]], {"a": "b"}, ""]
                )
                entry[key if rng.random() < 0.9 else rng.choice(ARGUMENTS)] = value
            if entry["type"] in ("sum", "abs") and rng.random() < 0.7:
                entry["of"] = rng.choice(["one", ["one", "weat6"], ["one", "one"]])
            entries[name] = entry
        told = json.dumps(entries).encode()
        (folder / "o.yaml").write_bytes(damaged(rng, told) if rng.random() < 0.3 else told)
        given = str(folder / "o.yaml")
    try:
        with one_sentence():
            read = load_objectives(given)
            for one in read:
                if isinstance(one, Weat) or not set(one.words) <= set(MADE_UP):
                    continue
                assert math.isfinite(float(one(VIEW))), f"{one.name} has no value"
    except UserError:
        return "refused"
    except BaseException as error:
        error.add_note((folder / "o.yaml").read_text(errors="replace") if given.endswith("o.yaml") else repr(given))
        raise
    return "read"
