"""One registry: every type goes through every form unchanged, and a class of the user's is read by being defined."""

import math
from collections.abc import Sequence

import pytest
import torch
import yaml
from every import WORDS, view
from pydantic import PositiveFloat

import crossloss.objectives as o
from crossloss.core import UserError
from crossloss.objectives import TYPES, BaseObjective, WordObjective, fingerprint, from_dict, load, load_objectives
from crossloss.objectives.command_line import _FORMS, SYNTAX, parse
from crossloss.objectives.fields import Word, Words
from crossloss.objectives.registry import register, to_dict

WRITTEN = {
    "weat": "weat:w0,w1/w2,w3,w4/w5,w6/w7,w8",
    "one-sided": "one-sided:w0,w1/w2,w3,w4/w5,w6",
    "association": "association:w0/w1,w2/w3",
    "margin": "margin:w0/w1,w2/w3",
    "similarity": "similarity:w0/w1",
    "displacement": "displacement:w0/w1,w2",
    "ripa": "ripa:w0,w1/w2,w3/w4,w5",
    "direct-bias": "direct-bias:w0,w1/w2,w3/w4,w5",
    "projection": "projection:w0/w2,w3/w4,w5",
    "mac": "mac:w0,w1/w2,w3/w4",
    "separation": "separation:w0,w1,w2",
    "likelihood": "likelihood:held.txt",
    "sum": "sum:similarity/mac",
    "difference": "difference:similarity/mac",
    "abs": "abs:association:w0/w1,w2/w3",
}
NAMED = {"similarity": "similarity:w0/w1", "mac": "mac:w0/w1"}


class Seen:
    """Embeddings that also give a text a likelihood: its number of letters, as good as any."""

    def __init__(self):
        generator = torch.Generator().manual_seed(5)
        vectors, self.initial = torch.randn(2, len(WORDS), 4, generator=generator, dtype=torch.float64)
        self.vectors, self.index = vectors, view(vectors).index

    def log_likelihood(self, sentences):
        return torch.tensor(-float(sum(map(len, sentences))))


def find(name):
    return from_dict(parse(NAMED.get(name, name)))


def forms(written, folder):
    """The objective by command line, by dict, by YAML, and by its entry in a file made of its dict."""
    given = parse(written)
    first = from_dict(given, find, folder)
    stored = to_dict(first)
    entry = {key: value for key, value in stored.items() if key != "name"}
    (folder / "made.yaml").write_text(yaml.safe_dump({"made": entry}))
    (again,) = load(folder / "made.yaml")
    return first, from_dict(stored), from_dict(to_dict(again) | {"name": first.name})


@pytest.mark.parametrize(
    "kind", sorted({*TYPES, *SYNTAX} - {kind for kind, cls in TYPES.items() if "crossloss" not in cls.__module__})
)
def test_every_type_goes_through_every_form_unchanged(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "held.txt").write_text("One two.\nThree.\n")
    first, *others = forms(WRITTEN[kind], tmp_path)
    assert type(first) is TYPES.get(kind, o.Sum)
    for other in others:
        assert fingerprint(other) == fingerprint(first)
        assert float(other(Seen())) == float(first(Seen()))
        assert set(other.words) == set(first.words) <= set(WORDS)
    assert kind in SYNTAX


def test_a_word_more_is_another_fingerprint():
    prints = [fingerprint(from_dict(parse(written), find)) for written in WRITTEN.values() if "held" not in written]
    assert all(prints.count(one) == 1 for one in prints)
    assert fingerprint(from_dict(parse("mac:w0,w1/w2,w3/w5"))) not in prints


@pytest.fixture
def cloud():
    """An objective that no other file knows of."""
    kinds, written, forms_ = dict(TYPES), dict(SYNTAX), dict(_FORMS)

    @register("cloud", "WORD/AROUND,...", "word", "around")
    class Cloud(WordObjective):
        """Mean to the power of p of the distances of a word to others."""

        word: Word
        around: Words
        power: PositiveFloat = 1.0
        name: str = ""

        def check(self) -> None:
            if self.word in self.around:
                raise UserError(f"{self.word} is around itself: name others.")

        @property
        def sets(self) -> dict[str, Sequence[str]]:
            return {"word": (self.word,), "around": self.around}

        def __call__(self, view) -> torch.Tensor:
            word, around = (self.vectors(view, rows, side) for side, rows in self.lookup(view.index).items())
            return (torch.linalg.vector_norm(around - word, dim=1) ** self.power).mean()

        @property
        def quantity(self) -> str:
            return "distance"

        def interpretation(self) -> str:
            return "Never negative: how far the others are, in units of the vectors."

    yield Cloud
    for table, before in ((TYPES, kinds), (SYNTAX, written), (_FORMS, forms_)):
        table.clear()
        table.update(before)


def test_an_objective_is_read_from_everywhere_by_being_defined(cloud, tmp_path):
    (tmp_path / "t.yaml").write_text(
        "near: {type: cloud, word: W0, around: [w1, w2], power: 2}\nboth: {type: sum, of: [near, 'cloud:w3/w4']}\n"
    )
    near, both = load(tmp_path / "t.yaml")
    assert near == cloud("w0", ["w1", "w2"], 2.0, "near")
    vectors = Seen().vectors
    squares = [float((vectors[0] - vectors[i]).square().sum()) for i in (1, 2)]
    assert float(near(Seen())) == pytest.approx(sum(squares) / 2)
    assert float(both(Seen())) == pytest.approx(sum(squares) / 2 + math.dist(*vectors[3:5].tolist()))
    (written,) = load_objectives("cloud:w0/w1,w2")
    assert written == cloud("w0", ["w1", "w2"], name="cloud-w0-w1_and_1")
    assert [fingerprint(from_dict(to_dict(one))) for one in (near, both, written)] == [
        fingerprint(one) for one in (near, both, written)
    ]
    assert both.bounds({}) == (-math.inf, math.inf)
    with pytest.raises(UserError, match=r"give cloud:WORD/AROUND,\.\.\.\.$"):
        load_objectives("cloud:w0")


WRONG = {
    "power: x": "power is 'x': it should be a valid number",
    "power: 0": r"power is '0': it should be greater than 0",
    "power: [1]": r"power is \['1'\]: it should be a valid number",
    "powr: 1": "powr is no key of cloud: cloud takes word, around, power",
    "self: 1": "self is no key of cloud",
    "__dataclass_self__: 1": "is no key of cloud",
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_fault_in_a_field_is_one_sentence_of_ours(cloud, fault, tmp_path):
    (tmp_path / "t.yaml").write_text(f"near: {{type: cloud, word: w0, around: w1, {fault}}}")
    with pytest.raises(UserError, match=WRONG[fault]) as caught:
        load(tmp_path / "t.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 't.yaml'}, near: ")
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_python_gets_the_same_sentences(cloud):
    for make, sentence in (
        (lambda: cloud("w0"), "around is missing: cloud takes word, around, power"),
        (lambda: cloud("w0", "w1", "x", "n"), "n: power is 'x': it should be a valid number"),
        (lambda: cloud("w0", "w1", 1, "n", 2), "unexpected positional argument; cloud takes"),
        (lambda: cloud("w0", "w1", around="w2"), "multiple values"),
        (lambda: cloud("w0", "w1", name=["n"]), "name is .*: it should be a valid string"),
        (lambda: cloud("w0", "W0", name="n"), "^n: w0 is around itself"),
        (lambda: cloud("w0", "W0"), "^cloud-w0-w0: w0 is around itself"),
    ):
        with pytest.raises(UserError, match=sentence) as caught:
            make()
        assert "\n" not in str(caught.value)


def test_a_type_belongs_to_one_class(cloud):
    with pytest.raises(UserError, match="type 'similarity' already, Similarity"):
        register("similarity", "WORD")(type("Other", (BaseObjective,), {"__annotations__": {"name": str}}))
    assert TYPES["similarity"] is o.Similarity
    derived = type("Derived", (cloud,), {})("w0", "w1", name="d")
    with pytest.raises(UserError, match="d is Python code, which is not stored"):
        to_dict(derived)
    assert fingerprint(derived) is None


NESTED = {
    "{type: abs, of: {type: similarity, a: w0, b: w1, name: n}}": None,
    "{type: abs, of: {type: similarity, a: w0}}": "e: b is missing",
    "{type: abs, of: [[w0]]}": "is no objective: of must name one",
    "{type: abs}": "of is missing",
    "{type: sum, of: [weat6], weights: [2]}": None,
    "{type: sum, of: [weat6, weat7], weights: '12'}": "weights must be numbers",
    "{type: sum, of: weat6}": "of must list",
    "{type: likelihood, file: held.txt, sentences: [a b]}": "give a text as file",
    "{type: likelihood, file: [held.txt]}": "give a text as file",
    '{type: likelihood, file: "a\\0b"}': "cannot be read as text",
    "{type: weat, X: [a, b], Y: [c, d], A: [e, f], B: [g, h], kind: statistic}": None,
    "[a, b]": "test e: an objective has keys",
}


@pytest.mark.parametrize("entry", NESTED)
def test_objectives_of_objectives_and_files_are_strict_too(entry, tmp_path):
    (tmp_path / "held.txt").write_text("one two\n")
    (tmp_path / "t.yaml").write_text(f"e: {entry}")
    if NESTED[entry] is None:
        assert load(tmp_path / "t.yaml")[0].name == "e"
        return
    with pytest.raises(UserError, match=NESTED[entry]) as caught:
        load(tmp_path / "t.yaml")
    assert "\n" not in str(caught.value)


def test_what_is_nested_without_end_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="nested too deep"):
        load_objectives("abs:" * 3000 + "weat6")
    (tmp_path / "t.yaml").write_text(f"e: {{type: abs, of: '{'abs:' * 3000}weat6'}}")
    with pytest.raises(UserError, match="nested too deep"):
        load(tmp_path / "t.yaml")


def test_sums_hold_objectives_only():
    one = o.similarity("a", "b")
    for make in (
        lambda: o.Sum(one),
        lambda: o.Sum([]),
        lambda: o.Sum([one, 3]),
        lambda: o.Absolute(3),
        lambda: o.Sum(),
    ):
        with pytest.raises(UserError, match=r"no objective|two objectives or more|of is missing"):
            make()
