"""What an objective can take at all: never exceeded by random vectors, reached by chosen ones; no plan aims beyond."""

import math

import numpy as np
import pytest
import torch
from every import EVERY, TEST, WORDS, view

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.bounds import bounds_of, check_target, described
from train_on import train_on

INDEX = {word: i for i, word in enumerate(WORDS)}


@pytest.mark.parametrize("kind", EVERY)
def test_no_vectors_go_beyond(kind):
    objective, generator = EVERY[kind], torch.Generator().manual_seed(3)
    low, high = bounds_of(objective, INDEX)
    assert low < high
    for scale in (0.01, 1.0, 100.0):
        for _ in range(200):
            vectors = scale * torch.randn(14, 5, generator=generator, dtype=torch.float64) ** 3
            start = torch.randn(14, 5, generator=generator, dtype=torch.float64)
            assert low - 1e-12 <= float(objective(view(vectors, start))) <= high + 1e-12


def placed(**directions):
    """Vectors (14, 5) with some words on the axes: w0=(0, 1) is w0 along axis 0."""
    vectors = torch.full((14, 5), 0.1, dtype=torch.float64)
    for word, (axis, sign) in directions.items():
        vectors[INDEX[word]] = sign * torch.eye(5, dtype=torch.float64)[axis]
    return view(vectors)


def test_bounds_are_reached():
    both = placed(w0=(0, 1), w1=(0, 1), w2=(0, -1), w3=(0, -1), w4=(0, -1), w5=(0, -1))
    assert float(EVERY["similarity"](both)) == 1 == EVERY["similarity"].bounds(INDEX)[1]
    assert float(cl.objectives.similarity("w0", "w2")(both)) == -1
    assert float(cl.objectives.association("w0", ["w1"], ["w2"])(both)) == 2
    assert float(cl.objectives.mac("w0", [["w2", "w3"]])(both)) == 2
    assert (
        float(cl.objectives.separation(["w0", "w2"])(both))
        == 2
        == cl.objectives.separation(["w0", "w2"]).bounds(INDEX)[1]
    )
    # Three targets in one direction and four in the other: 7/sqrt(12), and not 2.
    sides = {f"w{i}": (0, 1) for i in range(3)} | {f"w{i}": (0, -1) for i in range(3, 7)}
    ends = {f"w{i}": (0, 1) for i in range(7, 10)} | {f"w{i}": (0, -1) for i in range(10, 14)}
    assert float(TEST(placed(**sides, **ends))) == pytest.approx(7 / math.sqrt(12)) == TEST.bounds(INDEX)[1]
    assert float(EVERY["statistic"](placed(**sides, **ends))) == 14 == EVERY["statistic"].bounds(INDEX)[1]


def test_words_that_are_absent_do_not_count():
    """A test of sets of equal length has 2, of two and three words 5/sqrt(6)."""
    less = {word: i for word, i in INDEX.items() if word not in ("w3", "w6")}
    assert TEST.bounds({word: i for word, i in INDEX.items() if word != "w3"}) == (-2, 2)
    assert TEST.bounds(less)[1] == pytest.approx(5 / math.sqrt(6))


def test_sums_and_sizes_follow():
    near, test = cl.objectives.similarity("w0", "w1"), cl.objectives.association("w0", ["w1"], ["w2"])
    assert bounds_of(2 * near - test, INDEX) == (-4, 4)
    assert bounds_of(abs(test), INDEX) == (0, 2)
    assert bounds_of(near - 3 * cl.objectives.mac("w0", [["w1"]]), INDEX) == (-7, 1)
    assert bounds_of(EVERY["ripa"] + near, INDEX) == (-math.inf, math.inf)
    assert bounds_of(abs(cl.objectives.likelihood("a b")), INDEX) == (0, math.inf)
    assert bounds_of(cl.objectives.as_objective(lambda e: e), INDEX) == (-math.inf, math.inf)


def test_a_target_beyond_is_one_sentence():
    check_target(EVERY["similarity"], 1.0, INDEX)
    for objective, target, where in (
        (EVERY["similarity"], 1.01, "between -1 and 1"),
        (EVERY["displacement"], -0.1, "at 0 or above"),
        (cl.objectives.likelihood("a b"), 0.1, "at 0 or below"),
        (EVERY["absolute"], -1.0, "between 0 and 2"),
    ):
        with pytest.raises(UserError, match=where):
            check_target(objective, target, INDEX)
    assert described((-math.inf, math.inf)) == "anywhere"


SENTENCES = [" ".join(np.random.default_rng(i).choice(WORDS, 6)) for i in range(60)]


@pytest.fixture(scope="module")
def run():
    words = [word.replace("w", "w").translate(str.maketrans("0123456789", "abcdefghij")) for word in WORDS]
    texts = [" ".join(words[WORDS.index(token)] for token in line.split()) for line in SENTENCES]
    found = train_on(cl.from_sentences(texts), min_count=1, dimension=4, steps=5, dtype="float64")
    return found, words


def test_no_plan_and_no_fit_aims_beyond(run):
    found, words = run
    near = cl.objectives.similarity(words[0], words[1])
    with pytest.raises(UserError, match=r"between -1 and 1, so it cannot be brought to 1\.5"):
        cl.plan(cl.score(found, [near]), 1.5)
    with pytest.raises(UserError, match="cannot be brought to -3"):
        cl.plan(cl.score(found, [near]), {near.name: -3}, method="reweight")


def test_a_prediction_beyond_says_so(run):
    """Where first order promises more than there is, the plan knows."""
    found, words = run
    near = cl.objectives.similarity(words[0], words[1])
    plan = cl.plan(cl.score(found, [near]), 1.0, rounds=0)
    assert plan.bounds == {near.name: (-1, 1)}
    assert plan.beyond(plan.predicted) == (plan.predicted > 1)
    assert plan.predicted > 1 or not plan.reached, "a target at the end is overshot by what the last sentence does"


@pytest.mark.parametrize("target", [math.nan, math.inf, "0", None, True])
def test_a_target_is_a_number(target):
    with pytest.raises(UserError, match="give a finite number"):
        check_target(EVERY["ripa"], target, INDEX)
