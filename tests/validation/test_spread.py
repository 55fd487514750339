"""Values over starts: those of retraining, the run's own first, none trained twice."""

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.validation.spread import Spread, over_starts
from dense import random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 8, "seed": 3}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spread") / "run"
    return train_on(cl.from_sentences(random_sentences(7, sentences=200)), out=folder, **SETTINGS)


def test_values_are_those_of_runs_with_the_next_seeds(run):
    found = over_starts(run, [TEST], 3)["test"]
    again = [train_on(run.model.corpus, **(SETTINGS | {"seed": seed})) for seed in (3, 4, 5)]
    assert found.values == pytest.approx([float(TEST(other.view)) for other in again], abs=1e-6)
    assert found.mean == pytest.approx(np.mean(found.values))
    assert found.sd == pytest.approx(np.std(found.values, ddof=1))
    assert found.metrics("weat.test") == {
        "weat.test.starts.mean": found.mean, "weat.test.starts.sd": found.sd, "weat.test.starts.count": 3.0,
    }  # fmt: skip


def test_the_own_start_is_not_trained_again_and_no_other_twice(run, monkeypatch):
    first = over_starts(run, [TEST], 3)
    monkeypatch.setattr(type(run), "retrain", lambda *unused, **more: pytest.fail("trained again"))
    assert over_starts(run, [TEST], 3) == first
    one = over_starts(train_on(run.model.corpus, **SETTINGS), [TEST], 1)["test"]
    assert one.values == first["test"].values[:1]
    assert one.sd == 0.0


@pytest.mark.parametrize(
    ("values", "exceeds"),
    [((1.0, 1.2), False), ((0.1, 0.5, -0.3), True), ((0.01, 0.9, 1.0), True), ((0.5,), False), ((-1.0, -1.1), False)],
)
def test_a_spread_exceeds_a_value_or_a_mean_that_is_smaller(values, exceeds):
    assert Spread(values).exceeds_value is exceeds


def test_no_start_is_refused(run):
    with pytest.raises(UserError, match="at least one start"):
        over_starts(run, [TEST], 0)
