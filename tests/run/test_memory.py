"""A budget is shared between states and directions; what is smaller costs time, not correctness."""

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.utils.memory import Footprint
from dense import random_sentences
from train_on import train_on

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
TESTS = [
    Weat(f"test{i}", tuple(WORDS[i : 4 + i]), tuple(WORDS[4 + i : 8 + i]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
    for i in range(3)
]
SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 8, "lr": 0.5}
WANTED = Footprint(fixed=5 * 10**8, direction=5 * 10**7, state=8 * 10**6, replayed=4 * 10**6, theta=4 * 10**6)


def test_less_memory_stores_fewer_states_then_scores_fewer_at_once_then_is_refused():
    plenty = WANTED.fixed + 10 * WANTED.direction + 200 * WANTED.theta
    assert WANTED.spacing(50, plenty) == 1
    assert WANTED.at_once(4, 50, plenty) == 4
    spacings = [WANTED.spacing(50, WANTED.fixed + WANTED.direction + n * WANTED.theta) for n in (103, 60, 40, 30)]
    assert spacings == sorted(spacings)
    assert len(set(spacings)) == 4
    some = WANTED.fixed + WANTED.direction + 103 * WANTED.theta
    assert WANTED.at_once(4, 50, some) == 1
    for budget in (plenty, some):
        assert WANTED.peak(4, 50, budget) <= budget
    with pytest.raises(UserError, match=r"raise memory="):
        WANTED.spacing(50, WANTED.fixed + WANTED.direction)
    with pytest.raises(UserError, match=r"raise memory="):
        WANTED.spacing(50, 1000)


@pytest.mark.parametrize("stored", [False, True])
def test_objectives_scored_one_a_pass_have_the_same_scores(tmp_path, stored):
    corpus = cl.from_sentences(random_sentences(0))
    run = train_on(corpus, **SETTINGS)
    whole = cl.score(run, TESTS)
    wanted = run.model.footprint(run.optimiser)
    least = wanted.fixed + wanted.direction + wanted._states(8, 1)
    out = tmp_path / "run" if stored else None
    with train_on(corpus, out=out, memory=f"{least}B", **SETTINGS) as small:
        assert small.at_once(3) == 1
        parts = cl.score(small, TESTS)
        assert np.allclose(parts.samples, whole.samples, rtol=1e-5, atol=1e-9)
        if stored:
            assert len(list((tmp_path / "run").glob("influence-unrolled-*.safetensors"))) == 3
            again = cl.score(small, TESTS)
            assert np.array_equal(again.samples, parts.samples)


def test_damping_is_for_curvatures_only():
    corpus = cl.from_sentences(random_sentences(0))
    run = train_on(corpus, **SETTINGS)
    with pytest.raises(UserError, match="takes no damping"):
        cl.score(run, TESTS, "gradient-dot", damping=0.1)
    heavy, light = (cl.score(run, TESTS, "inverse-hessian-word-blocks", damping=d).samples for d in (10.0, 0.01))
    assert np.linalg.norm(heavy) < 0.1 * np.linalg.norm(light)
    with pytest.raises(UserError):
        cl.score(run, TESTS, "inverse-hessian-cg")
