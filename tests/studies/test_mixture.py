"""The mixture study, small: stacked retraining, targets, tangents, k-means, and the figures of one seed."""

import copy
import csv
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.estimators import predict, unrolled
from crossloss.run.store import Store
from studies.mixture import measure, model, page, protocol, study
from studies.mixture.estimators import PublishedLissa, constant_target, estimators, tangents
from studies.mixture.measure import OPTIMISERS, Setup

EACH, STEPS = 5, 12
SMALL = Setup(each=EACH, steps=STEPS)


def trained(loss, optimiser=None, activation="gelu"):
    points, held = model.draw(3, EACH)
    field = model.field(points, loss, model.initial(points, activation, 3))
    return cl.train(field, optimiser or cl.SGD(0.1), steps=STEPS), points, held


@pytest.mark.parametrize("loss", model.LOSSES)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_stacked_retraining_equals_retraining_one_by_one(loss, optimiser):
    run, points, _ = trained(loss, OPTIMISERS[optimiser])
    weights = model.leave_one_out(len(points.x))
    together = model.retrain(run, weights)
    for i, w in enumerate(weights):
        assert w[i] == 0
        assert w.sum() == len(points.x) - 1
        assert (together[i] - run.retrain(w).theta).abs().max() < 1e-9
    assert (together - run.theta).abs().max() > 1e-6


def test_target_is_xie_s_equation_and_a_sample_of_weight_zero_is_not_in_it():
    q = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]], dtype=torch.float64)
    w = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    p = model.target(q, w)
    kept = q[:2]
    for i in range(2):
        row = [float(q[i, j] ** 2 / (kept[0, j] + kept[1, j])) for j in range(3)]
        assert p[i].tolist() == pytest.approx([entry / sum(row) for entry in row])
    assert model.divergence(q, q).abs().max() < 1e-12
    assert (model.divergence(q, p) > 0).all()


def test_q_is_the_student_t_similarity():
    points, _ = model.draw(0, 4)
    net = model.initial(points, "relu", 0)
    assert sum(p.numel() for p in net.parameters()) == 228
    z, centres = net.encoder(points.x).tolist(), net.centres.tolist()
    near = [[1 / (1 + sum((s - t) ** 2 for s, t in zip(a, b, strict=True))) for b in centres] for a in z]
    expected = np.array(near) / np.sum(near, axis=1, keepdims=True)
    assert net(points.x).detach().numpy() == pytest.approx(expected)


def test_centres_are_matched_to_their_gaussians():
    """Three far groups in an order of their own: centre j is the mean of the points with y = j."""
    y = torch.tensor([2, 2, 0, 0, 1, 1])
    x = torch.tensor([[0.0, 0], [1, 0], [50, 0], [51, 0], [0, 50], [0, 51]], dtype=torch.float64)
    centres = model.matched_centres(x, y, seed=0)
    assert centres.tolist() == [[50.5, 0], [0, 50.5], [0.5, 0]]


def test_points_are_those_of_the_paper():
    points, held = model.draw(1, 5_000)
    for part in (points, held):
        for c, mean in enumerate(model.MEANS):
            assert part.x[part.y == c].mean(0).tolist() == pytest.approx(mean, abs=0.08)
            assert part.x[part.y == c].std(0).tolist() == pytest.approx([1.25, 1.25], rel=0.05)
    assert not torch.equal(points.x, held.x)
    assert torch.equal(model.draw(1, 7)[0].x, model.draw(1, 7)[0].x)


@pytest.mark.parametrize("loss", model.LOSSES)
def test_tangents_are_what_predict_gives_and_unrolled_scores_their_slope(loss):
    run, _, held = trained(loss)
    moved = tangents(run)
    objectives = model.objectives(held)
    for i in (0, 7, 14):
        assert (predict(run.trajectory, objectives, without=[i]).theta - (run.theta - moved[i])).abs().max() < 1e-8
    w = torch.ones(len(moved), dtype=torch.float64)
    h = 1e-5
    w[4] += h
    up = model.values(run.field, run.retrain(w).theta[None], held)[0]
    w[4] -= 2 * h
    slope = (up - model.values(run.field, run.retrain(w).theta[None], held)[0]) / (2 * h)
    assert (unrolled(run.trajectory, objectives).samples()[:, 4] - slope).abs().max() < 1e-6 * slope.abs().max()


def test_a_constant_target_changes_the_derivative_and_not_the_run():
    run, points, _ = trained("cross")
    held = constant_target(run.field)
    w = torch.ones(len(points.x), dtype=torch.float64)
    assert torch.equal(held.gradient(run.theta, w, 0), run.field.gradient(run.theta, w, 0))
    a = torch.ones(1, len(run.theta), dtype=torch.float64)
    apart = held.at(run.theta, w, 0).pullback(a, held.accumulator(1)) - run.field.at(run.theta, w, 0).pullback(
        a, run.field.accumulator(1)
    )
    assert apart.abs().max() > 1e-3
    plain, _, _ = trained("matched")
    assert constant_target(plain.field) is plain.field


def test_published_lissa_is_the_published_recursion():
    """Against autograd's Hessian of each sample's loss, P fixed at the final parameters."""
    run, points, held = trained("cross")
    objective = model.objectives(held)[0]
    n = len(points.x)
    with torch.no_grad():
        q = run.view(points.x)
        p = model.target(q, torch.ones(n, dtype=torch.float64))

    def sample(theta, i):
        return model.divergence(run.field.view(theta)(points.x[i : i + 1]), p[i : i + 1])[0]

    theta = run.theta
    v = torch.func.grad(lambda t: objective(run.field.view(t)))(theta)
    h = v
    for i in range(n):
        h = v + (1 - 0.01) * h - torch.func.hessian(lambda t, i=i: sample(t, i))(theta) @ h / 25
    expected = torch.stack([-torch.func.grad(lambda t, i=i: sample(t, i))(theta) @ h / n for i in range(n)])
    found = PublishedLissa()(run.trajectory, [objective]).samples()[0]
    assert (found - expected).abs().max() < 1e-10 * expected.abs().max()


def test_the_ggn_is_that_of_the_matched_loss():
    """J^T (diag q - q q^T) J / n with J of log q by the parameters."""
    run, points, _ = trained("matched")
    theta, n = run.theta, len(points.x)

    def logits(t):
        return run.field.view(t)(points.x).log()

    jacobian = torch.func.jacrev(logits)(theta)
    q = logits(theta).exp()
    curved = torch.diag_embed(q) - q[:, :, None] * q[:, None, :]
    exact = torch.einsum("nap,nab,nbq->pq", jacobian, curved, jacobian) / n
    net = model.initial(points, "gelu", 3)
    ggn = estimators(points, net)["inverse-hessian-ggn"]().curvature(theta, run.trajectory.weights)
    a = torch.randn(2, len(theta), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (ggn.product(a) - a @ exact).abs().max() < 1e-9 * (a @ exact).abs().max()


def test_agreement_is_pearson_and_slope_and_0_where_nothing_varies():
    x = np.array([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]])
    found = measure.agreement(x, np.array([[3.0, 5.0, 10.0], [1.0, 2.0, 3.0]]))
    assert found["r"] == [pytest.approx(np.corrcoef([1, 2, 4], [3, 5, 10])[0, 1], abs=1e-6), 0]
    assert found["slope"] == [pytest.approx(np.polyfit([1, 2, 4], [3, 5, 10], 1)[0], rel=1e-5), 0]


@pytest.fixture(scope="module")
def measured():
    return measure.measure(3, SMALL)


def test_a_seed_is_measured_with_every_estimator(measured):
    assert json.loads(json.dumps(measured)) == measured
    for loss in model.LOSSES:
        one = measured["losses"][loss]["estimators"]
        refused = {name: entry["refused"] for name, entry in one.items() if "refused" in entry}
        assert "Clusterer" in refused["inverse-hessian-ekfac"]
        if loss == "cross":
            for name in ("absolute", "cg", "arnoldi"):
                assert "not symmetric" in refused[f"inverse-hessian-{name}"]
        for name, entry in one.items():
            if name not in refused:
                assert len(entry["r"]) == 3 * EACH
                assert np.abs(entry["r"]).max() <= 1
        exact = one["unrolled"]
        assert np.mean(exact["r"]) > 0.85  # one of fifteen samples is a long way to extrapolate, a tenth of it is not
        if "a_tenth_left_out" in measured["losses"][loss]:
            assert np.mean(measured["losses"][loss]["a_tenth_left_out"]["r"]) > 0.995
        assert np.mean(one["unrolled-tangent"]["r"]) > np.mean(exact["r"])
        assert np.mean(exact["r"]) > np.mean(one["lissa-published"]["r"])
    assert "a_tenth_left_out" in measured["losses"]["matched"]


def test_the_published_retraining_is_torch_s_adam_carried_through():
    """Against the loop of the published code: one torch.optim.Adam, the model reset, its moments not."""
    points, _ = model.draw(2, 2)
    net = model.initial(points, "relu", 2)
    field = model.field(points, "matched", net)
    found = protocol.carried_retraining(field, points, steps=2)
    live = copy.deepcopy(net)
    optimiser = torch.optim.Adam(live.parameters())
    n = len(points.x)
    expected = torch.empty(n, n, dtype=torch.float64)
    for j in range(n):
        for i in range(n):
            live.load_state_dict(net.state_dict())
            kept = [k for k in range(n) if k != i]
            for _ in range(2):
                optimiser.zero_grad()
                model.likelihood(live(points.x[kept]), points.y[kept]).mean().backward()
                optimiser.step()
            with torch.no_grad():
                expected[j, i] = model.likelihood(live(points.x), points.y)[j]
    assert (found - expected).abs().max() < 1e-9
    fresh = model.values(field, model.retrain(cl.train(field, cl.Adam(), steps=2), model.leave_one_out(n)), points)
    assert (found - fresh.T).abs().max() > 1e-4


def test_labels_are_the_cluster_of_each_gaussian_s_mean():
    points, _ = model.draw(1, 3)
    net = model.initial(points, "gelu", 1)
    order = [2, 0, 1]
    with torch.no_grad():
        net.centres.copy_(net.centres[order])
    y = protocol.reset_labels(net, points)
    assert [order[c] for c in y.tolist()] == points.y.tolist()


def test_figures_are_over_held_out_points_classes_and_seeds():
    def one(number, r):
        entry = {"r": r, "slope": [1.0, 1.0, 4.0, 1.0], "seconds": 2.0}
        other = {"refused": "no", "seconds": 0.0}
        loss = {"estimators": {"unrolled": entry, "x": other}, "accuracy": 1.0, "retrain_seconds": 1.0}
        return {"seed": number, "classes": [0, 0, 1, 1], "losses": {"cross": loss, "matched": loss}}

    found = {study.MAIN: [one(0, [0.9, 0.7, 1.0, 0.96]), one(1, [1.0, 1.0, 1.0, 0.999])]}
    values = study.metrics(found)
    assert values["mixture.cross.unrolled.share_above_0.8"] == pytest.approx((0.75 + 1) / 2)
    assert values["mixture.cross.unrolled.share_above_0.8.worst_seed"] == 0.75
    assert values["mixture.matched.unrolled.class_0.share_above_0.8"] == 0.75
    assert values["mixture.matched.unrolled.class_1.share_above_0.99.worst_seed"] == 0.5
    assert values["mixture.cross.unrolled.mean_r.worst_seed"] == pytest.approx(0.89)
    assert not any(".x." in key for key in values)
    assert [(f["seed"], f["loss"]) for f in study.short(found)] == [(0, "cross"), (0, "matched")]


@pytest.fixture
def mixture(tmp_path, as_user):
    """``python -m studies.mixture --out PATH ...``, and the path."""
    return lambda *given: (*as_user("mixture", "--out", tmp_path / "out", *given), tmp_path / "out")


SIZE = ("--each", EACH, "--steps", STEPS)


def test_the_study_from_the_command_line_goes_on_where_it_was(mixture, measured, monkeypatch):
    code, text, errors, out = mixture("--seeds", 1, "--first-seed", 3, *SIZE)
    assert code == 0, errors
    assert "study-mixture.html" in text
    assert re.search(r"gelu, sgd │ cross +│ unrolled +│ [\d.]+ %", text)
    stored = {path: path.read_bytes() for path in (out / "seeds").iterdir()}
    assert sorted(path.name.rpartition("-")[0] for path in stored) == [
        "adam-1e-3-003", "adam-1e-8-003", "main-003", "relu-003", "tanh-003",
    ]  # fmt: skip
    html = (out / "study-mixture.html").read_text()
    assert "default-src 'none'" in html
    assert "python -m studies.mixture --out" in html
    assert html.count("<svg") == 2
    assert not re.search(r"<script|src=|@import|url\(http", html)
    values = json.loads((out / "metrics.json").read_text())
    tables = {}
    for part in (out / "study-mixture.csv").read_text().strip().split("\n\n"):
        (title,), *lines = csv.reader(part.splitlines())
        tables[title] = {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}
    for loss in model.LOSSES:
        r = np.array(measured["losses"][loss]["estimators"]["unrolled"]["r"])
        assert values[f"mixture.{loss}.unrolled.share_above_0.95"] == pytest.approx(np.mean(r > 0.95))
        table = next(rows for title, rows in tables.items() if f"the {loss} loss" in title)
        assert table["unrolled"]["r > 0.8, all"] == f"{100 * np.mean(r > 0.8):.1f} %"
        assert table["the paper"]["r > 0.8, class 0"] == "100.0 %"
    for name in ("study-mixture-strongest.svg", "study-mixture-correlations.svg"):
        ElementTree.parse(out / name)
    whole = {path: path.read_bytes() for path in out.glob("study-*")}
    assert mixture("--seeds", 1, "--first-seed", 3, *SIZE)[0] == 0
    assert whole == {path: path.read_bytes() for path in out.glob("study-*")}, "measured again: seconds would differ"
    code, _, errors, _ = mixture("--paper-protocol")
    assert (code, errors.count("Error:")) == (2, 1)
    assert "holds the mixture study, not the paper's mixture protocol: choose another --out." in errors


def test_seeds_and_settings_that_the_store_holds_are_not_measured_again(monkeypatch, measured):
    calls, store = [], Store()
    monkeypatch.setattr(measure, "measure", lambda s, setup, **more: calls.append((s, setup.steps)) or measured)
    monkeypatch.setattr(study, "ABLATION", {})
    seeds = study.run_seeds(store, [3], each=EACH, steps=STEPS)
    assert seeds == {study.MAIN: [measured]}
    study.run_seeds(store, [3, 4], each=EACH, steps=STEPS)
    study.run_seeds(store, [3], each=EACH, steps=STEPS + 1)
    assert calls == [(3, STEPS), (4, STEPS), (3, STEPS + 1)]


def test_a_folder_of_something_else_and_wrong_options_are_refused(mixture, tmp_path):
    code, _, errors, out = mixture("--seeds", 0)
    assert code == 2
    assert re.search(r"--seeds.*1.*\. See python -m studies.mixture --help\.$", errors)
    cl.train(small_words(), steps=2, out=out).close()
    code, _, errors, _ = mixture("--seeds", 1)
    assert code == 2
    assert errors.endswith("holds a run, not the mixture study: choose another --out.")


def small_words():
    return cl.SkipGram(cl.from_sentences(["a b c d", "b c d a", "c d a b"]), min_count=1, dimension=2)


def test_titles_of_the_page_say_which_seed_the_figures_show(measured):
    title, notes, parts = page.page({study.MAIN: [measured]})
    assert "retraining" in title
    assert notes[-1] == "Seeds: 3."
    assert "seed 3" in next(p.notes for p in parts if getattr(p, "name", "") == "strongest")


def test_the_protocol_from_the_command_line(mixture):
    code, _, errors, out = mixture("--seeds", 2, "--paper-protocol", "--each", 3)
    assert code == 0, errors
    values = json.loads((out / "metrics.json").read_text())
    for loss in model.LOSSES:
        for name in ("lissa-published.published", "lissa-published.corrected", "unrolled.corrected"):
            assert 0 <= values[f"mixture.protocol.{loss}.{name}.share_above_0.8"] <= 1
    assert "ground truth" in (out / "study-mixture.html").read_text()
    assert sorted(p.name[:12] for p in (out / "seeds").iterdir()) == ["protocol-000", "protocol-001"]


@pytest.mark.parametrize("loss", model.LOSSES)
def test_the_protocol_s_scores_are_those_of_the_published_loop(loss):
    """One point after the other: torch's NLLLoss, and KLDivLoss "batchmean" on the flat row, with its division by 3."""
    points, _ = model.draw(4, 2)
    run = cl.train(model.field(points, loss, model.initial(points, "relu", 4)), cl.Adam(), steps=2)
    found = protocol.published_scores(run, points, loss)
    live = copy.deepcopy(run.field.module)
    torch.nn.utils.vector_to_parameters(run.theta, live.parameters())
    parameters, n = list(live.parameters()), len(points.x)
    p = model.target(live(points.x), torch.ones(n, dtype=torch.float64)).detach()

    def sample(i):
        log_q = live(points.x[i : i + 1]).log()
        if loss == "matched":
            return torch.nn.NLLLoss()(log_q, points.y[i : i + 1])
        return torch.nn.KLDivLoss(reduction="batchmean")(log_q.view(-1), p[i])

    for j in (0, 3, 5):
        nll = torch.nn.functional.nll_loss(live(points.x[j : j + 1]).log(), points.y[j : j + 1])
        v = [g.detach() for g in torch.autograd.grad(nll, parameters)]
        h = list(v)
        for i in range(n):
            first = torch.autograd.grad(sample(i), parameters, create_graph=True)
            curved = torch.autograd.grad(sum((g * a).sum() for g, a in zip(first, h, strict=True)), parameters)
            h = [a + (1 - 0.01) * b - c / 25.0 for a, b, c in zip(v, h, curved, strict=True)]
        for i in range(n):
            slope = torch.autograd.grad(sample(i), parameters)
            expected = -sum(float((g * a).sum()) for g, a in zip(slope, h, strict=True)) / n
            assert float(found[j, i]) == pytest.approx(expected, rel=1e-9, abs=1e-14)
