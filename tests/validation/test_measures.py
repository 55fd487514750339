"""What a run is: objectives with p-values, benchmarks, their spread over starts, for every model."""

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from dense import random_sentences
from train_on import train_on

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
TEST = Weat("mine", *(tuple(WORDS[4 * i : 4 * i + 4]) for i in range(4)))
NEAR = cl.objectives.similarity(WORDS[0], WORDS[1])
SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 6, "lr": 0.5}


@pytest.fixture(scope="module")
def run():
    return train_on(cl.from_sentences(random_sentences(3, sentences=60)), **SETTINGS)


def test_values_tests_and_spreads_are_those_of_each_start(run):
    made = cl.measure(run, [TEST, NEAR], starts=3)
    tested = cl.permutation_test(TEST, run.view)
    assert made.values["mine"].tested == tested
    assert made.values[NEAR.name].value == pytest.approx(float(NEAR(run.view)))
    others = [run.retrain(seed=run.seed + i) for i in (1, 2)]
    for o in (TEST, NEAR):
        expected = [float(o(each.view)) for each in (run, *others)]
        assert made.spreads[o.name].values == pytest.approx(expected)
    metrics = run.store.metrics
    assert metrics["weat.mine.p_value"] == tested.p_value
    assert metrics["weat.mine.starts.sd"] == pytest.approx(np.std([*made.spreads["mine"].values], ddof=1))
    assert metrics[f"objective.{NEAR.name}.value"] == pytest.approx(float(NEAR(run.view)))
    assert metrics["quality.wordsim353.pairs"] == 0
    assert run.store.manifest["starts"] == 3
    assert run.results.spreads == made.spreads


def test_tables_and_lines_say_what_was_measured(run):
    made = cl.measure(run, [TEST, NEAR], starts=2)
    tests, others = made.tables()
    assert tests.rows[0][0] == "mine"
    assert others.rows[0][0] == NEAR.name
    assert "over 2 starts" in tests.headings
    assert all(len(row) == len(table.headings) for table in (tests, others) for row in table.rows)
    assert any(line.startswith("mine. Positive: X nearer to A") for line in made.summary())
    assert any("are rare in the corpus" in line for line in made.summary())
    assert "mine" in repr(made)
    assert made._repr_html_().count("<table>") == 2
    one = cl.measure(run, [NEAR], starts=1)
    assert [table.title for table in one.tables()] == ["Objectives"]
    assert "over" not in " ".join(one.tables()[0].headings)


def test_a_torch_model_is_measured_by_functions_of_it():
    torch.manual_seed(0)
    x = torch.randn(20, 3)
    model = torch.nn.Linear(3, 1)
    field = cl.TorchField(model, lambda out, b: (out[:, 0] - b["y"]) ** 2, {"x": x, "y": x.sum(1)})
    trained = cl.train(field, cl.SGD(lr=0.05), steps=5)

    def mean(m):
        return m(x).mean()

    made = cl.measure(trained, [mean], starts=1)
    assert made.values["mean"].value == pytest.approx(float(mean(trained.view)), abs=1e-6)
    assert made.quality is None
    assert not any(name.startswith("quality") for name in trained.store.metrics)
    with pytest.raises(UserError, match="start"):
        cl.measure(trained, [mean], starts=2)


def test_fewer_than_one_start_is_refused(run):
    with pytest.raises(UserError, match="at least one start"):
        cl.measure(run, [NEAR], starts=0)
