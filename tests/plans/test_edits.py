"""Edits: effects as differences of scores and as retrained, changed words, plans; versions that are no samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram.explain import explain_text
from crossloss.objectives.weat import Weat
from crossloss.plans.edit_scores import score_edits, score_sample_edits
from crossloss.plans.edits import changed_words
from crossloss.text.tokens import TOKEN_PATTERN
from dense import random_sentences
from train_on import train_on

SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 12, "lr": 0.5, "dtype": "float64"}
WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
TWO = Weat("two", tuple(WORDS[1:5]), tuple(WORDS[16:20]), tuple(WORDS[20:24]), tuple(WORDS[24:28]))
TEXTS = random_sentences(5)
BEFORE = TEXTS[:6]
AFTER = [text.replace(text.split()[1], WORDS[9], 1) + f" {WORDS[3]}" for text in BEFORE]


@pytest.fixture(scope="module")
def run():
    return train_on(cl.from_sentences(TEXTS, candidates=AFTER), **SETTINGS)


@pytest.fixture(scope="module")
def scores(run):
    return cl.score(run, [ONE, TWO])


@pytest.fixture(scope="module")
def found(scores):
    return score_edits(scores, BEFORE, AFTER)


def test_an_edit_is_the_score_of_after_minus_that_of_before(scores, found):
    after = np.arange(len(TEXTS), len(TEXTS) + 6)
    assert found.samples.tolist() == [[i, len(TEXTS) + i] for i in range(6)]
    assert np.array_equal(found.effects, scores.samples[:, after] - scores.samples[:, :6])
    assert not found.unseen.any(), "candidates' pairs all have an influence"
    same = score_sample_edits(scores, np.arange(6), after)
    assert np.array_equal(same.effects, found.effects)
    assert (same.before, same.after) == (BEFORE, AFTER)
    assert found.table()["two.effect"].to_pylist() == found.of("two").tolist()


@pytest.mark.parametrize("chosen", [[0], [1, 4], range(6)])
def test_the_effect_is_the_derivative_of_retraining(run, found, chosen):
    step = 1e-4
    towards = found.apply(chosen) - run.weights
    for test in (ONE, TWO):
        low, high = (
            float(test(run.retrain(run.weights + towards * (h + step) * 1.0).view))
            for h in (-step, step)
        )  # fmt: skip
        slope = (high - low) / (2 * step)
        expected = found.predicted(found.apply(chosen), test)
        assert expected == pytest.approx(found.of(test)[list(chosen)].sum(), rel=1e-9)
        assert slope == pytest.approx(expected, rel=2e-3, abs=1e-6)


def test_a_version_that_is_no_sample_is_scored_as_its_twin(scores, found):
    shouted = score_edits(scores, [t.upper() for t in BEFORE], [f"{t} !" for t in AFTER])
    assert (shouted.samples == -1).all()
    np.testing.assert_allclose(shouted.effects, found.effects, rtol=1e-5, atol=1e-8)
    assert not shouted.unseen.any()
    mixed = score_edits(scores, [BEFORE[0], BEFORE[1]], [AFTER[0], AFTER[1].upper()])
    assert (mixed.samples >= 0).tolist() == [[True, True], [True, False]]
    np.testing.assert_allclose(mixed.effects, found.effects[:, :2], rtol=1e-5, atol=1e-8)
    new = score_edits(scores, [BEFORE[0]], [f"{BEFORE[0]} {WORDS[28]} {WORDS[29]} {WORDS[28]}"])
    assert 0 < new.unseen[0] < 1
    gone = score_edits(scores, [BEFORE[0]], ["nothing known"])
    assert gone.of()[0] == pytest.approx(-scores.of()[0]), "a version without pairs: the sentence only goes"


def test_pairs_and_changed_words_make_up_the_effect(run, scores, found):
    for number in range(6):
        edit = found.edit(number, "two")
        assert edit.effect == found.of("two")[number]
        assert sum(v for _, _, v in edit.pairs) == pytest.approx(edit.effect, rel=1e-5, abs=1e-8)
        assert [edit.before[a:b] for a, b, _ in edit.removed] == [BEFORE[number].split()[1]]
        assert [edit.after[a:b] for a, b, _ in edit.added] == [WORDS[9], WORDS[3]]
        # All words together, changed or not, are the effect too.
        old, new = (
            explain_text(scores.run.model.vocabulary, scores.run.model.counts, scores.atoms[scores.index_of("two")], t)
            for t in (edit.before, edit.after)
        )
        assert edit.removed[0][2] == -next(v for a, _, v in old.spans if a == edit.removed[0][0])
        assert sum(v for *_, v in new.spans) - sum(v for *_, v in old.spans) == pytest.approx(edit.effect, rel=1e-5)


LETTERS = st.lists(st.sampled_from("abc"), max_size=9)


@given(LETTERS, LETTERS)
@settings(max_examples=60, deadline=None)
def test_what_is_not_changed_is_the_same_in_both(old, new):
    before, after = " ".join(old), " ".join(new)
    gone, come = changed_words(before, after, TOKEN_PATTERN)
    left = [before[i : i + 1] for i in range(0, len(before), 2) if i not in {a for a, _ in gone}]
    right = [after[i : i + 1] for i in range(0, len(after), 2) if i not in {a for a, _ in come}]
    assert left == right


def test_the_strongest_either_way_up_and_down(found):
    values = found.of("one")
    assert found.strongest(3, "one").tolist() == np.argsort(-np.abs(values))[:3].tolist()
    up, down = found.strongest(9, "one", sign=1), found.strongest(9, "one", sign=-1)
    assert set(up) == set(np.flatnonzero(values > 0))
    assert (values[down] < 0).all()
    assert list(values[down]) == sorted(values[down])


def test_applied_edits_move_the_weight_and_make_a_plan(run, found):
    weights = found.apply([2, 5])
    moved = np.flatnonzero(weights != run.weights)
    assert moved.tolist() == [2, 5, len(TEXTS) + 2, len(TEXTS) + 5]
    assert weights[moved].tolist() == [0, 0, 1, 1]
    table = found.plan([2, 5], "two")
    assert table["weight"].to_pylist() == weights.tolist()
    mended = train_on(run.model.corpus, weights=table["weight"].to_numpy(), like=run)
    notes = table.schema.metadata[b"crossloss"].decode()
    assert '"objective": "two"' in notes
    assert float(TWO(mended.view)) != float(TWO(run.view))
    for chosen, message in (([-1], "not there"), (np.ones(6, dtype=bool), "boolean mask")):
        with pytest.raises(UserError, match=message):
            found.apply(chosen)
    same = score_sample_edits(found.scores, np.array([3]), np.array([3]))
    assert np.array_equal(same.apply([0]), run.weights), "nothing is changed, and nothing removed"
    with pytest.raises(UserError, match="Edit 1 cannot be applied"):
        score_edits(found.scores, ["WAA WAB"], [AFTER[0]]).apply([0])
    with pytest.raises(UserError, match="Edit 1 cannot be applied"):
        score_sample_edits(found.scores, np.array([len(TEXTS)]), np.array([0])).apply([0])


def test_a_text_that_occurs_twice_is_two_samples():
    run = train_on(cl.from_sentences([*TEXTS, TEXTS[0]], candidates=[AFTER[0], AFTER[0]]), **SETTINGS)
    found = score_edits(cl.score(run, [ONE]), [TEXTS[0]] * 2, [AFTER[0]] * 2)
    n = len(TEXTS)
    assert found.samples.tolist() == [[0, n + 1], [n, n + 2]]
    assert found.apply([0, 1])[[0, n, n + 1, n + 2]].tolist() == [0, 0, 1, 1]


def test_edits_are_pairs(scores):
    with pytest.raises(UserError, match="pairs of texts"):
        score_edits(scores, BEFORE, AFTER[1:])
    with pytest.raises(UserError, match="pairs of texts"):
        score_edits(scores, [], [])
