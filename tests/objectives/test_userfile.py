"""The user's YAML: strict strings, and one sentence for each fault."""

import pytest

from crossloss import objectives as o
from crossloss.core import UserError
from crossloss.objectives import from_dict, load, load_objectives, to_dict


def ours():
    """Types of the package, without what other tests define."""
    return {kind: cls for kind, cls in o.TYPES.items() if cls.__module__.startswith("crossloss.")}


GOOD = """
mine:
  X: [he, No, on]
  Y: [yes, null, "off"]
  A: [1e3, ~, true]
  B: [y, n, "0x1"]
  labels: [a, b, c, d]
  question: Is it?
other: {X: [a, b], Y: [c, d], A: [e, f], B: [g, h]}
"""


def test_words_stay_words(tmp_path):
    (tmp_path / "t.yaml").write_text(GOOD)
    mine, other = load(tmp_path / "t.yaml")
    assert mine.X == ("he", "no", "on")
    assert mine.Y == ("yes", "null", "off")
    assert mine.A == ("1e3", "~", "true")
    assert mine.B == ("y", "n", "0x1")
    assert mine.labels == ("a", "b", "c", "d")
    assert other.Y == ("c", "d")
    assert [t.name for t in load_objectives(f"{tmp_path}/t.yaml")] == ["mine", "other"]
    assert [t.name for t in load_objectives(f"{tmp_path}/t.yaml:other")] == ["other"]
    assert [t.name for t in load_objectives("weat6")] == ["weat6"]
    with pytest.raises(UserError, match="no objective 'third'"):
        load_objectives(f"{tmp_path}/t.yaml:third")


BAD = {
    "t: {X: [a, b], Y: [c, d], A: [e, f]}": "test t: B is missing: weat takes X, Y, A, B",
    "t: {X: [a, b], Y: [c, d], A: [e, f], B: [g]}": "test t: B has 1 word: give 2 or more",
    "t: {X: [a, b], Y: [c, d], A: [e, f], B: [g, h], C: [x]}": "C is no key of weat",
    "t: {X: [a, b], Y: [b, d], A: [e, f], B: [g, h]}": "b stands in both X and Y",
    "t: {X: [a, b], Y: [c, d], A: [e, f], B: [F, h]}": "f stands in both A and B",
    "t: {X: [a, A], Y: [c, d], A: [e, f], B: [g, h]}": "twice in X",
    "t: {X: [a, ''], Y: [c, d], A: [e, f], B: [g, h]}": "A word of an objective is empty",
    "t: {X: a, Y: [c, d], A: [e, f], B: [g, h]}": "'a' is one string where X is wanted: give a list",
    "t: {X: [a, b], X: [c, d]}": "'X' stands twice",
    "t: &a {X: [a, b]}\nu: *a": "aliases",
    "t: !!python/object/apply:os.system ['true']": "test t",
    "../../x: {X: [a, b], Y: [c, d], A: [e, f], B: [g, h]}": "may hold letters",
    "[1, 2": "no YAML",
    't: {X: ["\\U00110000", b]}': "no YAML",
    't: {X: ["\\ud800", b], Y: [c, d], A: [e, f], B: [g, h]}': "half of a character",
    "": "must map",
    "just text": "must map",
}


@pytest.mark.parametrize("content", BAD)
def test_a_fault_is_one_sentence(tmp_path, content):
    (tmp_path / "t.yaml").write_text(content)
    with pytest.raises(UserError, match=r"t\.yaml") as caught:
        load(tmp_path / "t.yaml")
    assert BAD[content] in str(caught.value)
    assert "\n" not in str(caught.value)


TYPES = """
drift: {type: displacement, word: Dooku}
way: {type: displacement, word: dooku, along: [1, -2e0, 0.5]}
toward: {type: displacement, word: dooku, toward: [vader, no]}
near: {type: similarity, a: he, b: no}
apart: {type: margin, word: dooku, near: vader, far: [kirk, on]}
tied: {type: association, word: dooku, A: [a, b], B: [c]}
half: {type: one-sided, X: [a, b], Y: [c, d], A: [e, f], labels: [x, y, z], kind: statistic}
group: {type: separation, words: [a, b, c]}
side: {type: projection, targets: nurse, pairs: [[he, she], [man, woman]]}
wide: {type: direct-bias, targets: [nurse, "no"], pairs: [[he, she]], c: 2}
inner: {type: ripa, targets: [nurse], pairs: [[he, she]]}
mean: {type: mac, targets: [a], attributes: [[b, c], [d]]}
text: {type: likelihood, sentences: ["No, he said.", "on"]}
file: {type: likelihood, file: held.txt}
both: {type: sum, of: [near, weat6, "similarity:a/b"], weights: [1, -0.5, 2]}
size: {type: abs, of: both}
"""


def test_every_type_is_the_function_of_its_name(tmp_path):
    (tmp_path / "held.txt").write_text("One.\n\nTwo three.\n")
    (tmp_path / "t.yaml").write_text(TYPES)
    given = load(tmp_path / "t.yaml")
    near, first = o.similarity("he", "no", name="near"), o.similarity("a", "b")
    both = o.Sum((near, o.weat("weat6"), first), (1.0, -0.5, 2.0), "both")
    assert given == [
        o.displacement("dooku", name="drift"),
        o.displacement("dooku", along=[1, -2, 0.5], name="way"),
        o.displacement("dooku", toward=["vader", "no"], name="toward"),
        near,
        o.margin("dooku", "vader", ["kirk", "on"], name="apart"),
        o.association("dooku", ["a", "b"], ["c"], name="tied"),
        o.one_sided(["a", "b"], ["c", "d"], ["e", "f"], ["x", "y", "z"], "statistic", name="half"),
        o.separation(["a", "b", "c"], name="group"),
        o.projection("nurse", [("he", "she"), ("man", "woman")], name="side"),
        o.direct_bias(["nurse", "no"], [("he", "she")], c=2, name="wide"),
        o.ripa("nurse", [("he", "she")], name="inner"),
        o.mac("a", [["b", "c"], ["d"]], name="mean"),
        o.likelihood(["No, he said.", "on"], name="text"),
        o.likelihood(["One.", "Two three."], name="file"),
        both,
        o.Absolute(both, "size"),
    ]
    assert {type(objective) for objective in given} == set(ours().values()) - {o.Weat}
    assert all(from_dict(to_dict(objective)) == objective for objective in given)


BAD_TYPES = {
    "t: {type: horoscope}": "There is no type 'horoscope'; there are: sum, abs, similarity, association,",
    "t: {type: [a]}": "There is no type",
    "t: {type: similarity, a: he}": "b is missing: similarity takes a, b",
    "t: {type: similarity, a: he, b: she, c: it}": "c is no key of similarity: similarity takes a, b",
    "t: {type: similarity, a: [he], b: she}": "of type list: give strings",
    "t: {type: similarity, a: he, b: HE}": "t: the similarity of 'he' to itself",
    "t: {type: similarity, a: he, b: she, name: u}": "leave name out",
    "t: {type: margin, word: a, near: {b: c}, far: d}": "A dict was given where near is wanted",
    "t: {type: displacement, word: a, along: [1, x]}": "along must be numbers: give a list",
    "t: {type: displacement, word: a, along: [1, nan]}": "finite",
    "t: {type: ripa, targets: a, pairs: [[b]]}": "['b'] is no pair",
    "t: {type: one-sided, X: [a, b], Y: [c, d], A: [e, f], kind: best}": "it should be 'effect' or 'statistic'",
    "t: {type: sum, of: [weat6]}": "two objectives or more",
    "t: {type: sum, of: [weat6, u]}\nu: {type: similarity, a: b, b: c}": "no test 'u'",
    "t: {type: sum, of: [weat6, t]}": "no test 't'",
    "t: {type: sum, of: [weat6, weat7], weights: [1]}": "2 objectives and 1 weights",
    "t: {type: sum, of: [weat6, weat7], weights: [1, x]}": "must be numbers",
    "t: {type: sum, of: [weat6, weat7], weights: [1, 0]}": "not zero",
    "t: {type: sum, of: [weat6, weat7], known: x}": "known is no key of sum",
    "t: {type: abs, of: [weat6]}": "must name one",
    "t: {type: likelihood, file: absent.txt}": "cannot be read as text",
    "t: {type: likelihood, sentences: []}": "no sentence",
}


@pytest.mark.parametrize("content", BAD_TYPES)
def test_a_fault_of_a_type_is_one_sentence(tmp_path, content):
    (tmp_path / "t.yaml").write_text(content)
    with pytest.raises(UserError, match=r"t\.yaml, t") as caught:
        load(tmp_path / "t.yaml")
    assert BAD_TYPES[content] in str(caught.value)
    assert "\n" not in str(caught.value)


INLINE = {
    "displacement:Dooku": o.displacement("dooku"),
    "displacement:dooku/vader,sidious": o.displacement("dooku", toward=["vader", "sidious"]),
    "similarity:he/nurse": o.similarity("he", "nurse"),
    "margin:dooku/vader/kirk,spock": o.margin("dooku", "vader", ["kirk", "spock"]),
    "association:doctor/man,he/woman": o.association("doctor", ["man", "he"], ["woman"]),
    "weat:a,b/c,d/e,f/g,h": o.Weat("", ["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]),
    "one-sided:a,b/c,d/e,f": o.one_sided(["a", "b"], ["c", "d"], ["e", "f"]),
    "separation:a,b,c": o.separation(["a", "b", "c"]),
    "projection:nurse/he,she/man,woman": o.projection("nurse", [("he", "she"), ("man", "woman")]),
    "direct-bias:nurse,doctor/he,she": o.direct_bias(["nurse", "doctor"], [("he", "she")]),
    "ripa:nurse,doctor/he,she": o.ripa(["nurse", "doctor"], [("he", "she")]),
    "mac:a,b/c,d/e": o.mac(["a", "b"], [["c", "d"], ["e"]]),
    "abs:weat6": abs(o.weat("weat6")),
    "abs:similarity:a/b": abs(o.similarity("a", "b")),
    "sum:weat6/weat7/weat8": o.weat("weat6") + o.weat("weat7") + o.weat("weat8"),
    "difference:weat7/weat8": o.weat("weat7") - o.weat("weat8"),
}


@pytest.mark.parametrize("written", INLINE)
def test_an_objective_in_one_word(written):
    assert load_objectives(written) == [INLINE[written]]
    name = INLINE[written].name
    assert name.replace("-", "").replace("_", "").isalnum(), "it names files"


def test_every_type_is_taught(tmp_path):
    (tmp_path / "held out.txt").write_text("he said\n")
    (text,) = load_objectives(f"likelihood:{tmp_path}/held out.txt")
    assert text == o.likelihood(["he said"], name="likelihood-held_out")
    assert {written.split(":")[0] for written in INLINE} | {"likelihood"} == {*o.SYNTAX} - ({*o.TYPES} - {*ours()})


NOT_INLINE = {
    "similarty:he/she": r"no objective 'similarty' .* did you mean similarity:WORD/WORD",
    "horoscope:he": "there are: sum, difference, abs, similarity, .*displacement",
    "similarity:he": "give similarity:WORD/WORD",
    "similarity:he/she/it": "give similarity:WORD/WORD",
    "similarity:he,she": "give similarity:WORD/WORD",
    "similarity:he/": "give similarity:WORD/WORD",
    "separation:a,,b": "give separation:WORD,WORD",
    "margin:dooku/vader": "give margin:WORD/NEAR,.../FAR,...",
    "ripa:nurse": "give ripa:WORD,.../he,she",
    "ripa:nurse/he": "no pair",
    "sum:weat6": "give sum:OBJECTIVE/OBJECTIVE",
    "difference:weat6/weat7/weat8": "give difference:OBJECTIVE/OBJECTIVE",
    "abs:weat66": "no test 'weat66'",
    "likelihood:absent.txt": "cannot be read as text",
}


@pytest.mark.parametrize("written", NOT_INLINE)
def test_what_is_written_otherwise_is_told_how(written):
    with pytest.raises(UserError, match=NOT_INLINE[written]) as caught:
        load_objectives(written)
    assert "\n" not in str(caught.value)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"t: {X: [\xe9, b]}")
    with pytest.raises(UserError, match=r"latin\.yaml is not UTF-8"):
        load(tmp_path / "latin.yaml")


def test_files_are_decoded_as_corpora_are(tmp_path):
    sets = "{X: [josé, andré], Y: [zoë, chloé], A: [büro, lohn], B: [heim, küche]}"
    (tmp_path / "mark.YAML").write_bytes(("\ufeffmine: " + sets).encode())
    assert load_objectives(str(tmp_path / "mark.YAML"))[0].name == "mine"
    assert load_objectives(f"{tmp_path}/mark.YAML:mine")[0].X == ("josé", "andré")
    (tmp_path / "windows.yaml").write_bytes(("mine: " + sets).encode("cp1252"))
    with pytest.raises(UserError, match=r"not UTF-8.*WINDOWS-1252"):
        load_objectives(str(tmp_path / "windows.yaml"))
    (tmp_path / "held.txt").write_bytes("the “café” in Škoda town\n".encode("cp1252"))
    with pytest.raises(UserError, match=r"not UTF-8.*WINDOWS-1252"):
        load_objectives(f"likelihood:{tmp_path}/held.txt")
    (tmp_path / "marked.txt").write_bytes("\ufeffa café\n".encode())
    assert load_objectives(f"likelihood:{tmp_path}/marked.txt")[0].sentences == ("a café",)
