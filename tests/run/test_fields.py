"""``cl.train`` and ``cl.score`` on a torch field: runs, weights, rankings and sentences."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives import Function

N = 20


def data():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=draw, dtype=torch.float64)
    return {"x": x, "y": (x.sum(1) > 0).long()}


def field(rows=slice(None), **more):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    picked = {name: part[rows] for name, part in data().items()}
    return cl.TorchField(model, lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), picked, **more)


def held_out(view):
    x = torch.tensor([[0.5, 0.1, -0.3], [1.0, -1.0, 0.2]], dtype=torch.float64)
    return F.cross_entropy(view(x), torch.tensor([1, 0]))


def size(view):
    return sum((p**2).sum() for p in view.values())


def train(steps=15, weights=None, **more):
    return cl.train(field(**more), cl.SGD(0.3, momentum=0.9), steps=steps, weights=weights)


def test_scores_rank_the_samples():
    run = train()
    scores = cl.score(run, [held_out, size])
    assert scores.samples.shape == (2, N)
    assert scores.values["held_out"] == pytest.approx(float(held_out(run.view)))
    amplifiers, mitigators, top = scores.amplifiers(3), scores.mitigators(3, size), scores.top(4, "held_out")
    assert [s.sample for s in amplifiers] == list(np.argsort(-scores.of())[:3])
    assert [s.sample for s in mitigators] == list(np.argsort(scores.of("size"))[:3])
    assert [abs(s.score) for s in top] == sorted(np.abs(scores.of()), reverse=True)[:4]
    assert amplifiers[0].rank == 1
    assert amplifiers[0].effect_if_removed == -amplifiers[0].score
    assert scores.group([1, 4]) == pytest.approx(-scores.of()[[1, 4]].sum())
    table = scores.table()
    assert table.column_names[:3] == ["sample", "weight", "held_out.score"]
    assert table["size.rank"].to_pylist() == scores.ranks("size").tolist()
    with pytest.raises(UserError, match="was not scored"):
        scores.of("nothing")


def test_effects_predict_retraining_without_a_sample():
    run = cl.train(field(), cl.SGD(0.3), steps=15)
    effects, found = cl.score(run, [held_out]).effects(), []
    for i in range(N):
        w = np.ones(N)
        w[i] = 0
        found.append(float(held_out(run.retrain(w).view) - held_out(run.view)))
    assert np.corrcoef(effects, found)[0, 1] > 0.98


def test_a_candidate_of_weight_zero_is_scored_as_what_adding_it_does():
    w = np.ones(N)
    w[3] = 0
    run = train(weights=w)
    scores, h = cl.score(run, [held_out]), 1e-5
    values = []
    for change in (h, -h):
        w[3] = change
        values.append(float(held_out(run.retrain(w).view)))
    assert scores.of()[3] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5)
    assert scores.effects()[3] == -scores.of()[3]


@given(st.permutations(range(N)))
@settings(max_examples=5, deadline=None)
def test_the_order_of_the_samples_changes_nothing(order):
    scores = cl.score(cl.train(field(list(order)), cl.SGD(0.3), steps=5), [held_out]).of()
    plain = cl.score(cl.train(field(), cl.SGD(0.3), steps=5), [held_out]).of()
    np.testing.assert_allclose(scores, plain[list(order)], rtol=1e-9, atol=1e-14)


def test_a_repeated_sample_is_weight_two():
    twice = cl.train(field([*range(N), 7]), cl.SGD(0.3), steps=5)
    w = np.ones(N + 1)
    w[7], w[N] = 2, 0
    merged = cl.train(field([*range(N), 7]), cl.SGD(0.3), steps=5, weights=w)
    torch.testing.assert_close(merged.theta, twice.theta, rtol=1e-12, atol=1e-14)
    a, b = (cl.score(run, [held_out]).of() for run in (twice, merged))
    np.testing.assert_allclose(a, b, rtol=1e-10)
    assert a[7] == pytest.approx(a[N], rel=1e-12)


def test_mini_batches_score_only_what_was_seen():
    run = cl.train(field(order=[[0, 1, 2], [2, 5]]), cl.SGD(0.3), steps=2)
    scores = cl.score(run, [held_out]).of()
    seen = [0, 1, 2, 5]
    assert np.all(scores[seen] != 0)
    assert np.all(np.delete(scores, seen) == 0)


def test_training_lowers_the_loss_and_little_memory_gives_the_same():
    run = train()
    assert run.loss < run.field.loss(run.trajectory.initial, run.trajectory.weights)
    # 32 parameters of 8 bytes: two stored states of theta and velocity and some replayed ones
    small = cl.train(field(), cl.SGD(0.3, momentum=0.9), steps=15, memory="5kB")
    assert small.trajectory.every > 1
    assert torch.equal(small.theta, run.theta)
    np.testing.assert_array_equal(cl.score(small, [held_out]).of(), cl.score(run, [held_out]).of())
    with pytest.raises(UserError, match="raise memory="):
        cl.train(field(), cl.SGD(0.3), steps=15, memory="300B")


def test_what_cannot_be_done_is_one_sentence():
    optimiser = cl.SGD(0.3)
    for call, message in (
        (lambda: cl.train(field(), optimiser, steps=0), "at least 1"),
        (lambda: cl.train(field(), steps=3), "no optimiser of its own"),
        (lambda: cl.train(field(), optimiser), "steps is None"),
        (lambda: train().retrain(seed=3), "one start"),
        (lambda: cl.train("corpus.txt"), "cl.SkipGram"),
        (lambda: cl.train(field(), optimiser, steps=3, weights=np.ones(3)), "20 samples"),
        (lambda: cl.train(field(), optimiser, steps=3, weights=np.full(N, np.nan)), "finite"),
        (lambda: cl.train(field(), cl.SGD(1.0, weight_decay=1e200), steps=9), "diverged"),
        (lambda: cl.score(train(), []), "at least one"),
        (lambda: cl.score(train(), [lambda m: m["0.weight"]]), "one real number"),
        (lambda: cl.score(train(), [lambda m: torch.tensor(1.0)]), "computed from the parameters"),
        (lambda: cl.score(train(), [held_out], "nothing"), "there are: unrolled"),
        (lambda: cl.score(train(), [held_out], "co-occurrence"), "there are: unrolled"),
        (lambda: cl.score(train(), [Function("f", held_out), Function("f", size)]), "same name"),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_a_model_trained_elsewhere_is_scored_at_its_end():
    run = cl.train(field(), cl.SGD(0.3), steps=15)
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    module.load_state_dict({name: run.view[name] for name in run.view})
    elsewhere = cl.imported(cl.TorchField(module, run.field.sample_loss, data()))
    for name, damping in (("gradient-dot", 0.0), ("inverse-hessian", 0.3), ("inverse-hessian-ggn", 0.3)):
        if name == "inverse-hessian-ggn":
            pytest.importorskip("curvlinops")
        found, expected = (cl.score(r, [held_out], name, damping=damping).samples for r in (elsewhere, run))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    for name in ("unrolled", "tracin"):
        with pytest.raises(UserError, match="no run to go back over"):
            cl.score(elsewhere, [held_out], name)
    with pytest.raises(UserError, match="no run to go back over"):
        elsewhere.retrain(np.ones(N))
    with pytest.raises(UserError, match="20 samples"):
        cl.imported(field(), np.ones(3))


def test_an_objective_for_each_row_has_the_scores_of_each():
    run = train()
    x = data()["x"][:4]
    scores = cl.score(run, cl.objectives.each(lambda view, x: view(x)[:, 0], x))
    assert list(scores.values) == [f"objective.{i}" for i in range(4)]
    for i in range(4):
        alone = cl.score(run, [lambda view, i=i: view(x)[i, 0]])
        np.testing.assert_allclose(scores.of(f"objective.{i}"), alone.of(), rtol=1e-9, atol=1e-12)
        assert scores.values[f"objective.{i}"] == pytest.approx(alone.values["objective"])
