"""GGN and EK-FAC of token losses: against dense matrices, autograd, and curvlinops itself; what they leave out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from crossloss.core import UserError
from crossloss.estimators import ConjugateGradient, InverseHessian

pytest.importorskip("curvlinops")
import curvlinops

F64, N, T, WORDS = torch.float64, 9, 4, 6


class Words(nn.Module):
    """Token by token but for a mean over the row; the last layer is tied to the embedding."""

    def __init__(self):
        super().__init__()
        self.table, self.first, self.norm = nn.Embedding(WORDS, 3, padding_idx=0), nn.Linear(3, 4), nn.LayerNorm(4)
        self.second, self.last = nn.Linear(4, 3), nn.Linear(3, WORDS)
        nn.init.normal_(self.table.weight)
        self.last.weight = self.table.weight

    def forward(self, ids):
        h = torch.tanh(self.first(self.table(ids)))
        return self.last(torch.tanh(self.second(self.norm(h + h.mean(1, keepdim=True)))))


def data():
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(0, WORDS, (N, T), generator=draw)
    labels = torch.where(torch.rand(N, T, generator=draw) < 0.6, ids.roll(1, 1), -100)
    labels[:, 0] = 1
    return {"ids": ids, "labels": labels}


def loss(model, batch, w):
    losses = F.cross_entropy(model(batch["ids"]).transpose(1, 2), batch["labels"], reduction="none")
    return cl.losses.token_mean(losses, batch["labels"] != -100, w)


def outputs(model, batch):
    return model(batch["ids"]), batch["labels"]


def field(**more):
    torch.manual_seed(0)
    more = {"loss": loss, "outputs": outputs, "batch_size": 4, "seed": None} | more
    return cl.TorchField(Words().double(), data=data(), **more)


def scored(of, theta):
    """Logits (m, WORDS), labels, row and factor of each token that counts, written out."""
    rows = data()
    found = []
    for first in range(0, N, 4):
        part = {name: leaf[first : first + 4] for name, leaf in rows.items()}
        logits, counts = of.view(theta)(part["ids"]), part["labels"] != -100
        factor = len(part["ids"]) / N / int(counts.sum())
        for i in range(len(part["ids"])):
            found += [(logits[i, t], part["labels"][i, t], first + i, factor) for t in range(T) if counts[i, t]]
    return found


def dense_ggn(of, theta, w):
    total = 0
    jacobian = torch.autograd.functional.jacobian(lambda th: torch.stack([x[0] for x in scored(of, th)]), theta)
    for (logits, _, row, factor), rows in zip(scored(of, theta), jacobian, strict=True):
        p = logits.softmax(0).detach()
        total = total + factor * float(w[row]) * rows.T @ (torch.diag(p) - torch.outer(p, p)) @ rows
    return total


def held(of, theta, matrix):
    """Without the rows of padding, which an embedding reads and does not train."""
    (name, row), at = of.layout.padding[0], 0
    gone = torch.zeros(len(theta), dtype=torch.bool)
    for other, size in zip(of.layout.names, of.layout.sizes, strict=True):
        if other == of.layout.places[name]:
            gone[at + 3 * row : at + 3 * row + 3] = True
        at += size
    return matrix, gone


def weights():
    w = torch.linspace(0.5, 2, N, dtype=F64)
    w[3] = 0
    return w


def test_the_ggn_is_the_dense_one_with_every_weight_and_factor():
    of, w = field(), weights()
    theta = of.initial + 0.1
    expected, padded = held(of, theta, dense_ggn(of, theta, w))
    found = of.curvature("ggn", theta, w).product(torch.eye(len(theta), dtype=F64))
    torch.testing.assert_close(found[~padded][:, ~padded], expected[~padded][:, ~padded], rtol=1e-8, atol=1e-11)
    torch.testing.assert_close(found, found.T, rtol=1e-8, atol=1e-12)


def dense_ekfac(of, theta, w):
    """Of the labels: eigenvectors of mean [a 1][a 1]^T and sum g g^T, and the squares of the rows' gradients there."""
    model, names = of.eval_module, ("first", "second")
    with torch.no_grad():
        for name, value in of.layout.split(theta).items():
            dict(model.named_parameters())[name].copy_(value)
    kept = {}
    handles = [
        getattr(model, name).register_forward_hook(lambda layer, x, y, name=name: kept.update({name: (x[0], y)}))
        for name in names
    ]
    size, blocks = sum(of.layout.sizes), {}
    rows = data()
    sums = {name: [0, 0, []] for name in names}
    for first in range(0, N, 4):
        part = {name: leaf[first : first + 4] for name, leaf in rows.items()}
        logits = model(part["ids"])
        counts = part["labels"] != -100
        total = F.cross_entropy(logits[counts], part["labels"][counts], reduction="none")
        factors = len(counts) / N / counts.sum() * w[first : first + 4, None].expand(counts.shape)[counts]
        slopes = torch.autograd.grad((total * factors.sqrt()).sum(), [kept[name][1] for name in names])
        for name, g in zip(names, slopes, strict=True):
            a = torch.cat([kept[name][0].detach(), torch.ones(*g.shape[:2], 1, dtype=F64)], 2)
            sums[name][0] = sums[name][0] + torch.einsum("bti,btj->ij", a, a) / (N * T)
            sums[name][1] = sums[name][1] + torch.einsum("bti,btj->ij", g, g)
            sums[name][2].append(torch.einsum("bti,btj->bij", g, a))
    for handle in handles:
        handle.remove()
    matrix, at, starts = torch.zeros(size, size, dtype=F64), 0, {}
    for name, count in zip(of.layout.names, of.layout.sizes, strict=True):
        starts[name], at = at, at + count
    for name in names:
        a, g, each = sums[name]
        left, right = torch.linalg.eigh(g)[1], torch.linalg.eigh(a)[1]
        values = (left.T @ torch.cat(each) @ right).square().sum(0)
        basis = torch.einsum("ri,cj->rcij", left, right).reshape(values.numel(), -1)
        joint = basis @ torch.diag(values.reshape(-1)) @ basis.T
        out, inn = g.shape[0], a.shape[0]
        places = torch.empty(out, inn, dtype=torch.int64)
        places[:, :-1] = starts[f"{name}.weight"] + torch.arange(out * (inn - 1)).view(out, inn - 1)
        places[:, -1] = starts[f"{name}.bias"] + torch.arange(out)
        blocks[name] = places.reshape(-1)
        matrix[blocks[name][:, None], blocks[name][None]] = joint
    return matrix


def test_ekfac_of_the_labels_is_the_dense_one_on_its_layers():
    of, w = field(), weights()
    theta = of.initial + 0.1
    made = of.curvature("ekfac-empirical", theta, w)
    found = made.product(torch.eye(len(theta), dtype=F64))
    expected = dense_ekfac(field(), theta, w)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-11)
    assert torch.equal(made.part, expected.diagonal() != 0)
    b = torch.randn(2, len(theta), generator=torch.Generator().manual_seed(3), dtype=F64) * made.part
    solved = torch.linalg.solve(expected + 0.1 * torch.eye(len(theta), dtype=F64), b.T).T
    torch.testing.assert_close(made.factorise(0.1)(b), solved, rtol=1e-7, atol=1e-9)


class Flattened(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        return self.model(batch["ids"])[batch["labels"] != -100]


@pytest.mark.parametrize(("kind", "fisher"), [("ekfac", "mc"), ("ekfac-mc", "mc"), ("ekfac-empirical", "empirical")])
def test_ekfac_is_curvlinops_own(kind, fisher):
    """All rows in one batch, so that one factor is in front of the library's sum."""
    of = field(batch_size=None)
    theta, rows = of.initial, data()
    module = Flattened(Words().double().eval())
    parameters = dict(module.model.named_parameters())
    with torch.no_grad():
        for name, value in of.layout.split(theta).items():
            parameters[name].copy_(value)
    names = ["first.weight", "first.bias", "second.weight", "second.bias"]
    counted = rows["labels"][rows["labels"] != -100]
    operator = curvlinops.EKFACLinearOperator(
        module, nn.CrossEntropyLoss(reduction="sum"), [parameters[name] for name in names], [(rows, counted)],
        fisher_type=fisher, separate_weight_and_bias=False, check_deterministic=False, num_per_example_loss_terms=1,
        batch_size_fn=lambda x: len(x["ids"]), num_data=N,
    )  # fmt: skip
    starts = dict(zip(of.layout.names, [0, *torch.tensor(of.layout.sizes).cumsum(0).tolist()], strict=False))
    where = torch.cat([starts[name] + torch.arange(parameters[name].numel()) for name in names])
    expected = operator @ torch.eye(len(where), dtype=F64) / len(counted)
    eye = torch.eye(len(theta), dtype=F64)
    found = of.curvature(kind, theta, torch.ones(N, dtype=F64)).product(eye)
    torch.testing.assert_close(found[where][:, where], expected, rtol=1e-8, atol=1e-11)


def test_one_label_a_row_has_the_exact_expectation():
    """A classifier through loss= and through sample_loss: the same EK-FAC and the same GGN."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    rows = {"x": torch.randn(N, 4, generator=torch.Generator().manual_seed(1), dtype=F64), "y": torch.arange(N) % 3}
    plain = cl.TorchField(model, lambda out, b: 2 * F.cross_entropy(out, b["y"], reduction="none"), rows)
    batched = cl.TorchField(
        model, data=rows, outputs=lambda m, b: (m(b["x"]), b["y"]),
        loss=lambda m, b, w: 2 * (w * F.cross_entropy(m(b["x"]), b["y"], reduction="none")).mean(),
    )  # fmt: skip
    w, theta = torch.ones(N, dtype=F64), plain.initial
    eye = torch.eye(len(theta), dtype=F64)
    for kind in ("ggn", "ekfac", "ekfac-empirical"):
        expected = plain.curvature(kind, theta, w).product(eye)
        torch.testing.assert_close(batched.curvature(kind, theta, w).product(eye), expected, rtol=1e-7, atol=1e-10)
    assert batched.left_out("ekfac") == []


def recorded(case, tmp_path):
    pytest.importorskip("accelerate")
    pytest.importorskip("transformers")
    from crossloss.integrations.transformers import record
    from trainers import CASES

    made = CASES[case](tmp_path, adam_epsilon=1e-3, num_train_epochs=1)
    made.model.double()
    recorder = record(made)
    made.train()
    return recorder.finish(accept=1e-6)


def objective(model):
    ids = torch.tensor([[7, 8, 9, 10]])
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.square().mean()


@pytest.mark.parametrize("case", ["BERT, masked", "GPT-2", "BERT, classes"])
def test_a_trainers_ggn_is_that_of_autograd(case, tmp_path):
    """J^T H J v by two derivatives of the model's own loss and its logits, part by part."""
    run = recorded(case, tmp_path)
    of, theta, w = run.field, run.theta, torch.ones(run.field.samples, dtype=F64)
    v = torch.randn(len(theta), generator=torch.Generator().manual_seed(0), dtype=F64)
    expected = torch.zeros_like(theta)
    for part in of.parts(-1):
        leaf = theta.clone().requires_grad_(True)
        batch = of.data_of(part)
        inputs = {k: x for k, x in batch.items() if not k.startswith("crossloss.") and k != "labels"}
        logits, labels = of.view(leaf)(**inputs).logits, batch["labels"]
        if case == "GPT-2":
            logits, labels = logits[:, :-1], labels[:, 1:]
        logits = logits.reshape(-1, logits.shape[-1])[labels.reshape(-1) != -100]
        back = torch.zeros_like(logits, requires_grad=True)
        (pulled,) = torch.autograd.grad(logits, leaf, back, create_graph=True)
        (pushed,) = torch.autograd.grad(pulled, back, v, retain_graph=True)
        p = logits.softmax(1).detach()
        curved = p * pushed - p * (p * pushed).sum(1, keepdim=True)
        counted = float(batch["crossloss.items"][0]) or len(logits)  # of GPT-2 the Trainer counts the first token too
        expected += torch.autograd.grad(logits, leaf, curved)[0] / counted / part.divisor
    found = of.curvature("ggn", theta, w).product(v[None])[0]
    padding = [row for _, row in of.layout.padding]
    assert padding == ([0] if case.startswith("BERT") else [])
    loose = 1e-5 if case == "GPT-2" else 1e-8  # whose loss is in float32
    near = (found - expected).abs() <= loose * expected.abs().max()
    assert int((~near).sum()) <= 16 * len(padding), "but the row of padding, which is not trained through the embedding"


@pytest.mark.parametrize("case", ["BERT, masked", "GPT-2"])
def test_scores_of_a_trainer_are_the_influence_within_the_layers_and_the_others_are_named(case, tmp_path):
    run = recorded(case, tmp_path)
    with pytest.warns(
        UserWarning, match=r"inverse-hessian-ekfac-empirical is of .* parameters; left out are .*embed|wte"
    ):
        scores = cl.score(run, [objective], InverseHessian("ekfac-empirical", damping=0.05))
    of, theta, w = run.field, run.theta, torch.ones(run.field.samples, dtype=F64)
    part = of.curvature("ekfac-empirical", theta, w).part
    left = dict(scores.left_out)
    assert sum(left.values()) == int((~part).sum())
    if case == "GPT-2":
        assert set(left) == {name for name in of.layout.names if "wte" in name or "wpe" in name or "ln_" in name}
    else:
        assert "bert.embeddings.word_embeddings.weight" in left, "which the decoder is tied to"
        assert all("embedding" in name or "LayerNorm" in name or "predictions.bias" in name for name in left)
    where = part.nonzero().flatten()
    eye = torch.zeros(len(where), len(theta), dtype=F64)
    eye[torch.arange(len(where)), where] = 1
    matrix = of.curvature("ekfac-empirical", theta, w).product(eye)[:, where]
    leaf = theta.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(objective(of.view(leaf)), leaf)
    solved = torch.zeros_like(theta)
    solved[where] = torch.linalg.solve(matrix + 0.05 * torch.eye(len(where), dtype=F64), slope[where])
    expected = torch.stack([of.gradient(theta, unit, -1) for unit in torch.eye(of.samples, dtype=F64)]) @ -solved
    torch.testing.assert_close(torch.tensor(scores.of()), expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


def test_the_ggn_by_cg_leaves_nothing_out(tmp_path):
    run = recorded("BERT, masked", tmp_path)
    scores = cl.score(run, [objective], InverseHessian("ggn", ConjugateGradient(1e-8), damping=0.1))
    assert scores.left_out == []
    x = InverseHessian("ggn", ConjugateGradient(1e-8), damping=0.1)
    assert scores.estimator == x.name == "inverse-hessian-ggn"
    assert abs(scores.of()).max() > 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"outputs": None}, "give TorchField.*outputs="),
        ({"outputs": lambda m, b: m(b["ids"])}, "must return two tensors"),
        ({"outputs": lambda m, b: (m(b["ids"]), b["labels"].double())}, "labels .* of whole numbers"),
        ({"outputs": lambda m, b: (2 * m(b["ids"]), b["labels"])}, "is not the cross entropy of its outputs="),
        ({"regulariser": lambda view: sum((p**2).sum() for p in view.values())}, "with a regulariser"),
        ({"loss": lambda m, b, w: loss(m, b, w.detach() * 0 + 1) * w.square().mean()}, "weighted by sample"),
    ],
)
def test_another_loss_is_refused(more, message):
    of = field(**more)
    with pytest.raises(UserError, match=message):
        of.curvature("ekfac", of.initial, torch.ones(N, dtype=F64))
