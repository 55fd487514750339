"""Tables, rankings, groups and explanations; the invariants of scores as properties."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import crossloss as cl
from crossloss.core import UserError
from crossloss.estimators import GradientDot, InverseHessian, TracIn, unrolled
from crossloss.models.skipgram.explain import Explanation
from crossloss.objectives.weat import Weat
from dense import random_sentences
from train_on import train_on

SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 8, "lr": 0.5, "dtype": "float64"}
WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
TEXTS = random_sentences(5)


def train(texts=TEXTS, **more):
    return train_on(cl.from_sentences(texts), **(SETTINGS | more))


def exact(run, objectives=(TEST,)):
    return unrolled(run.trajectory, list(objectives)).samples().numpy()


@pytest.fixture(scope="module")
def base():
    run = train()
    return run, cl.score(run, [TEST]), exact(run)[0]


def close(a, b, tolerance=1e-9):
    return np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(b))


@given(st.permutations(range(len(TEXTS))))
@settings(max_examples=5, deadline=None)
def test_the_order_of_sentences_changes_nothing(order):
    run = train([TEXTS[i] for i in order])
    assert close(exact(run)[0], exact(train())[0][list(order)])


@given(st.integers(0, len(TEXTS) - 1))
@settings(max_examples=5, deadline=None)
def test_a_repeated_sentence_is_weight_two(i):
    corpus = cl.from_sentences(TEXTS)
    twice = cl.from_sentences([*TEXTS, TEXTS[i]])
    # Constants of the run (N, p, D, keep) must be those of the repeated corpus in both.
    doubled = train_on(twice, **SETTINGS)
    weights = np.ones(len(twice))
    weights[i], weights[-1] = 2.0, 0.0
    merged = train_on(twice, weights=weights, like=doubled)
    torch.testing.assert_close(merged.trajectory.theta, doubled.trajectory.theta, rtol=1e-11, atol=1e-13)
    a, b = exact(merged)[0], exact(doubled)[0]
    assert close(a, b)
    assert a[i] == pytest.approx(a[-1], rel=1e-12), "a candidate scores as its twin"
    assert len(corpus) + 1 == len(twice)


@given(st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_rotating_the_initial_vectors_changes_no_score(seed):
    run = train()
    d = run.model.settings.dimension
    rotation = torch.from_numpy(np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0])
    start = (run.trajectory.initial.view(-1, d) @ rotation).reshape(-1)
    turned = run.trajectory.changed(initial=start, states=type(run.trajectory.states)())
    turned.run_to_end()
    assert close(unrolled(turned, [TEST]).samples().numpy()[0], exact(run)[0])


@pytest.mark.parametrize("tile", [(3, 5), (30, 30), (1, 64)])
def test_tiles_change_nothing_beyond_rounding(base, tile):
    run, _, expected = base
    from crossloss.models.skipgram.field import SkipGramField

    model = run.model
    field = SkipGramField(model.counts, model.vocabulary, model.corpus.weights, model.settings, tile)
    training = run.trajectory.changed(field=field, states=type(run.trajectory.states)())
    training.run_to_end()
    assert close(unrolled(training, [TEST]).samples().numpy()[0], expected)


@pytest.mark.parametrize("every", [1, 2, 3, 8])
def test_spacing_of_states_changes_no_bit(base, every):
    run, _, expected = base
    training = run.trajectory.changed(every=every, states=type(run.trajectory.states)())
    training.run_to_end()
    assert np.array_equal(unrolled(training, [TEST]).samples().numpy()[0], expected)


def test_directions_together_are_directions_alone(base):
    run, _, expected = base
    swapped = Weat("swapped", TEST.Y, TEST.X, TEST.A, TEST.B)
    both = exact(run, [TEST, swapped, TEST])
    assert close(both[0], expected, 1e-12)
    assert close(both[1], -expected, 1e-12), "swapping X and Y flips every sign"
    assert close(both[2], both[0], 1e-14)


def test_an_explanation_adds_up_and_an_unseen_sentence_is_scored_from_known_pairs(base):
    run, scores, expected = base
    for i in (0, 7, len(TEXTS) - 1):
        taken = scores.explain(i)
        assert taken.score == pytest.approx(expected[i], rel=1e-5, abs=1e-8)
        assert sum(v for _, _, v in taken.pairs) == pytest.approx(taken.score)
        assert sum(v for _, _, v in taken.spans) == pytest.approx(taken.score)
        assert taken.unseen == 0
        assert all(taken.text[s:e].lower() in run.model.vocabulary.index for s, e, _ in taken.spans)
    known = scores.explain(TEXTS[0].upper() + " !!")
    assert known.score == pytest.approx(scores.explain(0).score)
    new = scores.explain(f"{TEXTS[0]} {WORDS[28]} {WORDS[29]} {WORDS[28]}")
    assert 0 < new.unseen < 1
    with pytest.raises(UserError, match="fewer than two words"):
        scores.explain("nothing known here")


def test_rankings_effects_groups_and_the_table_agree(base):
    run, scores, _ = base
    values = scores.of()
    top = scores.amplifiers(3)
    assert [s.sample for s in top] == np.argsort(-values)[:3].tolist()
    assert [s.rank for s in top] == [1, 2, 3]
    assert scores.mitigators(1)[0].rank == len(TEXTS)
    assert top[0].effect_if_removed == -top[0].score
    assert top[0].share == pytest.approx(top[0].score / abs(float(TEST(run.view))))
    assert scores.group([1, 2, 5]) == pytest.approx(-values[[1, 2, 5]].sum())
    table = scores.table()
    assert table["test.effect_if_removed"].to_pylist() == (-values).tolist()
    assert sorted(table["test.rank"].to_pylist()) == list(range(1, len(TEXTS) + 1))
    assert scores.documents()[0][2] == len(TEXTS)


def test_cooccurrence_counts_test_pairs_with_their_sign():
    texts = ["waa wai", "waa wam", "wae wai", "wae wam", "waa wae", "was wat", " ".join(WORDS)]
    run = train(texts, subsample=0.0, window=1)
    assert cl.score(run, [TEST], "co-occurrence").of().tolist()[:6] == [1, -1, -1, 1, 0, 0]
    with pytest.raises(UserError, match="needs word sets"):
        cl.score(run, [lambda view: view.vectors.sum()], "co-occurrence")


def test_estimators_with_settings_of_their_own_are_scored_and_stored_apart(tmp_path):
    """By name where the settings are the usual ones; the same name with others is another result."""
    run = train(out=tmp_path / "run")
    every = {s: cl.score(run, [TEST], TracIn(every=s)) for s in (1, 4)}
    assert {scores.estimator for scores in every.values()} == {"tracin"}
    assert not close(every[1].of(), every[4].of(), 1e-3)
    for s, scores in every.items():  # each stood in the folder when the other was asked for
        expected = TracIn(every=s)(run.trajectory, [TEST]).samples().numpy()[0]
        assert close(scores.of(), expected, 1e-5)
        assert np.array_equal(cl.score(run, [TEST], TracIn(every=s)).of(), scores.of())
    assert np.array_equal(cl.score(run, [TEST], "tracin").of(), every[1].of())
    assert np.array_equal(cl.score(run, [TEST], GradientDot()).of(), cl.score(run, [TEST], "gradient-dot").of())
    by_name = cl.score(run, [TEST], "inverse-hessian-word-blocks", damping=0.1).of()
    assert np.array_equal(cl.score(run, [TEST], InverseHessian("word-blocks", damping=0.1)).of(), by_name)


def test_what_cannot_be_scored(base):
    run, scores, _ = base
    with pytest.raises(UserError, match="no estimator 'magic'"):
        cl.score(run, [TEST], "magic")
    with pytest.raises(UserError, match="the class TracIn: give a name, or an object"):
        cl.score(run, [TEST], TracIn)
    for name in ("unrolled", "co-occurrence"):
        with pytest.raises(UserError, match=f"{name} takes no damping"):
            cl.score(run, [TEST], name, damping=0.1)
    with pytest.raises(UserError, match="at least one objective"):
        cl.score(run, [])
    with pytest.raises(UserError, match="same name"):
        cl.score(run, [TEST, TEST])
    with pytest.raises(UserError, match="must return"):
        cl.score(run, [lambda view: 3.0])
    with pytest.raises(UserError, match="one scalar tensor computed from"):
        cl.score(run, [lambda view: torch.tensor(3.0)])
    with pytest.raises(UserError, match="must be finite"):
        cl.score(run, [lambda view: view.vectors.sum() * float("inf")])
    with pytest.raises(UserError, match="was not scored"):
        scores.of("other")


def test_a_text_that_was_not_trained_on_is_added():
    """A candidate too; a sentence of the corpus by number or by its text is removed, with its weight."""
    candidate = f"{WORDS[0]} {WORDS[9]} {WORDS[4]}"
    corpus = cl.from_sentences(TEXTS, candidates=[candidate])
    weights = np.array(corpus.weights)
    weights[3] = 2.0
    scores = cl.score(train_on(corpus, weights=weights, **SETTINGS), [TEST])
    for new in (f"{WORDS[1]} {WORDS[8]}", candidate, len(TEXTS)):
        taken = scores.explain(new)
        assert taken.sample is None
        assert taken.effect_if_added == taken.score
    assert scores.explain(len(TEXTS)).score == pytest.approx(scores.of()[-1], rel=1e-5)
    for old in (3, np.int64(3), TEXTS[3]):
        taken = scores.explain(old)
        assert taken.sample == TEXTS.index(TEXTS[3])
        assert taken.effect_if_removed == pytest.approx(scores.effects()[3], rel=1e-5)
    for wrong, message in ((len(TEXTS) + 1, "names row"), (-1, "names row -1"), (True, "boolean"), (1.0, "fractions")):
        with pytest.raises(UserError, match=message):
            scores.explain(wrong)


def test_samples_are_named_by_number_and_not_by_a_mask(base):
    scores = cl.score(base[0], [TEST])
    assert [s.sample for s in scores.shown(np.array([2, 0]))] == [2, 0]
    for wrong in (np.arange(len(TEXTS)) < 2, [0.5], [-1], [len(TEXTS) + 99]):
        for call in (scores.shown, scores.group):
            with pytest.raises(UserError, match="samples"):
                call(wrong)


def test_plans_are_of_scores_of_a_corpus():
    with pytest.raises(UserError, match="made of scores"):
        cl.plan([1.0, 2.0])


def test_a_text_whose_pairs_occur_nowhere_is_said_to_change_nothing():
    said = Explanation("wab wad", score=0.0, pairs=[], spans=[], unseen=1.0).summary("test")
    assert "adding it is predicted to leave test as it is. 100 % of its expected word pairs occur nowhere" in said
