"""What a torch field takes and refuses: data, orders, modules; and what a view of it shows."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from torch_models import (
    F64,
    N,
    cross_entropy,
    field_of,
    make,
    mlp,
    objectives,
)

import crossloss as cl
from crossloss.core import UserError


def test_data_of_every_kind_is_the_same_field():
    case = make("mlp")
    x, y, w = case.x, case.y, torch.rand(N, dtype=F64)
    by_name = lambda out, b: F.cross_entropy(out, b["y"], reduction="none")  # noqa: E731
    expected = field_of(case)
    expected = expected.gradient(expected.initial, w, 0)
    dataset = TensorDataset(x, y)
    for field in (
        cl.TorchField(case.model, cross_entropy, dataset),
        cl.TorchField(case.model, cross_entropy, DataLoader(dataset, batch_size=N)),
        cl.TorchField(case.model, by_name, {"x": x, "y": y}),
        cl.TorchField(case.model, by_name, {"a": x, "y": y}, forward=lambda model, batch: model(batch["a"])),
        cl.TorchField(case.model, lambda out, b: F.cross_entropy(out, (b[:, 4]).long(), reduction="none"),
                      torch.cat([x, y[:, None].double()], 1), forward=lambda model, b: model(b[:, :4])),
    ):  # fmt: skip
        assert field.samples == N
        torch.testing.assert_close(field.gradient(field.initial, w, 0), expected)


def test_the_order_of_mini_batches():
    case = make("mlp")
    dataset = TensorDataset(case.x, case.y)
    field = field_of(case, batch_size=5, seed=2)
    epochs = [torch.cat([field.batch(3 * e + b) for b in range(3)]) for e in range(2)]
    assert [len(field.batch(t)) for t in range(4)] == [5, 5, 2, 5]
    assert all(sorted(epoch.tolist()) == list(range(N)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    assert torch.equal(field_of(case, batch_size=5, seed=2).batch(4), field.batch(4)), "recorded by its seed"
    assert not torch.equal(field_of(case, batch_size=5, seed=3).batch(0), field.batch(0))
    assert field_of(case, batch_size=5, seed=None).batch(1).tolist() == [5, 6, 7, 8, 9]
    loader = DataLoader(dataset, batch_size=5, shuffle=True, drop_last=True)
    shuffled = cl.TorchField(case.model, cross_entropy, loader, seed=2)
    assert [len(shuffled.batch(t)) for t in range(3)] == [5, 5, 5]
    in_order = cl.TorchField(case.model, cross_entropy, DataLoader(dataset, batch_size=5))
    assert in_order.batch(2).tolist() == [10, 11]
    both = [DataLoader(dataset, batch_size=5, shuffle=shuffle) for shuffle in (True, False)]
    drawn, kept = (cl.TorchField(case.model, cross_entropy, loader, seed=2) for loader in both)
    assert [drawn.batch(t).tolist() for t in range(6)] == [field.batch(t).tolist() for t in range(6)]
    assert torch.cat([kept.batch(t) for t in range(3)]).tolist() == list(range(N))
    for size in (N, N + 3):
        assert cl.TorchField(case.model, cross_entropy, DataLoader(dataset, batch_size=size)).order is None
    with pytest.raises(UserError, match="between 1 and"):
        cl.TorchField(case.model, cross_entropy, DataLoader(dataset, batch_size=N + 3, drop_last=True))
    replacing = RandomSampler(dataset, replacement=True, num_samples=N)
    for sampler in (replacing, RandomSampler(dataset, num_samples=N - 2), SequentialSampler(range(N - 2))):
        with pytest.raises(UserError, match="sampler is its own"):
            cl.TorchField(case.model, cross_entropy, DataLoader(dataset, batch_size=5, sampler=sampler))
    single = DataLoader(dataset, batch_size=None)
    with pytest.raises(UserError, match="sampler is its own"):
        cl.TorchField(case.model, cross_entropy, single)
    assert cl.TorchField(case.model, cross_entropy, single, order=[[3, 1]]).batch(0).tolist() == [3, 1]
    assert len(field_of(case, batch_size=N).batch(0)) == N
    assert len(field_of(case, batch_size=1).batch(0)) == 1


def test_a_view_shows_parameters_by_name_and_calls_the_module():
    case = make("tied")
    field = field_of(case)
    theta = field.initial.clone().requires_grad_()
    view = field.view(theta)
    assert list(view) == ["inner.weight", "head.weight", "head.bias"]
    assert len(view) == 3
    assert torch.equal(view["outer.weight"], view["inner.weight"])
    torch.testing.assert_close(view(case.x), case.model(case.x))
    assert torch.autograd.grad(view["outer.weight"].sum() + view(case.x).sum(), theta)[0].abs().sum() > 0
    with pytest.raises(KeyError):
        view["nothing"]
    frozen = make("frozen")
    view = field_of(frozen).view(field_of(frozen).initial)
    assert "0.bias" not in list(view)
    assert torch.equal(view["0.bias"], frozen.model[0].bias)


def test_an_objective_sees_the_model_in_eval_mode():
    case = make("dropout")
    field = field_of(case)
    a, b = (field.view(field.initial)(case.x) for _ in range(2))
    case.model.eval()
    assert torch.equal(a, b)
    torch.testing.assert_close(a, case.model(case.x))


def test_the_users_model_and_generator_are_left_alone():
    case = make("dropout")
    before, state = copy.deepcopy(case.model.state_dict()), torch.get_rng_state()
    cl.score(cl.train(field_of(case), cl.SGD(0.1), steps=3), objectives(case))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.backends.mha.get_fastpath_enabled()
    assert all(torch.equal(tensor, before[name]) for name, tensor in case.model.state_dict().items())
    assert case.model.training
    sparse = make("sparse")
    field_of(sparse)
    assert sparse.model.table.sparse


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += 1
        return self.inner(x)


class BagOfItsOwn(nn.Module):
    """By torch's kernel, whose backward has no derivative."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(9, 3))

    def forward(self, x):
        return F.embedding_bag(x, self.table)


class OffsetBags(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingBag(9, 3)

    def forward(self, x):
        return self.table(x.reshape(-1), torch.arange(0, x.numel(), x.shape[1]))


def uncopied():
    model = mlp()
    model.kept = model[0].weight * 2  # torch copies no tensor that has a history
    return model


X, Y = torch.randn(N, 4), torch.arange(N) % 3
IDS = torch.randint(0, 9, (N, 5))
REFUSED = {
    "batch norm in training": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), X, {}, "eval mode"),
    "batch norm without statistics": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval(), X, {}, "mixes"
    ),
    "dropout": (lambda: mlp(dropout=0.5), X, {}, "dropout_seed"),
    "a buffer that moves": (Counting, X, {}, "'seen'"),
    "nothing to train": (lambda: mlp().requires_grad_(False), X, {}, "requires_grad"),
    "two dtypes": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3).double()), X, {}, "one dtype"),
    "lazy layers": (lambda: nn.LazyLinear(3), X, {}, "lazy"),
    "max_norm": (lambda: nn.Sequential(nn.Embedding(9, 4, max_norm=1.0), nn.Flatten(), nn.Linear(20, 3)), IDS, {},
                 "max_norm"),
    "no second derivative": (BagOfItsOwn, IDS, {}, "differentiated twice"),
    "bags by offsets": (OffsetBags, IDS, {}, "offsets"),
    "fewer rows": (mlp, X[:-1], {}, "equally many"),
    "a batch too large": (mlp, X, {"batch_size": N + 1}, "between 1 and"),
    "rows that are not there": (mlp, X, {"order": [[0, N]]}, "0 to 11"),
    "a negative row": (mlp, X, {"order": [[0, -1]]}, "0 to 11"),
    "a batch of nothing": (mlp, X, {"order": [[0], []]}, "step 1 is empty"),
    "no batch at all": (mlp, X, {"batch_size": 0}, "between 1 and"),
    "order and batch size": (mlp, X, {"order": [[0]], "batch_size": 3}, "not both"),
    "no samples at once": (mlp, X, {"chunk": 0}, "at least 1"),
    "frozen without rows": (mlp, X, {"frozen": lambda model, w: model(X).mean(0)}, "a row for each"),
    "a regulariser that is no scalar": (mlp, X, {"regulariser": lambda view: view["0.bias"]}, "scalar"),
    "an order too short": (mlp, X, {"order": [[0, 1]]}, "fewer steps"),
    "instance norm in training": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.InstanceNorm1d(3, track_running_stats=True)), X, {}, "norm '1'"
    ),
    "a model that cannot be copied": (uncopied, X, {}, "cannot be copied"),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_done_is_one_sentence(reason):
    model, x, options, message = REFUSED[reason]

    def loss(out, batch, *target):
        return cross_entropy(out, batch)

    with pytest.raises(UserError, match=message) as caught:
        cl.train(cl.TorchField(model(), loss, (x, Y), **options), cl.SGD(0.1), steps=2)
    assert "\n" not in str(caught.value)


class Endless(IterableDataset):
    def __iter__(self):
        yield X[0], Y[0]


def test_a_loss_that_is_not_one_a_sample_is_one_sentence():
    for loss in (lambda out, b: F.cross_entropy(out, b[1]), lambda out, b: out, lambda out, b: 1.0):
        with pytest.raises(UserError, match=r"shape \(\d+,\)"):
            cl.train(cl.TorchField(mlp(), loss, (X, Y)), cl.SGD(0.1), steps=2)
    with pytest.raises(UserError, match="batch size"):
        cl.TorchField(mlp(), cross_entropy, DataLoader(TensorDataset(X, Y), batch_size=4), batch_size=3)
    sampler = WeightedRandomSampler(torch.ones(N), N)
    with pytest.raises(UserError, match="sampler is its own"):
        cl.TorchField(mlp(), cross_entropy, DataLoader(TensorDataset(X, Y), batch_size=4, sampler=sampler))
    with pytest.raises(UserError, match="no length"):
        cl.TorchField(mlp(), cross_entropy, Endless())
    with pytest.raises(UserError, match='no "x"'):
        cl.train(cl.TorchField(mlp(), cross_entropy, {"a": X}), cl.SGD(0.1), steps=2)
    assert cl.TorchField(mlp(), cross_entropy, (X[:1], Y[:1])).samples == 1
    for data in ((X, torch.tensor(1.0)), (X[:0], Y[:0]), ()):
        with pytest.raises(UserError, match="samples first"):
            cl.TorchField(mlp(), cross_entropy, data)
    with pytest.raises(UserError, match="hold a str"):
        cl.TorchField(mlp(), cross_entropy, {"x": X, "text": ["a"] * N})
