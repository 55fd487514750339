"""Estimates of memory and time: what each thing more costs, and that the parts add up."""

import pytest
import torch

from crossloss.models.skipgram import estimate as module
from crossloss.models.skipgram.estimate import Estimate, footprint
from crossloss.models.skipgram.settings import make_settings
from crossloss.text.read import from_sentences
from dense import random_sentences

D, WORDS, PAIRS = 8, 1_000, 50_000


@pytest.fixture(scope="module")
def corpus():
    return from_sentences(random_sentences(1))


def of(corpus, words=WORDS, pairs=PAIRS, elements=0, **given):
    return footprint(make_settings(dimension=D, **given), corpus, words=words, pairs=pairs, elements=elements)


def test_what_more_pairs_words_and_elements_cost(corpus):
    plain, theta = of(corpus), 2 * WORDS * D * 4
    assert of(corpus, pairs=2 * PAIRS).fixed - plain.fixed == PAIRS * (module.PAIR + 2 * module.ORDERED_PAIR)
    assert of(corpus, elements=7).fixed - plain.fixed == 7 * module.ELEMENT
    assert of(corpus, words=2 * WORDS).fixed - plain.fixed == 6 * theta
    assert (plain.theta, plain.state, plain.replayed) == (theta, 2 * theta, theta)
    drawn = of(corpus, negative_columns=16, negative_control="linear")
    assert drawn.fixed - plain.fixed == 2 * PAIRS * module.DRAWN_PAIR
    third = D * (D + 1) // 2 * 4
    quadratic = of(corpus, negative_columns=16, negative_control="quadratic")
    assert quadratic.fixed - drawn.fixed == module.CONTROL_BLOCKS * third * module.ROWS
    text = len(corpus) * module.SAMPLE + len(corpus.tokens) * module.TOKEN
    assert plain.fixed == module.INTERPRETER + text + PAIRS * (module.PAIR + 2 * module.ORDERED_PAIR) + 6 * theta


def test_a_direction_has_its_sums_and_a_pass_beside_them(corpus):
    """Where vectors are large ten of their size, else what the result needs: 20 bytes a pair; then the scores."""
    scores = 8 * PAIRS + 32 * len(corpus)
    assert of(corpus).direction == 2 * PAIRS * 4 + max(2 * PAIRS * 4 + 20 * WORDS * D * 4, 20 * PAIRS) + scores
    few = of(corpus, words=2).direction
    assert few == 2 * PAIRS * 4 + 20 * PAIRS + scores


@pytest.fixture
def speed(monkeypatch):
    """A machine of 10^9 products of a word, a context and a dimension a second."""
    monkeypatch.setattr(module, "_tile_speed", lambda settings, words: 1e9)


def test_seconds_of_exact_passes_are_their_flops_and_pairs(speed):
    """docs/performance.md: a gradient 6 V^2 d flops, a pullback 2 V^2 d and 12 for each objective."""
    square, pair = WORDS**2 * D / 1e9, 2 * PAIRS * module.SECONDS_PER_PAIR
    found = module._seconds(make_settings(dimension=D), WORDS, PAIRS)
    assert found == pytest.approx((6 * square + pair, 2 * square + pair, 12 * square + pair))


@pytest.mark.parametrize(("control", "degree"), [("none", 1), ("linear", 2), ("quadratic", 3)])
def test_seconds_of_drawn_passes(speed, control, degree):
    """docs/cluster.md: 8 V m d flops and 3.5 sparse products; four, and 20 and five for each objective."""
    settings = make_settings(dimension=D, negative_columns=64, negative_control=control)
    forward, back = module.CONTROL_FLOPS[control]
    product, surrogate = WORDS * 64 * D / 1e9, WORDS * D**degree / 1e9
    sparse = 2 * PAIRS * D * module.SECONDS_PER_SPARSE_PRODUCT / torch.get_num_threads()
    gradient, once, each = module._seconds(settings, WORDS, PAIRS)
    assert gradient == pytest.approx(8 * product + 3.5 * sparse + forward * surrogate)
    assert once == pytest.approx(4 * sparse)
    assert each == pytest.approx(20 * product + 5 * sparse + back * surrogate)
    more = make_settings(dimension=D, negative_columns=WORDS + 7, negative_control=control)
    assert module._seconds(more, WORDS, PAIRS)[0] == pytest.approx(
        8 * WORDS**2 * D / 1e9 + 3.5 * sparse + forward * surrogate
    )


def test_a_tile_is_timed_by_its_flops(monkeypatch):
    """Six flops an element and dimension in a second of the clock, on each of the threads."""
    clock = iter(range(100))
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(module.torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(module, "one_core", __import__("contextlib").nullcontext)
    settings = make_settings(dimension=D)
    height, width = module.kernels(WORDS, D, torch.float32, torch.device("cpu")).tile
    assert module._tile_speed(settings, WORDS) == 3 * 6 * height * width * D


def test_the_summary_adds_trainings_and_scorings_up():
    lines = Estimate(60.0, 600.0, 2_000_000_000).summary(8_000_000_000, trainings=3, scorings=2)
    times = "training 1 min 00 s, scoring 10 min 00 s, each retraining 1 min 00 s"
    assert f"{times}; memory 2.0 GB of 8.0 GB free" in lines[0]
    assert "about 3 trainings and 2 scorings, 23 min" in lines[1]
