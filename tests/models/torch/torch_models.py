"""Small models of every kind with data, in float64."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl

N, CLASSES = 12, 3
F64 = torch.float64


@dataclass
class Case:
    """A model, its input rows, and what differs from a plain full-batch field."""

    model: nn.Module
    x: torch.Tensor
    options: dict = field(default_factory=dict)
    y: torch.Tensor = None

    def __post_init__(self):
        self.y = torch.arange(N) % CLASSES


class Tied(nn.Module):
    """Encoder and decoder share one matrix."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.outer.weight = self.inner.weight
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.head(self.outer(torch.tanh(self.inner(x))))


class Words(nn.Module):
    def __init__(self, sparse, padding_idx=None):
        super().__init__()
        self.table = nn.Embedding(9, 4, sparse=sparse, padding_idx=padding_idx)
        if padding_idx is not None:
            nn.init.normal_(self.table.weight)  # a padding row that is not zero enters the loss
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.head(torch.tanh(self.table(x).mean(1)))


class Bags(nn.Module):
    def __init__(self, mode, padding_idx=None):
        super().__init__()
        self.table = nn.EmbeddingBag(9, 4, mode=mode, sparse=mode != "max", padding_idx=padding_idx)
        self.head, self.written_out = nn.Linear(4, CLASSES), False

    def forward(self, x):
        return self.head(torch.tanh(self.by_rows(x) if self.written_out else self.table(x)))

    def by_rows(self, x):
        """A bag at a time, for the reference: torch's own bags have no second derivative."""
        rows = [self.table.weight[[i for i in row if i != self.table.padding_idx]] for row in x.tolist()]
        made = {"sum": lambda v: v.sum(0), "mean": lambda v: v.mean(0), "max": lambda v: v.max(0).values}
        return torch.stack([made[self.table.mode](v) if len(v) else v.sum(0) for v in rows])


class Recurrent(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, num_layers=2, batch_first=True, dropout=dropout)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Attention(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=dropout, batch_first=True, activation="gelu")
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.head(self.layer(x).mean(1))


def mlp(activation=nn.GELU, dropout=0.0):
    return nn.Sequential(nn.Linear(4, 6), activation(), nn.Dropout(dropout), nn.Linear(6, CLASSES))


def frozen_layer():
    model = mlp(nn.Tanh)
    model[0].bias.requires_grad_(False)
    return model


def normed():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, CLASSES))
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.5, 2)
    return model.eval()


def penalty(parameters):
    return 0.05 * sum((p**2).sum() for p in parameters.values())


BATCHES = [[0, 1, 2, 3, 4], [5, 6, 7], [8, 9, 10, 11, 0], [3, 3, 7, 1], [2, 9, 11], [4, 6, 8, 10]]

KINDS = {
    "mlp": lambda: Case(mlp(), torch.randn(N, 4)),
    "relu": lambda: Case(mlp(nn.ReLU), torch.randn(N, 4)),
    "regularised": lambda: Case(mlp(), torch.randn(N, 4), {"regulariser": penalty}),
    "mini-batches": lambda: Case(mlp(), torch.randn(N, 4), {"order": BATCHES, "regulariser": penalty}),
    "tied": lambda: Case(Tied(), torch.randn(N, 4)),
    "frozen": lambda: Case(frozen_layer(), torch.randn(N, 4)),
    "embedding": lambda: Case(Words(False), torch.randint(0, 8, (N, 5))),
    "sparse": lambda: Case(Words(True), torch.randint(0, 8, (N, 5))),
    "bags": lambda: Case(Bags("mean"), torch.randint(0, 8, (N, 5))),
    "bags-padded": lambda: Case(Bags("sum", padding_idx=2), torch.randint(0, 5, (N, 3))),
    "bags-max": lambda: Case(Bags("max", padding_idx=2), torch.randint(0, 5, (N, 3))),
    "convolution": lambda: Case(
        nn.Sequential(nn.Conv1d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(9, CLASSES)), torch.randn(N, 2, 4)
    ),
    "lstm": lambda: Case(Recurrent().eval(), torch.randn(N, 4, 3)),
    "lstm-dropout": lambda: Case(Recurrent(0.4), torch.randn(N, 4, 3), {"dropout_seed": 3}),
    "transformer": lambda: Case(Attention().eval(), torch.randn(N, 5, 4)),
    "transformer-dropout": lambda: Case(Attention(0.2), torch.randn(N, 5, 4), {"dropout_seed": 11}),
    "batch-norm": lambda: Case(normed(), torch.randn(N, 4)),
    "dropout": lambda: Case(mlp(dropout=0.4), torch.randn(N, 4), {"dropout_seed": 5}),
    "dropout-batches": lambda: Case(mlp(dropout=0.4), torch.randn(N, 4), {"dropout_seed": 5, "order": BATCHES}),
}


def make(kind):
    """The case of a kind, always the same."""
    torch.manual_seed(sum(map(ord, kind)))
    made = KINDS[kind]()
    made.model.double()
    made.x = made.x.double() if made.x.is_floating_point() else made.x
    return made


def cross_entropy(out, batch):
    return F.cross_entropy(out, batch[1], reduction="none")


def margin(view):
    """An objective of the parameters and of the outputs on fixed inputs."""
    return sum((p**3).sum() for p in view.values())


def objectives(case):
    """One of the parameters, one of the model's outputs on three rows."""

    def logit(view):
        return (view(case.x[:3])[:, 0] * view(case.x[:3])[:, 1]).sum()

    return [margin, logit]


def field_of(case, **more):
    return cl.TorchField(case.model, cross_entropy, (case.x, case.y), **(case.options | more))
