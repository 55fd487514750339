"""The user's YAML: strict strings, and one sentence for each fault."""

import pytest

from crossloss.core import UserError
from crossloss.objectives import load, load_objectives

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
    with pytest.raises(UserError, match="no test 'third'"):
        load_objectives(f"{tmp_path}/t.yaml:third")


BAD = {
    "t: {X: [a, b], Y: [c, d], A: [e, f]}": "t, B: field required",
    "t: {X: [a, b], Y: [c, d], A: [e, f], B: [g]}": "t, B: list should have at least 2",
    "t: {X: [a, b], Y: [c, d], A: [e, f], B: [g, h], C: [x]}": "C: extra inputs",
    "t: {X: [a, b], Y: [b, d], A: [e, f], B: [g, h]}": "b stands in both X and Y",
    "t: {X: [a, b], Y: [c, d], A: [e, f], B: [F, h]}": "f stands in both A and B",
    "t: {X: [a, A], Y: [c, d], A: [e, f], B: [g, h]}": "twice in X",
    "t: {X: [a, ''], Y: [c, d], A: [e, f], B: [g, h]}": "X.1: string should have at least 1",
    "t: {X: a, Y: [c, d], A: [e, f], B: [g, h]}": "X: input should be a valid list",
    "t: {X: [a, b], X: [c, d]}": "'X' stands twice",
    "t: &a {X: [a, b]}\nu: *a": "aliases",
    "t: !!python/object/apply:os.system ['true']": "test t",
    "../../x: {X: [a, b], Y: [c, d], A: [e, f], B: [g, h]}": "may hold letters",
    "[1, 2": "no YAML",
    't: {X: ["\\U00110000", b]}': "no YAML",
    't: {X: ["\\ud800", b], Y: [c, d], A: [e, f], B: [g, h]}': "X.0: input should be a valid string",
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


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"t: {X: [\xe9, b]}")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "latin.yaml")
