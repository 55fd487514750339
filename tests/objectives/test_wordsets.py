"""The shipped lists are the published ones, each on the side of its test where it belongs."""

import json

import pytest

from crossloss.core import UserError
from crossloss.objectives import weat
from crossloss.objectives.weat import _data

# Caliskan et al. 2017, Table 1: targets X, Y, then attributes A, B.
CALISKAN = {
    "weat1": "flowers insects pleasant_5 unpleasant_5a",
    "weat2": "instruments weapons pleasant_5 unpleasant_5a",
    "weat3": "european_american_names_5 african_american_names_5 pleasant_5 unpleasant_5b",
    "weat4": "european_american_names_7 african_american_names_7 pleasant_5 unpleasant_5b",
    "weat5": "european_american_names_7 african_american_names_7 pleasant_9 unpleasant_9",
    "weat6": "male_names female_names career family",
    "weat7": "math arts male_terms female_terms",
    "weat8": "science arts_2 male_terms_2 female_terms_2",
    "weat9": "mental_disease physical_disease temporary permanent",
    "weat10": "young_people_names old_people_names pleasant_9 unpleasant_9",
}


def sides(test):
    return [test.X, test.Y, test.A, test.B]


def test_every_list_is_the_published_one_word_for_word(shared):
    published = json.loads((shared / "wordlists.json").read_text())
    assert _data("caliskan.json") == {"source": published["source"]["caliskan"], "sets": published["caliskan"]}


@pytest.mark.parametrize("name", CALISKAN)
def test_each_test_has_its_lists_lower_cased(shared, name):
    published = json.loads((shared / "wordlists.json").read_text())["caliskan"]
    expected = [tuple(word.lower() for word in published[key]) for key in CALISKAN[name].split()]
    assert sides(weat(name)) == expected


def test_the_papers_four_are_made_of_caliskans():
    """Table 4 of the paper as paper-notes has it: gendered words are the targets, race is a part of WEAT 3."""
    w3, w7, w8 = weat("weat3"), weat("weat7"), weat("weat8")
    assert sides(weat("paper-career")) == sides(weat("weat6"))
    assert sides(weat("paper-math")) == [w7.A, w7.B, w7.X, w7.Y]
    assert sides(weat("paper-art")) == [w8.A, w8.B, w8.Y, w8.X]
    race = weat("paper-race")
    assert " ".join(race.X) == "josh alan ryan andrew jack greg amanda katie nancy ellen"
    assert " ".join(race.Y) == "theo jerome leroy lamar lionel malik tyrone ebony jasmine tia"
    assert list(race.A) == [w for w in w3.A if w not in {"caress", "paradise", "rainbow"}]
    assert list(race.B) == [w for w in w3.B if w not in {"abuse", "filth", "pollute"}]
    assert set(race.X) <= set(w3.X)
    assert set(race.Y) <= set(w3.Y)


def test_the_statistic_is_the_same_test_and_another_kind_is_refused():
    assert sides(weat("weat6", "statistic")) == sides(weat("weat6"))
    assert weat("weat6", "statistic").kind == "statistic"
    with pytest.raises(UserError, match="kind is 'stat': it should be 'effect' or 'statistic'"):
        weat("weat6", "stat")
