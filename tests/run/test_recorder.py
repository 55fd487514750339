"""A user's own loop, recorded: the run it gives, and the sentence where it cannot be replayed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from crossloss.core import UserError

N = 24


class Net(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))
        self.spare = nn.Linear(4, 3)

    def forward(self, x):
        hidden = self.words(x).mean(1)
        return self.body(hidden) + self.spare(hidden)


class Lines(nn.Module):
    """LSTM and attention with a fused kernel each in the user's loop."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.lstm = nn.LSTM(4, 4, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.layer(self.lstm(self.words(x))[0]).mean(1))


def data():
    draw = torch.Generator().manual_seed(1)
    return torch.randint(0, 7, (N, 5), generator=draw), torch.randint(0, 3, (N,), generator=draw)


def loss(out, batch):
    return F.cross_entropy(out, batch[1], reduction="none")


OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "dampening": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.2),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, eps=1e-3, weight_decay=1e-2),
    "adam-default": lambda p: torch.optim.Adam(p, lr=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2),
    "adam-decoupled": lambda p: torch.optim.Adam(p, lr=1e-2, eps=1e-3, weight_decay=0.1, decoupled_weight_decay=True),
    "amsgrad": lambda p: torch.optim.AdamW(p, lr=1e-2, eps=1e-3, amsgrad=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=1e-2, eps=1e-3, weight_decay=1e-2),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-2, eps=1e-3, momentum=0.5, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-2, eps=1e-3, lr_decay=0.1),
}


def batches(steps=12, size=7):
    rng = np.random.default_rng(3)
    return [rng.choice(N, size=size if t % 5 else 3, replace=False) for t in range(steps)]


def loop(model, optimizer, recorder, *, step=None, scheduler=None, given=None, reduction="mean"):
    x, y = data()
    for t, rows in enumerate(given or batches()):
        recorder.batch(rows)
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows], reduction=reduction).backward()
        if step:
            step(t, model)
        optimizer.step()
        if scheduler:
            scheduler.step()
    return recorder


def recorded(make="sgd", dtype=torch.float32, net=Net, **more):
    torch.manual_seed(0)
    model = net().to(dtype)
    optimizer = OPTIMISERS[make](model.parameters()) if isinstance(make, str) else make(model.parameters())
    recorder = cl.Recorder(cl.TorchField(model, loss, data()), model, optimizer)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    return model, loop(model, optimizer, recorder, scheduler=scheduler, **more)


def objective(view):
    return view(data()[0][:2])[:, 0].sum()


@pytest.mark.parametrize("net", [Net, Lines])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("make", OPTIMISERS)
def test_a_recorded_loop_is_replayed_and_scored(make, dtype, net):
    model, recorder = recorded(make, dtype, net)
    run = recorder.finish()
    for name, p in model.named_parameters():
        apart = (run.view[name] - p.detach()).norm() / p.detach().norm()
        assert apart < (1e-6 if dtype == torch.float32 else 1e-12)
    scores = cl.score(run, [objective]).samples[0]
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() > 0


@pytest.mark.parametrize(
    "make", ["nesterov", "adam", "adamw", "adam-decoupled", "amsgrad", "nadam", "rmsprop", "adagrad"]
)
def test_scores_of_a_recorded_loop_equal_finite_differences_of_the_loop(make):
    """The user's own loop, torch.optim and all, again with a weight moved."""
    _, recorder = recorded(make, torch.float64)
    scores, h = cl.score(recorder.finish(), [objective]).samples[0], 1e-6
    x, y = data()

    def again(i, change):
        torch.manual_seed(0)
        model = Net().double()
        optimizer = OPTIMISERS[make](model.parameters())
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
        w = torch.ones(N, dtype=torch.float64)
        w[i] += change
        for rows in batches():
            optimizer.zero_grad()
            (w[rows] * F.cross_entropy(model(x[rows]), y[rows], reduction="none")).mean().backward()
            optimizer.step()
            scheduler.step()
        return float(objective(model).detach())

    for i in (0, 5, 11, 20):
        slope = (again(i, h) - again(i, -h)) / (2 * h)
        assert slope == pytest.approx(scores[i], rel=1e-4, abs=1e-5 * np.abs(scores).max())


def test_dropout_is_recorded_by_its_seed():
    torch.manual_seed(0)
    model = Net(dropout=0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, eps=1e-3)
    recorder = cl.Recorder(cl.TorchField(model, loss, data(), dropout_seed=9), model, optimizer)
    run = loop(model, optimizer, recorder).finish()
    torch.testing.assert_close(run.view["words.weight"], model.words.weight.detach(), rtol=1e-6, atol=1e-7)
    assert np.abs(cl.score(run, [objective]).samples).max() > 0


def test_sparse_embeddings_and_a_small_budget():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(7, 4, sparse=True), nn.Flatten(), nn.Linear(20, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    field = cl.TorchField(model, loss, data())
    recorder = cl.Recorder(field, model, optimizer, memory="8kB")
    run = loop(model, optimizer, recorder).finish()
    assert recorder._every > 1
    assert len(run.trajectory.states.stored()) < 12
    full = cl.train(field.ordered(batches()), cl.SGD(0.1), steps=12)
    torch.testing.assert_close(run.theta, full.theta, rtol=0, atol=0)
    found = [cl.score(r, [objective]).samples for r in (run, full)]
    np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-9)


def clip(t, model):
    if t == 4:
        nn.utils.clip_grad_norm_(model.parameters(), 1e-2)


def nudge(t, model):
    if t == 5:
        model.body[0].weight.data[0, 0] += 1e-3


def unused(t, model):
    if t >= 2:
        model.spare.weight.grad = model.spare.bias.grad = None


FAULTS = {
    "the sum of the losses": ({"reduction": "sum"}, r"step 0, .*\b3 times .*take the mean"),
    "clipping": ({"step": clip}, "clipping changed at step 4"),
    "parameters changed by hand": ({"step": nudge}, "in step 5, in 'body.0.weight'.*gradients agree"),
    "a parameter passed over": ({"step": unused}, "'spare.bias' has no gradient at step 2"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_replay_that_departs_says_where_and_why(fault):
    options, message = FAULTS[fault]
    with pytest.raises(UserError, match=message) as caught:
        recorded("nesterov", **options)[1].finish()
    assert "\n" not in str(caught.value)


def test_rows_other_than_those_said_are_caught():
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, (x, y) = cl.Recorder(cl.TorchField(model, loss, data()), model, optimizer), data()
    for t, rows in enumerate(batches()):
        recorder.batch(rows)
        seen = rows if t != 7 else rows + (1 if rows.max() < N - 1 else -1)
        optimizer.zero_grad()
        F.cross_entropy(model(x[seen]), y[seen]).backward()
        optimizer.step()
    with pytest.raises(UserError, match=r"in step 7, .*other rows"):
        recorder.finish()


def test_a_skipped_step_is_caught():
    _, recorder = recorded("adam")
    loop = recorder._loop
    del loop.steps[3], loop.settings[3], loop.norms[3]
    with pytest.raises(UserError, match="in step 3"):
        recorder.finish()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: torch.optim.Rprop(p), "Rprop cannot be recorded"),
        (lambda p: torch.optim.SparseAdam(p), "SparseAdam cannot be recorded"),
        (lambda p: torch.optim.Adamax(p), "Adamax cannot be recorded"),
        (lambda p: torch.optim.SGD(p, lr=0.1, maximize=True), "maximize"),
        (lambda p: torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1), "other parameters"),
        (lambda p: torch.optim.SGD([*p, nn.Parameter(torch.ones(2))], lr=0.1), "other parameters"),
        (lambda p: [torch.optim.SGD(q, lr=0.1) for q in [list(p)] * 2], "in common"),
    ],
)
def test_what_cannot_be_recorded_is_refused_by_name(make, message):
    model = Net()
    with pytest.raises(UserError, match=message):
        cl.Recorder(cl.TorchField(model, loss, data()), model, make(model.parameters()))


def test_misuse_is_one_sentence():
    model = Net()
    field = cl.TorchField(model, loss, data())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    recorder = cl.Recorder(field, model, optimizer)
    with pytest.raises(UserError, match="Nothing to unroll"):
        cl.Recorder(field, model, torch.optim.SGD(model.parameters(), lr=0.1)).finish()
    recorder.batch([0, 1])
    with pytest.raises(UserError, match="Two batches"):
        recorder.batch([2])
    loss(model(data()[0][:2]), (0, data()[1][:2])).mean().backward()
    optimizer.step()
    with pytest.raises(UserError, match="stepped before"):
        cl.Recorder(field, model, optimizer)
    with pytest.raises(UserError, match="not the field's"):
        cl.Recorder(field, other := nn.Linear(2, 2), torch.optim.SGD(other.parameters(), lr=0.1))
    recorder.batch([0, 1])
    optimizer.zero_grad()
    loss(model(data()[0][:2]), (0, data()[1][:2])).mean().backward()
    optimizer.param_groups[0]["weight_decay"] = 0.5
    with pytest.raises(UserError, match="weight_decay changed at step 1"):
        optimizer.step()
    for again in (lambda: recorder.batch([0]), recorder.finish):
        with pytest.raises(UserError, match="weight_decay changed at step 1"):
            again()


def test_a_step_without_a_batch_is_refused():
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = cl.Recorder(cl.TorchField(model, loss, data()), model, optimizer)
    with pytest.raises(UserError, match="Step 0 has no batch"):
        optimizer.step()
    assert not recorder._loop.steps
