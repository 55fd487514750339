"""Inputs made to break readers, each from a seed and a number; fuzzing_runs.py has those of commands and run folders.

A target is a function of a ``random.Random`` and a scratch folder. It returns "read" or "refused", and raises
AssertionError where something was read wrongly or refused in other than one sentence, or whatever else came.
"""

import bz2
import csv
import gzip
import inspect
import io
import json
import math
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

import crossloss as cl
from crossloss.core import UserError
from crossloss.corpus.read import Corpus
from crossloss.corpus.versions import read_versions
from crossloss.objectives import load_objectives
from crossloss.objectives.inline import SYNTAX
from crossloss.objectives.userfile import MADE_BY
from crossloss.objectives.weat import Weat
from crossloss.skipgram.embeddings import Embeddings
from crossloss.skipgram.word2vec import read_word2vec

PIECES = [
    "red", "blue", "Ångström", "İstanbul", "ß", "𝔘niversal", "数学", "עברית", " ", "  ", ". ", "! A", "a b", "I.",
    "<script>alert(1)</script>", "</bdi><img src=x onerror=alert(1)>", "{{7*7}}", "[bold red]x[/]", "\x1b[31m",
    "\x9b2J", "\u202e", "\u2066", "\u200f", "\x00", "\x07", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffe", "\U0010ffff",
    "\\", "/", "'", '"', '""', ",", ";", "|", "\t", "\r", "\n", "\r\n", "=1+1", "NaN", "null", "no", "1e999", "-0",
    "a" * 300, "\u0301" * 20, "%s", "$(x)",
]  # fmt: skip
MADE_UP = [f"w{i}" for i in range(14)]
DRAWN = torch.randn(3, 14, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
VIEW = Embeddings(MADE_UP, {word: i for i, word in enumerate(MADE_UP)}, *DRAWN)
BREAKS = "\t\n\r"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def text(rng: Random, most: int = 6, without: str = "") -> str:
    made = "".join(rng.choice(PIECES) for _ in range(rng.randint(0, most)))
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
            "text": "a " + text(rng, 8, without),
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


def expected(layout: str, content: bytes) -> list[tuple[str, str, str]] | None:
    """Rows (id, document, text) by another reading; None where there is none."""
    if layout == "parquet":
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            wanted = [name for name in ("text", "document", "id") if name in file.schema_arrow.names]
            values = file.read(columns=wanted).to_pylist()
        return [_row(i, value) for i, value in enumerate(values, 1) if value["text"] is not None]
    told = content.decode("utf-8-sig")
    lines = told.split("\n")
    if layout == "txt":
        return [(str(i), "", line.strip("\r")) for i, line in enumerate(lines, 1) if line.strip()]
    if layout == "jsonl":
        objects = [(i, json.loads(line)) for i, line in enumerate(lines, 1) if line.strip()]
        first = objects[0][1]
        key = "text" if "text" in first else "sentence"
        names = [name for name in ("document", "id") if name in first]
        kept = []
        for i, value in objects:
            if value.get(key) is not None:
                kept.append(_row(i, {"text": value[key]} | {name: value.get(name) for name in names}))
        return kept
    if layout == "tsv":
        cells = [line.rstrip("\r").split("\t") for line in lines if line.rstrip("\r")]
    else:
        cells = [row for row in csv.reader(io.StringIO(told, newline="")) if row]
    found = []
    for i, row in enumerate(cells[1:], 1):
        value = {}
        for name, cell in zip(cells[0], row, strict=True):
            value.setdefault(name, cell)
        if "text" not in value:
            value["text"] = value["sentence"]
        found.append(_row(i, value))
    return found


def _row(number, value):
    parts = (value.get("id"), value.get("document"), value["text"])
    names = [default if part is None else str(part) for part, default in zip(parts, (str(number), "", ""), strict=True)]
    return tuple(re.sub("[\ud800-\udfff]", "\ufffd", name) for name in names)


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
    except UserError:
        if whole and not broken and layout not in ("txt", "jsonl"):
            raise AssertionError("a good file was refused") from None
        return "refused"
    if broken:
        content = {".gz": gzip.decompress, ".bz2": bz2.decompress}[pack](packed)
    rows = expected(layout, content)
    if not split:
        assert [*zip(corpus.ids, corpus.documents, corpus.texts, strict=True)] == rows, "read otherwise"
    else:
        read, whole_text = ("".join("".join(texts).split()) for texts in (corpus.texts, [row[2] for row in rows]))
        assert read == whole_text, "splitting lost text"
    assert len(corpus.indptr) == len(corpus) + 1
    assert Corpus.from_table(corpus.to_table()).digest == corpus.digest
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
    assert corpus.found.files + corpus.found.passed_over == total
    assert corpus.found.rows - corpus.found.skipped == len(corpus)
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
        assert list(getattr(test, side)) == [word.strip().lower() for word in plain[test.name][side]]
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
            entry = {"type": rng.choice([*MADE_BY, "sum", "abs", text(rng, 1)])}
            signature = (
                list(inspect.signature(MADE_BY[entry["type"]]).parameters) if entry["type"] in MADE_BY else ARGUMENTS
            )
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
