"""Files that are not what their name says: read right, or refused with what they are and advice that works."""

import csv
import gzip
import io
import json
import re
import shutil
import subprocess

import pytest

import crossloss as cl
from crossloss.core import UserError

SAID = [
    f"{who} saw the {what} near the old river" for who in ("she", "he", "Zoë", "they") for what in ("ox", "owl", "fox")
]


def put(folder, name, text, codec="utf-8"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(codec))
    return path


def blocks(line, part="\n\n"):
    return part.join("\n".join(line(i, word) for i, word in enumerate(said.split(), 1)) for said in SAID)


def tagged(tag):
    return "\n".join(" ".join(f"{word}{tag}" for word in said.split()) for said in SAID)


CUES = "\n\n".join(f"{i}\n00:00:0{i % 10},000 --> 00:00:0{i % 10},900\n{said}" for i, said in enumerate(SAID, 1))
TABLE = "\n".join(["id,author,text", *(f"{i},Ann,{said}" for i, said in enumerate(SAID))])
OTHER = {
    "ud.conllu": (
        "\n\n".join(
            f"# sent_id = {n}\n# text = {said}\n"
            + "\n".join(f"{i}\t{w}\t{w}\tNOUN\tNN\t_\t0\tdep\t_\t_" for i, w in enumerate(said.split(), 1))
            for n, said in enumerate(SAID)
        ),
        "is CoNLL-U, a token a line: write its sentences with `grep '\\^# text = '",
    ),
    "x.conll": (
        blocks(lambda i, w: f"{i}\t{w}\t_\tNN\tNN\t_\t0\tdep"),
        'is CoNLL, a token a line.*{printf "%s ", \\$2}',
    ),
    "ner.txt": (blocks(lambda i, w: f"{w} NN B-NP O"), "is CoNLL, a token a line.*\\$1"),
    "doc.txt": ("-DOCSTART- -X- O O\n\n" + blocks(lambda i, w: f"{w} NN I-NP B-PER"), "is CoNLL"),
    "iob.txt": (blocks(lambda i, w: f"{w}\tO"), "a token a line"),
    "short.txt": (blocks(lambda i, w: f"{w} NN") + "\n\nEND", "a token a line"),
    "pos.txt": (blocks(lambda i, w: f"{w} NN"), "a token a line"),
    "words.txt": (blocks(lambda i, w: w), "has a word a line"),
    "film.srt": (CUES, "is subtitles: keep their text"),
    "one.srt": ("1\n00:00:01,000 --> 00:00:02,000\nShe saw.\n", "is subtitles"),
    "model.txt": ("\n".join(f"<s> {said} </s>" for said in SAID), "between <s> and </s>"),
    "film.txt": (CUES.replace("\n", "\r\n"), "is subtitles"),
    "web.vtt": ("WEBVTT\n\n" + CUES.replace(",", "."), "is subtitles"),
    "film.sub": ("\n".join(f"{{{i}}}{{{i + 9}}}{said}" for i, said in enumerate(SAID)), "is subtitles"),
    "film.ass": ("[Script Info]\n" + "\n".join(f"Dialogue: 0,0:00:01.00,{said}" for said in SAID), "is subtitles"),
    "song.lrc": ("\n".join(f"[00:{i:02}.00] {said}" for i, said in enumerate(SAID)), "is lines with times"),
    "page.txt": ("<!DOCTYPE html><p>" + SAID[0], "is HTML"),
    "page.xml": ('<?xml version="1.0"?><p>x</p>', "is XML"),
    "wiki.txt": ('<doc id="1" title="Fox">\n' + "\n".join(SAID) + "\n</doc>", "mark-up.*grep -v"),
    "note.rtf": (r"{\rtf1 she saw}", "is RTF"),
    "paper.tex": ("\\documentclass{article}\nshe saw", "is TeX"),
    "rows.txt": ("\n".join(json.dumps({"text": said}) for said in SAID), "is JSON lines: name it .jsonl"),
    "list.txt": (json.dumps([{"text": said} for said in SAID], indent=1), "is JSON: give one object a line"),
    "list.json": (json.dumps([{"text": said} for said in SAID], indent=1), "is no JSON.*jq -c"),
    "flat.json": (json.dumps([{"text": said} for said in SAID]), "JSON array.*jq -c"),
    "table.txt": (TABLE, r"a table with a header line \(id, author, text\): name it .csv"),
    "semi.text": (TABLE.replace(",", ";"), "name it .csv"),
    "tab.txt": (TABLE.replace(",", "\t"), "3 columns parted by tabs: name it .tsv"),
    "tags.txt": (tagged("/NN"), "has a tag on each word"),
    "under.txt": (tagged("_VBD"), "has a tag on each word"),
    "bpe.txt": (SAID[0].replace("river", "riv@@ er") + "\n" + SAID[1], "pieces of words"),
    "piece.txt": ("\n".join(f"\u2581{said}".replace(" ", " \u2581") for said in SAID), "pieces of words"),
    "bert.txt": (SAID[0].replace("river", "riv ##er") + "\n" + SAID[1], "pieces of words"),
    "text8": (" ".join(SAID * 20), "is one sentence of 1,920 words.*--split.*fold -s"),
}


@pytest.mark.parametrize("name", OTHER)
def test_other_layouts_are_refused_with_what_they_are(tmp_path, name):
    content, message = OTHER[name]
    with pytest.raises(UserError, match=message) as caught:
        cl.read(put(tmp_path, name, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["ud.conllu", "x.conll", "ner.txt", "pos.txt", "words.txt", "iob.txt", "tags.txt", "under.txt", "bpe.txt",
     "piece.txt", "bert.txt", "wiki.txt", "list.json", "flat.json"],
)  # fmt: skip
def test_the_advice_makes_the_sentences(tmp_path, name):
    path = put(tmp_path, name, OTHER[name][0])
    with pytest.raises(UserError) as caught:
        cl.read(path)
    command = re.search(r"`([^`]*)`", str(caught.value))[1].replace("FILE", str(path))
    if not shutil.which(command.split()[0]):
        pytest.skip(f"{command.split()[0]} is not installed")
    command += "" if str(path) in command else f" {path}"
    made = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    corpus = cl.read(put(tmp_path, "made.jsonl" if name.endswith("json") else "made.txt", made))
    wanted = SAID[:2] if name in ("bpe.txt", "bert.txt") else SAID
    assert [" ".join(text.split()) for text in corpus.texts] == wanted


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_of_every_system_are_the_same_lines(tmp_path, end, last):
    corpus = cl.read(put(tmp_path, "c.txt", end.join(SAID) + end * last))
    assert (corpus.ids, corpus.texts) == ([str(i) for i in range(1, 13)], SAID)
    table = cl.read(put(tmp_path, "c.tsv", end.join(["text", *SAID]) + end * last))
    assert table.texts == SAID
    assert cl.read(put(tmp_path, "c.csv", end.join(["text", *SAID]) + end * last)).texts == SAID
    rows = end.join(json.dumps({"text": said}) for said in SAID)
    assert cl.read(put(tmp_path, "c.jsonl", rows + end * last)).texts == SAID


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_separators_of_unicode_end_lines_where_nothing_else_does(tmp_path, mark):
    assert cl.read(put(tmp_path, "c.txt", mark.join(SAID) + "\n")).texts == SAID
    both = [f"{SAID[0]}{mark}{SAID[1]}", SAID[2]]
    assert cl.read(put(tmp_path, "c.txt", "\n".join(both))).texts == both
    assert cl.read(put(tmp_path, "c.jsonl", json.dumps({"text": both[0]}, ensure_ascii=False))).texts == both[:1]


def test_many_blank_lines_before_the_first_sentence_do_no_harm(tmp_path):
    assert len(cl.read(put(tmp_path, "late.txt", "\n" * 2100 + "\n".join(SAID)))) == len(SAID)
    tabs = "\n" * 2100 + "\n".join(f"{line}\tx y" for line in SAID)
    with pytest.raises(UserError, match="table of 2 columns"):
        cl.read(put(tmp_path, "late_tabs.txt", tabs))


def test_rows_of_conll_may_differ_in_their_columns(tmp_path):
    rows = "\n".join("\t".join(["1", "word", *"_____", *"A" * (i % 4)]) for i in range(30))
    with pytest.raises(UserError, match="is CoNLL, a token a line"):
        cl.read(put(tmp_path, "roles.txt", rows))


def test_what_was_found_is_said(tmp_path, capsys):
    for name, content, said in (
        ("mac.txt", "\r".join(SAID), "mac.txt: text, a sentence a line; 12 lines Hint: mac.txt: 11 of its"),
        ("mixed.txt", "\n".join(SAID) + "\ra b", "1 of its lines end in a carriage return alone"),
        ("one.txt", ". ".join(said.capitalize() for said in SAID), "one line of 12 sentences: --split makes"),
        ("semi.csv", "id;text\n1;a b\n", "semi.csv: csv, text from column text"),
        ("semi.csv", "id;text\n1;a b\n", "columns are parted by semicolons"),
        ("ids.csv", "id,text\n1,a b\n1,c d\n", "ids are row numbers"),
        ("ids.csv", "id,text\n1,a b\n1,c d\n", "the column id has a value twice or more, so rows are numbered"),
        ("books.txt", "\n".join([" ".join(SAID * 2)] * 3), "sentences have 192 words on average; if they are"),
        ("twice.txt", "the café\nthe cafÃ© and â€œit\n", "decoded wrongly before they came here (such as 'Ã©')"),
        ("unk.txt", "the <unk> saw\nshe\n", "1 sentences hold <unk>, which is read as the word unk"),
        ("lost.txt", "the caf\ufffd\na b\n", "1 sentences hold U+FFFD"),
    ):  # fmt: skip
        assert said in " ".join(cl.read(put(tmp_path, name, content)).summary())


def test_prose_that_has_some_of_the_marks_is_prose(tmp_path):
    lines = [
        "She went --> there at 00:01:02,000 or so", "text, he said; and more", "1\tone", "{1}{2} braces", "the/DT end",
        "O", "NN", "un@ able", "<b>bold</b> words", "[00:12] she came", "a\ufeffb", "# text = no",
        "Dialogue: she spoke",
    ]  # fmt: skip
    assert cl.read(put(tmp_path, "c.txt", "\n".join(lines))).texts == lines
    assert cl.read(put(tmp_path, "one.txt", "just a few words")).texts == ["just a few words"]
    assert cl.read(put(tmp_path, "note.text", "Text, sentence and word\nare words of it")).texts[0].startswith("Text,")


@pytest.mark.parametrize("name", ["UP.CSV", "Up.Csv.GZ", "u.TSV", "u.JSONL", "u.NdJson.BZ2", "u.PARQUET"])
def test_endings_in_capitals_are_endings(tmp_path, name):
    import bz2

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"id": f"x{i}", "author": "Ann", "text": said} for i, said in enumerate(SAID)]
    low = name.lower()
    if "parquet" in low:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        mark = "\t" if "tsv" in low else ","
        table = "\n".join(mark.join(row) for row in [rows[0].keys(), *(row.values() for row in rows)])
        text = "\n".join(map(json.dumps, rows)) if "json" in low else table
        pack = gzip.compress if low.endswith("gz") else bz2.compress if low.endswith("bz2") else bytes
        put(tmp_path, name, pack(text.encode()))
    for place in (tmp_path / name, tmp_path):
        corpus = cl.read(place)
        assert corpus.texts == SAID
        assert corpus.info.unused == ["author"]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_csv_parted_otherwise(tmp_path, mark):
    sink = io.StringIO(newline="")
    csv.writer(sink, delimiter=mark).writerows(
        [["id", "body, all", "text"], *([i, "a,b", f'{s}{mark} "so"\nyes'] for i, s in enumerate(SAID))]
    )
    corpus = cl.read(put(tmp_path, "c.csv", sink.getvalue()))
    assert corpus.texts == [f'{s}{mark} "so"\nyes' for s in SAID]
    assert cl.read(put(tmp_path, "c.csv", f"sep={mark}\r\n" + sink.getvalue())).texts == corpus.texts
    assert cl.read(put(tmp_path, "c.csv", sink.getvalue()), text="body, all").texts == ["a,b"] * 12
    from crossloss.text.write import encode_corpus

    ((name, content),) = encode_corpus(corpus, corpus.weights).items()
    assert cl.read(put(tmp_path, name, content)).texts == corpus.texts


BAD = {
    "q.tsv": ('id\ttext\n1\t"a\nb"\n', "row 1: 2 fields|row 2: 1 fields"),
    "open.tsv": ('id\ttext\tb\n1\t"a\nb"\tc\n', "a quote opens here.*name it .csv"),
    "names.tsv": ('"id"\t"text"\n1\ta\n', "stand in quotes.*name it .csv"),
    "comma.tsv": ("id,text\n1,a b\n", "It has no tabs: name it .csv"),
    "bare.csv": ("1,she saw\n2,he saw\n", "Its first line must be the names of its columns"),
    "two.csv": ("id,text,text\n1,a,b\n", "two columns of one name, text"),
    "two.tsv": ("id\tid\ttext\n1\t2\tb\n", "two columns of one name, id"),
    "two.jsonl": ('{"text": "a b", "text": "c"}\n', "line 1, has the key text twice"),
    "other.jsonl": ('{"text": "a b"}\n{"sentence": "c"}\n', "line 2, has sentence where lines before have text"),
    "none.csv": ("sep=;\n", "none.csv has no column text or sentence"),
    "loose.csv": ("id,text\n1,a, b\n", "row 1: 3 fields.*into quotes"),
}


@pytest.mark.parametrize("name", BAD)
def test_tables_that_are_not_right_say_why(tmp_path, name):
    content, message = BAD[name]
    if name == "q.tsv":
        assert cl.read(put(tmp_path, name, 'id\ttext\n1\t"a b"\n')).texts == ['"a b"'], "quotes are as they are"
        return
    with pytest.raises(UserError, match=message):
        cl.read(put(tmp_path, name, content))


def test_other_columns_of_one_name_do_no_harm(tmp_path):
    assert cl.read(put(tmp_path, "c.csv", "text,x,x\na b,1,2\n")).texts == ["a b"]


def test_rows_of_json_may_differ_in_their_keys(tmp_path):
    lines = [{"text": "a b"}, {"text": "c d", "document": "D", "id": "x"}, {"n": 1, "text": "e f", "document": None}]
    corpus = cl.read(put(tmp_path, "c.jsonl", "\n".join(map(json.dumps, lines))))
    assert (corpus.ids, corpus.documents, corpus.info.unused) == (["1", "x", "3"], ["", "D", ""], ["n"])


def test_ids_that_repeat_are_row_numbers_unless_asked_for(tmp_path):
    path = put(tmp_path, "c.csv", "id,text\n7,a b\n7,c d\n8,e f\n")
    corpus = cl.read(path)
    assert (corpus.ids, corpus.info.columns.id, corpus.info.unused) == (["1", "2", "3"], None, ["id"])
    with pytest.raises(UserError, match=r"'7' occurs twice.*--id"):
        cl.read(path, id="id")
    alone = put(tmp_path, "d.csv", "id,text\n7,a b\n8,c d\n")
    assert cl.read(alone).ids == ["7", "8"]
    assert cl.read(alone, id="").ids == ["1", "2"]
    assert cl.read(alone, candidates=path).ids == ["7", "8", "candidate:1", "candidate:2", "candidate:3"]


def test_a_column_without_a_name_is_no_id(tmp_path):
    """As pandas writes its row numbers."""
    corpus = cl.read(put(tmp_path, "p.csv", ",text\n5,a b\n6,c d\n"), id="")
    assert (corpus.ids, corpus.info.columns.id) == (["1", "2"], None)
    assert cl.read(put(tmp_path, "q.csv", ",id,text\n5,7,a b\n5,7,c d\n"), id="").ids == ["1", "2"]
    assert cl.read(put(tmp_path, "r.csv", "text,,\na b,1,2\n"), id="").texts == ["a b"]
