"""A small BERT classifier that is trained, scored for a SEAT and retrained without rows."""

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("transformers")
from contextual_tiny import TOKENIZER, bert

import crossloss as cl
from crossloss.objectives.contextual import encoding

SUBJECTS, PLACES = ("he", "she", "this man", "that woman"), ("a nurse", "at math", "in art", "here", "a boss", "poetry")
ROWS = [f"{subject} is {place}." for place in PLACES for subject in SUBJECTS]
N = len(ROWS)
OBJECTIVES = [
    cl.objectives.seat("seat6b", TOKENIZER),
    cl.objectives.seat("seat6b", TOKENIZER, kind="difference"),
    cl.objectives.ceat("seat7", TOKENIZER, ["he is art", "she is math", "him his poetry her hers", "this is algebra"],
                       occurrences=2, draws=5, seed=0),
    cl.objectives.sentence_similarity(ROWS[0], ROWS[1], TOKENIZER),
]  # fmt: skip


@pytest.fixture(scope="module")
def run():
    batch = TOKENIZER(ROWS, padding=True)
    data = {key: torch.tensor(batch[key]) for key in ("input_ids", "attention_mask")} | {"y": torch.arange(N) % 2}
    field = cl.TorchField(
        bert(),
        lambda logits, b: F.cross_entropy(logits, b["y"], reduction="none"),
        data,
        batch_size=8,
        forward=lambda m, b: m(input_ids=b["input_ids"], attention_mask=b["attention_mask"]).logits,
    )
    return cl.train(field, cl.SGD(lr=0.01), steps=9)


def test_scores_are_the_derivatives_of_retraining(run):
    scores = cl.score(run, OBJECTIVES)
    h = 1e-4
    for row in (0, 5):
        values = []
        for weight in (1 + h, 1 - h):
            weights = torch.ones(N, dtype=torch.float64)
            weights[row] = weight
            view = run.retrain(weights).view
            values.append([float(o(view)) for o in OBJECTIVES])
        for number, (up, down) in enumerate(zip(*values, strict=True)):
            assert scores.samples[number, row] == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-9)


def test_scores_foresee_leaving_a_row_out(run):
    """Signs and sizes of leave-one-out changes; first order, so not to the last digit."""
    scores = cl.score(run, OBJECTIVES[:1])
    before, foreseen, found = float(OBJECTIVES[0](run.view)), [], []
    for row in range(N):
        weights = torch.ones(N, dtype=torch.float64)
        weights[row] = 0
        foreseen.append(-float(scores.samples[0, row]))
        found.append(float(OBJECTIVES[0](run.retrain(weights).view)) - before)
    r = torch.corrcoef(torch.tensor([foreseen, found]))[0, 1]
    assert r > 0.9


def test_measure_and_report_take_them(run, tmp_path):
    measures = cl.measure(run, OBJECTIVES, starts=1)
    tested = measures.values[OBJECTIVES[0].name].tested
    assert measures.values[OBJECTIVES[0].name].value == pytest.approx(float(OBJECTIVES[0](run.view)))
    assert 0 < tested.p_value <= 1
    assert any("sentences on male terms" in line for line in measures.summary())
    assert measures.values[OBJECTIVES[2].name].tested is None


def test_a_plan_moves_it(run):
    value = float(OBJECTIVES[0](run.view))
    plan = cl.plan(cl.score(run, OBJECTIVES[:1]), value - 0.01)
    assert plan.retrained < plan.value


def test_many_blocks_give_the_same_scores(run, monkeypatch):
    monkeypatch.setattr(encoding, "TOKENS_AT_ONCE", 200)
    parted = cl.objectives.seat("seat6b", TOKENIZER)
    assert len(parted.pooled.blocks) > 5
    both = cl.score(run, [parted, abs(parted) - 2 * parted]).samples
    one = cl.score(run, OBJECTIVES[:1]).samples[0]
    sign = 1 if float(OBJECTIVES[0](run.view)) > 0 else -1
    assert torch.tensor(both[0]) == pytest.approx(torch.tensor(one), abs=1e-10)
    assert torch.tensor(both[1]) == pytest.approx((sign - 2) * torch.tensor(one), abs=1e-10)
