"""TRAK and LESS: without a projection against dense formulas and torch.optim, with one against its matrix."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from crossloss.core import FULL_BATCH, Block, UserError
from crossloss.estimators import LESS, TRAK, projection
from crossloss.estimators.projection import Projection
from stopping import StoppingCheckpoint

F64, N = torch.float64, 14


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


X, Y = draw(N, 3), torch.arange(N) % 3


def field(chunk=4, **more):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 3)).double()
    return cl.TorchField(
        model, lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), {"x": X, "y": Y}, batch_size=5,
        chunk=chunk, **more,
    )  # fmt: skip


def objective(view):
    return torch.sin(view(draw(4, 3, seed=1))).sum()


def other(view):
    return view(draw(4, 3, seed=2)).square().sum()


def trained(rule=None, weights=None, **more):
    rule = rule or cl.AdamW(lr=lambda step: 0.05 / (1 + step), eps=1e-3)
    return cl.train(field(**more.pop("field", {})), rule, steps=7, weights=weights, **more)


def by_weight(run, theta):
    """Gradient of each sample's term of the training loss, (n, p)."""
    return torch.stack([run.field.gradient(theta, unit, FULL_BATCH) for unit in torch.eye(N, dtype=F64)])


def slope(run, theta, f=objective):
    return torch.autograd.functional.jacobian(lambda t: f(run.field.view(t)), theta)


def states(run):
    return dict(run.trajectory.backwards(run.steps)) | {run.steps: {"theta": run.theta}}


def by_hand(phi, wanted, weights, damping):
    fisher = N * (phi.T * weights) @ phi
    fisher += damping * fisher.trace() / len(fisher) * torch.eye(len(fisher), dtype=F64)
    return -phi @ torch.linalg.solve(fisher, wanted)


@pytest.mark.parametrize("features", [10_000, 30, 6], ids=["all", "more than samples", "fewer than samples"])
@pytest.mark.parametrize("checkpoints", [1, 3])
def test_trak_is_the_dense_formula(features, checkpoints):
    """With the matrix of the projection, if any, made by projecting every unit vector."""
    weights = np.ones(N)
    weights[[2, 5]] = 0, 3
    run = trained(weights=weights)
    at, expected = states(run), torch.zeros(N, dtype=F64)
    for t in {1: [7], 3: [2, 5, 7]}[checkpoints]:
        theta = at[t]["theta"]
        p = len(theta)
        matrix = Projection(run.field.sample_gradients(theta).blocks, features, 3, theta).directions(
            torch.eye(p, dtype=F64)
        )
        assert matrix.shape[1] == p if features > p else matrix.shape[1] <= max(features, 6)
        phi, wanted = by_weight(run, theta) @ matrix, slope(run, theta) @ matrix
        expected += by_hand(phi, wanted, torch.tensor(weights), 0.2) / checkpoints
    found = cl.score(run, [objective], TRAK(features=features, damping=0.2, checkpoints=checkpoints, seed=3))
    torch.testing.assert_close(torch.tensor(found.of()), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("features", [20, 9])
def test_inner_products_of_features_are_right_in_the_mean(features):
    blocks, a = [Block("w", 2, 8, 6), Block("v", 50, 9, 1)], draw(1, 59, seed=5)
    b = a + draw(1, 59, seed=6)
    exact = float((a[:, 2:] * b[:, 2:]).sum())
    found = []
    for seed in range(400):
        made = Projection(blocks, features, seed, a)
        assert made.size <= features
        found.append(float((made.directions(a) * made.directions(b)).sum()))
    assert abs(np.mean(found) - exact) < 4 * np.std(found) / 20


def counted(run, monkeypatch):
    kind, calls = type(run.field.sample_gradients(run.theta)), []
    part = kind.part
    monkeypatch.setattr(kind, "part", lambda at, number: calls.append(number) or part(at, number))
    monkeypatch.setattr(kind, "_check", lambda at: None)
    return calls


@pytest.mark.parametrize("estimator", [TRAK(features=20), LESS(features=20, checkpoints=1)], ids=lambda e: e.name)
def test_features_in_a_folder_serve_other_objectives_and_go_on_after_a_stop(estimator, tmp_path, monkeypatch):
    monkeypatch.setattr(projection, "SEGMENT", 4 * 20 * 8)  # one part a file
    whole = cl.score(trained(), [objective, other], estimator).samples
    run = trained(out=tmp_path / "run")
    calls = counted(run, monkeypatch)
    parts = len(run.field.sample_gradients(run.theta).parts)
    assert parts == 4
    kind = type(run.field.sample_gradients(run.theta))
    part = kind.part

    def stopping(at, number):
        if number == 2:
            raise KeyboardInterrupt
        return part(at, number)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "part", stopping)
        with pytest.raises(KeyboardInterrupt):
            cl.score(run, [objective], estimator)
    assert calls == [0, 1]
    run.close()
    with cl.load(tmp_path / "run", field()) as again:
        first = cl.score(again, [objective], estimator).of()
        assert calls == [0, 1, 2, 3], "no part twice"
        second = cl.score(again, [other], estimator).of()
        assert calls == [0, 1, 2, 3], "no part for another objective"
    np.testing.assert_allclose([first, second], whole, rtol=1e-9, atol=1e-14)
    files = sorted(path.name for path in (tmp_path / "run").glob(f"features-{estimator.name}-*.safetensors"))
    assert len(files) == parts


@pytest.mark.parametrize("chunks", [(3, 5), (5, 3)])
@pytest.mark.parametrize("estimator", [TRAK(features=20), LESS(features=20, checkpoints=1)], ids=lambda e: e.name)
def test_features_of_other_parts_are_not_taken_for_these(estimator, chunks, tmp_path, monkeypatch):
    """A field whose samples are cut otherwise is the same run, with other samples in each file."""
    monkeypatch.setattr(projection, "SEGMENT", 6 * 20 * 8)
    with trained(field={"chunk": chunks[0]}, out=tmp_path / "run") as run:
        cl.score(run, [objective], estimator)
    expected = cl.score(trained(), [other], estimator).of()
    with cl.load(tmp_path / "run", field(chunk=chunks[1])) as again:
        np.testing.assert_allclose(cl.score(again, [other], estimator).of(), expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("estimator", [TRAK(features=20), LESS(features=20, checkpoints=1)], ids=lambda e: e.name)
def test_features_in_memory_are_made_once_for_all_objectives(estimator, monkeypatch):
    run = trained()
    calls = counted(run, monkeypatch)
    parts = list(range(len(run.field.sample_gradients(run.theta).parts)))
    estimator(run.trajectory, [objective, other])
    assert calls == parts
    cl.score(run, [objective, other], estimator)
    cl.score(run, [lambda view: objective(view) ** 2], estimator)
    assert calls == 2 * parts


def adam_direction(rule, theta, m, v, g, t, largest=None):
    """What torch's own Adam subtracts at learning rate 1."""
    leaf = nn.Parameter(theta.clone())
    made = torch.optim.Adam([leaf], lr=1.0, betas=rule.betas, eps=rule.eps, amsgrad=rule.amsgrad)
    made.state[leaf] = {"step": torch.tensor(float(t)), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    if largest is not None:
        made.state[leaf]["max_exp_avg_sq"] = largest.clone()
    leaf.grad = g.clone()
    made.step()
    return theta - leaf.detach()


RULES = {
    "AdamW": lambda: cl.AdamW(lr=lambda step: 0.05 / (1 + step), eps=1e-3),
    "clipped amsgrad": lambda: cl.ClipNorm(cl.AdamW(lr=0.05, eps=1e-2, amsgrad=True), 0.1),
    "averaged": lambda: cl.Averaged(cl.AdamW(lr=0.02, eps=1e-3), decay=0.5),
}


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("name", RULES)
def test_less_is_adam_by_torch_sample_by_sample(name, cosine):
    rule = RULES[name]()
    run = trained(rule)
    adam = getattr(rule, "rule", rule)
    at, expected = states(run), torch.zeros(N, dtype=F64)
    for first, end in ((0, 4), (4, 7)):
        state, t = at[end - 1], end - 1
        rates = [adam.lr(s) if callable(adam.lr) else adam.lr for s in range(first, end)]
        wanted = slope(run, state["theta"])
        for i, g in enumerate(by_weight(run, state["theta"])):
            step = adam_direction(adam, state["theta"], state["m"], state["v"], N * g, t, state.get("v_max"))
            product = wanted @ step
            expected[i] -= sum(rates) / N * (product / wanted.norm() / step.norm() if cosine else product)
    found = torch.tensor(cl.score(run, [objective], LESS(checkpoints=2, cosine=cosine)).of())
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-12)
    same = cl.score(run, [objective], LESS(checkpoints=2, cosine=cosine, features=10_000)).of()
    torch.testing.assert_close(torch.tensor(same), expected, rtol=1e-7, atol=1e-12)


def test_less_takes_each_group_with_its_own_rate_and_passes_over_the_frozen():
    rules = [cl.AdamW(lr=0.02, eps=1e-3), cl.Adam(lr=0.04, eps=1e-2, betas=(0.5, 0.9), weight_decay=0.1), cl.Frozen()]
    where = [(0, 12)], [(12, 24)], [(24, 39)]
    run = trained(cl.ParameterGroups(list(zip(where, rules, strict=True))))
    state = states(run)[6]
    theta, wanted = state["theta"], slope(run, state["theta"])
    expected = torch.zeros(N, dtype=F64)
    for i, g in enumerate(by_weight(run, theta)):
        for number, ((part,), rule) in enumerate(zip(where[:2], rules[:2], strict=True)):
            s = slice(*part)
            decayed = N * g[s] + (0.1 * theta[s] if number else 0)
            step = adam_direction(rule, theta[s], state[f"{number}.m"], state[f"{number}.v"], decayed, 6)
            expected[i] -= 7 * rule.lr / N * wanted[s] @ step
    found = torch.tensor(cl.score(run, [objective], LESS(checkpoints=1, cosine=False)).of())
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_less_starts_over_where_its_samples_are_cut_otherwise():
    saved, objectives = StoppingCheckpoint(stop=5), [cl.objectives.as_objective(objective)]
    with pytest.raises(KeyboardInterrupt):
        LESS(checkpoints=2)(trained(field={"chunk": 3}).trajectory, objectives, checkpoint=saved)
    run, saved.stop = trained(field={"chunk": 5}), None
    whole = LESS(checkpoints=2)(run.trajectory, objectives).samples()
    found = LESS(checkpoints=2)(run.trajectory, objectives, checkpoint=saved).samples()
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=0)


def test_less_goes_on_where_it_was_stopped():
    run, saved = trained(), StoppingCheckpoint(stop=5)
    objectives = [cl.objectives.as_objective(objective)]
    whole = LESS(checkpoints=2)(run.trajectory, objectives).samples()
    with pytest.raises(KeyboardInterrupt):
        LESS(checkpoints=2)(run.trajectory, objectives, checkpoint=saved)
    seen = []
    found = LESS(checkpoints=2)(
        run.trajectory, objectives, checkpoint=saved, progress=lambda done, total: seen.append((done, total))
    )
    torch.testing.assert_close(found.samples(), whole, rtol=1e-12, atol=0)
    assert seen == [(6, 8), (7, 8), (8, 8)]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: TRAK(features=0), "features of 1 or more"),
        (lambda: TRAK(damping=0.0), "damping above 0"),
        (lambda: TRAK(damping=float("inf")), "damping above 0"),
        (lambda: LESS(features=0), "^LESS takes features of 1 or more"),
        (lambda: LESS(checkpoints=0), "^LESS takes checkpoints of 1 or more"),
        (lambda: TRAK(checkpoints=True), "checkpoints of 1 or more"),
        (lambda: LESS(features=1.5), "features of 1 or more"),
        (lambda: cl.score(trained(cl.SGD(0.1)), [objective], "less"), "trained by SGD: use tracin"),
        (lambda: cl.score(cl.imported(field()), [objective], "less"), "trained elsewhere"),
    ],
)
def test_what_cannot_be_taken_is_refused(made, message):
    with pytest.raises(UserError, match=message):
        made()


def test_more_than_memory_holds_is_refused_before_the_work(monkeypatch):
    run = trained()
    calls = counted(run, monkeypatch)
    monkeypatch.setattr(projection, "available_memory", lambda: 1_000)
    with pytest.raises(UserError, match=r"TRAK of 14 samples with 39 features needs .* give fewer features="):
        cl.score(run, [objective], "trak")
    assert not calls


def test_scores_are_of_the_same_samples_whatever_the_parts():
    found = [cl.score(trained(field={"chunk": chunk}), [objective], TRAK(features=20)).of() for chunk in (3, 14)]
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-14)
    different = cl.score(trained(), [objective], TRAK(features=20, seed=1)).of()
    assert np.abs(found[0] - different).max() > 1e-3 * np.abs(found[0]).max()


@pytest.mark.parametrize("estimator", [TRAK(features=20, checkpoints=2), LESS(checkpoints=2), LESS(features=9)])
def test_progress_rises_to_its_total(estimator):
    run, shares = trained(), []
    objectives = [cl.objectives.as_objective(objective)]
    estimator(run.trajectory, objectives, progress=lambda done, total: shares.append(done / total))
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1


def test_what_is_left_out_is_named_where_it_is_scored():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.RMSNorm(4), nn.Linear(4, 3)).double()
    loss = lambda out, b: F.cross_entropy(out, b["y"], reduction="none")  # noqa: E731
    run = cl.train(cl.TorchField(model, loss, {"x": X, "y": Y}), cl.Adam(lr=0.01, eps=1e-3), steps=3)
    for estimator in ("trak", "less"):
        with pytest.warns(
            UserWarning, match=f"{estimator} is of 31 of the 35 parameters; left out are 2.weight .4.[.]"
        ):
            assert cl.score(run, [objective], estimator).left_out == [("2.weight", 4)]
    assert cl.score(run, [objective]).left_out == []
