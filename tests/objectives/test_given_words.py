"""Words of an objective from Python: cleaned and checked by constructors, functions and YAML alike."""

import numpy as np
import pytest
import yaml
from every import EVERY

from crossloss import objectives as o
from crossloss.core import UserError
from crossloss.objectives import load
from crossloss.objectives.weat import Weat

SETS = {"X": ("he", "man"), "Y": ("she", "woman"), "A": ("office", "work"), "B": ("home", "family")}
CLEAN = Weat("w", **SETS)


def weat(**changed):
    return Weat("w", **(SETS | changed))


@pytest.mark.parametrize(
    "words", [["He", " MAN "], ("HE", "man"), np.array(["he", "Man"]), {"man", "HE"}, iter(["he", "man"])]
)
def test_lists_of_any_kind_are_the_words_of_the_vocabulary(words):
    made = weat(X=words).X
    assert set(made) == {"he", "man"}
    assert all(type(word) is str for word in made)


def test_a_set_has_an_order_of_its_own():
    assert weat(X={"Man", "he"}).X == ("he", "man") == weat(X=frozenset(["he", "man"])).X


WRONG = {
    "a text": ({"X": "he man"}, "'he man' is one string where X is wanted: give a list"),
    "a word": ({"X": "he"}, "one string where X"),
    "a dict": ({"A": {"office": 1, "work": 2}}, "A dict was given where A is wanted"),
    "bytes": ({"X": b"he man"}, "A bytes was given"),
    "nothing": ({"B": None}, "A NoneType was given where B"),
    "a number": ({"B": 3}, "A int was given"),
    "a table": ({"X": np.array([["he"], ["man"]])}, "A ndarray was given"),
    "empty": ({"Y": []}, "Y is empty: give 2 or more"),
    "one": ({"Y": ["she"]}, "Y has 1 word: give 2 or more"),
    "twice": ({"X": ["he", "HE", "man"]}, "'he' stands twice in X"),
    "white space": ({"X": ["he", " "]}, "is empty"),
    "no string": ({"X": ["he", 3]}, "of type int"),
    "missing": ({"X": ["he", float("nan")]}, "of type float"),
    "both targets": ({"Y": ["she", "Man"]}, "man stands in both X and Y"),
    "both attributes": ({"B": ["home", "work"]}, "work stands in both A and B"),
    "too long": ({"X": ["he", "m" * 201]}, "201 characters"),
    "three labels": ({"labels": ("a", "b", "c")}, "labels must name the 4 sets"),
    "labels in a string": ({"labels": "abcd"}, "labels must name"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_set_of_words_is_one_sentence(case):
    changed, message = WRONG[case]
    with pytest.raises(UserError, match=r"^w: ") as caught:
        weat(**changed)
    assert message in str(caught.value)
    assert str(caught.value).count("w: ") == 1


@pytest.mark.parametrize("case", ["twice", "both targets", "both attributes", "white space", "empty", "one"])
def test_yaml_refuses_what_python_refuses(case, tmp_path):
    sets = {side: list(words) for side, words in (SETS | WRONG[case][0]).items()}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({"w": sets}))
    with pytest.raises(UserError, match=r"t\.yaml, test w"):
        load(tmp_path / "t.yaml")


def test_yaml_reads_what_python_reads(tmp_path):
    (tmp_path / "t.yaml").write_text("w: {X: [He, ' man'], Y: [SHE, woman], A: [office, Work], B: [home, family]}")
    assert o.fingerprint(load(tmp_path / "t.yaml")[0]) == o.fingerprint(CLEAN)


@pytest.mark.parametrize("kind", EVERY)
def test_every_objective_is_cleaned_by_its_constructor(kind):
    """From the same words in capitals: the same objective."""
    objective = EVERY[kind]
    if isinstance(objective, (o.Sum, o.Absolute)):
        return

    def capitals(value):
        if isinstance(value, str):
            return f" {value.upper()} "
        return (
            [capitals(item) for item in value]
            if isinstance(value, tuple) and not isinstance(value[0], float)
            else value
        )

    fields = {"X", "Y", "A", "B", "a", "b", "word", "toward", "targets", "attributes", "words", "near", "far"}
    given = dict(vars(objective))
    changed = {name: capitals(value) if name in fields and value else value for name, value in given.items()}
    if "pairs" in given:
        changed["pairs"] = [[f"{x.upper()} ", y] for x, y in given["pairs"]]
    assert type(objective)(**changed) == objective


MORE = {
    "pairs of letters": (lambda: o.ripa(["a"], ["he", "it"]), "no pair"),
    "a pair alone": (lambda: o.ripa(["a"], ("he", "she")), "no pair"),
    "pairs as a dict": (lambda: o.projection(["a"], {"he": "she"}), "A dict was given as pairs"),
    "a pair without an order": (lambda: o.ripa(["a"], [{"he", "she"}]), "no pair"),
    "attributes in one list": (lambda: o.mac(["a"], ["b", "c"]), "a list of sets"),
    "targets as a text": (lambda: o.projection("nurse doctor", [("he", "she")]), "one string where targets"),
    "words joined by commas": (lambda: o.separation("he,she"), "one string where the group"),
    "toward a text": (lambda: o.displacement("he", toward="home family"), "one string where toward"),
    "along a text": (lambda: o.displacement("he", along="12"), "list of numbers"),
    "a word in a list": (lambda: o.similarity(["he"], "she"), "of type list"),
    "sentences as a dict": (lambda: o.likelihood({"a": 1}), "a dict was given as sentences"),
    "sentences of numbers": (lambda: o.likelihood(["he said", 3]), "a sentence is of type int"),
}


@pytest.mark.parametrize("case", MORE)
def test_other_objectives_say_what_they_take(case):
    make, message = MORE[case]
    with pytest.raises(UserError, match=message):
        make()


def test_a_single_word_may_stand_alone_where_one_is_enough():
    assert o.margin("he", "home", ["work"]).near == ("home",)
    assert o.likelihood("He said so.").sentences == ("He said so.",)
    assert o.Likelihood("He said so.", "l").sentences == ("He said so.",)
