"""Every rule through train, stop, resume, folder, load, score and report, against finite differences of retraining."""

import pytest
import torch
from torch.nn import functional as F

import crossloss as cl
from crossloss.run.trajectory import Training

N, STEPS = 12, 8
SHAPES = ((4, 3), (2, 4))


def parts():
    """Slices of the matrices and of the biases of ``field``'s module."""
    return [(0, 12), (16, 24)], [(12, 16), (24, 26)]


def rules():
    weights, biases = parts()
    return {
        "adam": cl.Adam(lambda t: 0.1 / (1 + t), betas=(lambda t: 0.85 + 0.01 * t, 0.9), eps=1e-2, amsgrad=True),
        "nadam": cl.NAdam(0.05, eps=1e-2),
        "rmsprop": cl.RMSprop(0.05, eps=1e-1, momentum=0.5, centered=True),
        "adagrad": cl.Adagrad(0.1, eps=1e-2),
        "muon": cl.ParameterGroups(
            [(weights, cl.Muon(SHAPES, 0.05, rounded=False)), (biases, cl.AdamW(0.1, eps=1e-2))]
        ),
        "groups": cl.ParameterGroups([(weights, cl.AdamW(0.05, eps=1e-2, weight_decay=0.2)), (biases, cl.Frozen())]),
        "clip": cl.ClipNorm(cl.AdamW(0.05, eps=1e-2), max_norm=0.1),
        "clip-inf": cl.ClipNorm(cl.SGD(0.5), max_norm=0.05, norm_type=float("inf")),
        "clip-value": cl.ClipValue(cl.SGD(0.5, momentum=0.5), 0.05),
        "ema": cl.Averaged(cl.ClipNorm(cl.AdamW(0.05, eps=1e-2), max_norm=0.2), decay=0.7),
        "swa": cl.Averaged(cl.SGD(0.5, momentum=0.9), start=2, every=2),
    }


def field(dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).to(dtype)
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=draw, dtype=torch.float64).to(dtype)
    x = torch.randn(N, 3, generator=draw, dtype=torch.float64).to(dtype)
    data = {"x": x, "y": (x.sum(1) > 0).long()}
    return cl.TorchField(
        model,
        lambda out, b: F.cross_entropy(out, b["y"], reduction="none"),
        data,
        batch_size=4,
        show=[f"row {i}" for i in range(N)],
    )


def margin(m):
    x = torch.tensor([[0.3, -0.2, 0.5], [1.0, 0.1, -0.4]], dtype=m["0.weight"].dtype)
    return (m(x)[:, 0] - m(x)[:, 1]).sum()


every = pytest.mark.parametrize("name", rules())


@every
def test_scores_equal_finite_differences_of_retraining(name):
    run = cl.train(field(), rules()[name], steps=STEPS)
    scores, h = cl.score(run, [margin]).of(), 1e-6
    for i in (0, 5, 11):
        values = []
        for sign in (1, -1):
            weights = run.weights.copy()
            weights[i] += sign * h
            values.append(float(margin(run.retrain(weights).view)))
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(scores[i], rel=1e-6, abs=1e-8)


def bytes_of(folder):
    return {p.name: p.read_bytes() for p in sorted((folder / "states").iterdir()) if p.suffix == ".safetensors"}


@every
def test_a_stopped_run_goes_on_to_the_same_bytes_and_opens_again(name, tmp_path, monkeypatch):
    with cl.train(field(), rules()[name], steps=STEPS, out=tmp_path / "whole") as run:
        whole = cl.score(run, [margin]).of()
    to_end = Training.run_to_end

    def stopping(self, progress=None, *, states=True):
        def stop(done, total):
            if done == 5:
                raise KeyboardInterrupt

        to_end(self, stop, states=states)

    monkeypatch.setattr(Training, "run_to_end", stopping)
    with pytest.raises(KeyboardInterrupt):
        cl.train(field(), rules()[name], steps=STEPS, out=tmp_path / "stopped")
    monkeypatch.undo()
    assert 0 < len(bytes_of(tmp_path / "stopped")) < len(bytes_of(tmp_path / "whole"))
    cl.train(field(), rules()[name], steps=STEPS, out=tmp_path / "stopped").close()
    assert bytes_of(tmp_path / "stopped") == bytes_of(tmp_path / "whole")
    with cl.load(tmp_path / "stopped", field()) as again:
        assert (cl.score(again, [margin]).of() == whole).all()
        cl.report(again, path=tmp_path / "report.html")
    assert type(rules()[name]).__name__ in (tmp_path / "report.html").read_text()


def test_another_clipping_is_another_run(tmp_path):
    cl.train(field(), cl.ClipNorm(cl.SGD(0.5), 0.1), steps=STEPS, out=tmp_path / "run").close()
    for other in (cl.ClipNorm(cl.SGD(0.5), 0.2), cl.ClipNorm(cl.SGD(0.4), 0.1), cl.SGD(0.5)):
        with pytest.raises(cl.UserError, match="another run"):
            cl.train(field(), other, steps=STEPS, out=tmp_path / "run")


@every
@pytest.mark.parametrize("estimator", ["tracin", "gradient-dot"])
def test_other_estimators_take_it(name, estimator):
    scores = cl.score(cl.train(field(torch.float32), rules()[name], steps=STEPS), [margin], estimator)
    assert scores.of().any()


def test_objectives_and_losses_are_of_the_average():
    run = cl.train(field(), rules()["ema"], steps=STEPS)
    raw = cl.train(field(), rules()["ema"].rule, steps=STEPS)
    average, states = None, [*[s["theta"] for _, s in raw.trajectory.backwards(STEPS)][::-1][1:], raw.theta]
    for theta in states:
        average = theta if average is None else 0.7 * average + 0.3 * theta
    torch.testing.assert_close(run.theta, average, rtol=1e-12, atol=1e-12)
    assert float(margin(run.view)) == pytest.approx(float(margin(run.field.view(average))), rel=1e-12)
    assert run.loss == pytest.approx(run.model.loss(average, run.trajectory.weights), rel=1e-12)
    assert abs(float(margin(run.view) - margin(raw.view))) > 1e-3


def test_a_heavy_ball_within_another_rule_is_preconditioned():
    corpus = cl.from_sentences([f"a b c d e {'abcde'[i % 5]} f" for i in range(30)])
    skipgram = cl.SkipGram(corpus, dimension=3, min_count=1)
    plain = cl.train(skipgram, cl.HeavyBall(1.0, 0.5), steps=5)
    p = len(plain.theta)
    for rule in (
        cl.ClipNorm(cl.HeavyBall(1.0, 0.5), 1e6),
        cl.ParameterGroups([([(0, 7)], cl.HeavyBall(1.0, 0.5)), ([(7, p)], cl.HeavyBall(1.0, 0.5))]),
    ):
        torch.testing.assert_close(cl.train(skipgram, rule, steps=5).theta, plain.theta, rtol=1e-6, atol=1e-7)
    average = cl.train(skipgram, cl.Averaged(cl.HeavyBall(1.0, 0.5), start=4), steps=5)
    torch.testing.assert_close(average.theta, plain.theta, rtol=1e-6, atol=1e-7)
