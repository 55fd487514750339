"""GGN and EK-FAC against dense references written out by torch.func; refusals by the layer's name."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
import small
from crossloss.core import UserError
from crossloss.estimators import ConjugateGradient, InverseHessian
from crossloss.models.torch import curvature as curvature_module
from crossloss.models.torch.curvature import ekfac, ggn
from crossloss.optimisers import HeavyBall
from crossloss.run.trajectory import MemoryStates, Training

pytest.importorskip("curvlinops")
N = 12


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def perceptron(outputs=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, outputs)).double()


PROBLEMS = {
    "cross-entropy": (nn.CrossEntropyLoss(), torch.arange(N) % 3),
    "squares": (nn.MSELoss(), draw(N, 3)),
    "logits": (nn.BCEWithLogitsLoss(), (draw(N, 3) > 0).double()),
}


def outputs(model, theta, x):
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]
    parts = torch.split(theta, [s.numel() for s in shapes])
    parameters = {name: part.view(s) for name, part, s in zip(names, parts, shapes, strict=True)}
    return torch.func.functional_call(model, parameters, (x,))


def dense_ggn(model, loss, x, y, theta, rows=range(N)):
    """(1/n) sum_i J_i^T H_i J_i, sample by sample."""
    total = 0
    for i in rows:
        jacobian = torch.autograd.functional.jacobian(lambda th, i=i: outputs(model, th, x[i : i + 1])[0], theta)
        at = outputs(model, theta, x[i : i + 1]).detach()
        hessian = torch.autograd.functional.hessian(lambda out, i=i: loss(out, y[i : i + 1]), at)[0, :, 0]
        total = total + jacobian.T @ hessian @ jacobian
    return total / len(x)


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("rows_at_once", [1024, 5])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_ggn_is_the_dense_one_in_the_order_of_the_parameters(problem, rows_at_once, monkeypatch):
    monkeypatch.setattr(curvature_module, "ROWS_AT_ONCE", rows_at_once)
    (loss, y), model, x = PROBLEMS[problem], perceptron(), draw(N, 4)
    theta = flat(model) + 0.3  # not where the module stands
    weights = torch.ones(N, dtype=torch.float64)
    eye = torch.eye(len(theta), dtype=torch.float64)
    found = ggn(model, loss, x, y)(theta, weights).product(eye)
    torch.testing.assert_close(found, dense_ggn(model, loss, x, y, theta), rtol=1e-9, atol=1e-12)
    weights[[2, 7]] = 0
    left = [i for i in range(N) if i not in (2, 7)]
    found = ggn(model, loss, x, y)(theta, 2 * weights).product(eye)
    torch.testing.assert_close(found, 2 * dense_ggn(model, loss, x, y, theta, left), rtol=1e-9, atol=1e-12)
    assert torch.equal(flat(model), flat(perceptron())), "the module itself is left as it was"


@pytest.mark.parametrize("problem", PROBLEMS)
def test_ekfac_is_exact_where_it_can_be_and_inverts_itself(problem):
    """Exact for one linear layer with squares, where the GGN is one Kronecker product; its trace is exact."""
    (loss, y), x = PROBLEMS[problem], draw(N, 4)
    weights = torch.ones(N, dtype=torch.float64)
    for model in (perceptron(), nn.Sequential(nn.Linear(4, 3)).double()):
        theta, b = flat(model), draw(2, len(flat(model)))
        made = ekfac(model, loss, x, y)(theta, weights)
        eye = torch.eye(len(theta), dtype=torch.float64)
        matrix = made.product(eye)
        torch.testing.assert_close(matrix, matrix.T, rtol=1e-9, atol=1e-12)
        solved = torch.linalg.solve(matrix + 0.1 * eye, b.T).T
        torch.testing.assert_close(made.factorise(0.1)(b), solved, rtol=1e-8, atol=1e-10)
        exact = dense_ggn(model, loss, x, y, theta)
        torch.testing.assert_close(matrix.trace(), exact.trace(), rtol=1e-9, atol=1e-12)
        assert matrix.norm() <= exact.norm() * (1 + 1e-9), "its eigenvalues are the GGN's diagonal in its own basis"
    if problem == "squares":
        torch.testing.assert_close(matrix, exact, rtol=1e-9, atol=1e-12)


def test_ekfac_leaves_out_what_is_not_trained():
    (loss, y), x, w = PROBLEMS["squares"], draw(N, 4), torch.ones(N, dtype=torch.float64)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3)).double()
    plain = nn.Sequential(nn.Linear(4, 3, bias=False)).double()
    plain[0].weight.data = model[0].weight.data
    model[0].bias.requires_grad_(False)
    theta = flat(plain)
    found = ekfac(model, loss, x, y)(theta, w).product(torch.eye(12, dtype=torch.float64))
    torch.testing.assert_close(found, dense_ggn(plain, loss, x, y, theta), rtol=1e-9, atol=1e-12)


def test_ekfac_takes_convolutions():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).double()
    x, y = draw(N, 1, 4, 4), torch.arange(N) % 3
    weights = torch.ones(N, dtype=torch.float64)
    made = ekfac(model, nn.CrossEntropyLoss(), x, y)(flat(model), weights)
    b = draw(2, len(flat(model)))
    x_of = made.factorise(0.1)(b)
    torch.testing.assert_close(made.product(x_of) + 0.1 * x_of, b, rtol=1e-8, atol=1e-10)


def test_estimators_take_both():
    """In place of the Hessian of a plain field: scores as by the dense matrices."""
    (loss, y), model, x = PROBLEMS["cross-entropy"], perceptron(), draw(N, 4)

    def g(theta, w, step):
        def total(theta):
            losses = nn.functional.cross_entropy(outputs(model, theta, x), y, reduction="none")
            return (w * losses).sum() / N

        return torch.func.grad(total)(theta)

    theta, w = flat(model), torch.ones(N, dtype=torch.float64)
    run = Training(small.GivenField(g, N), HeavyBall(torch.full_like(theta, 0.1)), w, 5, theta, MemoryStates())
    run.run_to_end()
    case = small.Case(run, g, 0.05, [small.sine, small.cubic])
    case.objectives = [small.as_objective(f) for f in case.objectives]
    by_weight, slopes = case.jacobians()[1], case.slopes()
    for made, solver in ((ggn, ConjugateGradient(1e-11)), (ekfac, None)):
        maker = made(model, loss, x, y)
        matrix = maker(run.theta, w).product(torch.eye(len(theta), dtype=torch.float64))
        damped = matrix + 0.05 * torch.eye(len(theta), dtype=torch.float64)
        scores = InverseHessian(maker, solver, 0.05)(run, case.objectives).samples()
        torch.testing.assert_close(scores, -torch.linalg.solve(damped, slopes.T).T @ by_weight, rtol=1e-7, atol=1e-10)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ekfac(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), nn.MSELoss(), draw(2, 4), draw(2, 4)),
         "and 1 is LayerNorm"),
        (lambda: ekfac(nn.Sequential(nn.Embedding(4, 4)), nn.MSELoss(), draw(2, 4), draw(2, 4)), "and 0 is Embedding"),
        (lambda: ekfac(Tied(), nn.MSELoss(), draw(2, 3), draw(2, 3)), "second shares one with first"),
        (lambda: ekfac(perceptron(), nn.L1Loss(), draw(2, 4), draw(2, 3)), r"not L1Loss\(\): use jacobian"),
        (lambda: ggn(perceptron(), nn.MSELoss(reduction="sum"), draw(2, 4), draw(2, 3)), "with its mean"),
        (lambda: ggn(perceptron(), nn.MSELoss(), draw(2, 4), draw(2, 3))(torch.zeros(3), torch.ones(2)), "not have 3"),
        (lambda: ggn(perceptron(), nn.MSELoss(), draw(2, 4), draw(2, 3))(torch.zeros(3), torch.arange(1, 3)),
         "one weight for all of the 2 samples"),
    ],
)  # fmt: skip
def test_what_does_not_apply_is_refused_by_name(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_singular_ekfac_needs_damping():
    model = perceptron()
    x = draw(N, 4)
    x[:, 2] = 0  # an input that is always 0
    made = ekfac(model, nn.MSELoss(), x, draw(N, 3))(flat(model), torch.ones(N, dtype=torch.float64))
    with pytest.raises(UserError, match="EK-FAC with damping 0 is singular"):
        made.factorise(0.0)(draw(1, len(flat(model))))


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "curvlinops", None)
    with pytest.raises(UserError, match=r'pip install "crossloss\[ekfac\]"'):
        ggn(perceptron(), nn.MSELoss(), draw(2, 4), draw(2, 3))(torch.zeros(43), torch.ones(2))


FIELDS = {
    "cross-entropy": (lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), nn.CrossEntropyLoss(), 1.0),
    "half squares": (lambda out, b: ((out - b["soft"]) ** 2).sum(1) / 2, nn.MSELoss(), 1.5),
    "logits": (
        lambda out, b: F.binary_cross_entropy_with_logits(out, b["hard"], reduction="none").sum(1),
        nn.BCEWithLogitsLoss(),
        3.0,
    ),
}


def rows():
    soft = draw(N, 3)
    return {"x": draw(N, 4), "y": torch.arange(N) % 3, "soft": soft, "hard": (soft > 0).double()}


@pytest.mark.parametrize("problem", FIELDS)
def test_a_field_knows_its_own_loss(problem):
    """Scores by the registry's names: of the dense GGN, and of EK-FAC made by hand, in the field's own unit."""
    sample_loss, loss, factor = FIELDS[problem]
    data = rows()
    targets = data[{"cross-entropy": "y", "half squares": "soft", "logits": "hard"}[problem]]
    run = cl.train(cl.TorchField(perceptron(), sample_loss, data, batch_size=5, chunk=7), cl.SGD(0.1), steps=4)
    field, theta, w = run.field, run.theta, run.trajectory.weights
    exact = factor * dense_ggn(perceptron(), loss, data["x"], targets, theta)
    eye = torch.eye(len(theta), dtype=torch.float64)
    torch.testing.assert_close(field.curvature("ggn", theta, w).product(eye), exact, rtol=1e-7, atol=1e-10)

    def objective(view):
        return torch.sin(view(data["x"][:3])).sum()

    (slope,) = torch.autograd.grad(objective(field.view(leaf := theta.clone().requires_grad_(True))), leaf)
    gradients = torch.stack([one_gradient(field, theta, w, i) for i in range(N)])
    by_hand = ekfac(perceptron(), loss, data["x"], targets)(theta, w).product(eye) * factor
    for name, matrix in (("inverse-hessian-ggn", exact), ("inverse-hessian-ekfac", by_hand)):
        expected = -gradients @ torch.linalg.solve(matrix + 0.05 * eye, slope)
        found = torch.tensor(cl.score(run, [objective], name, damping=0.05).samples[0])
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def one_gradient(field, theta, w, i):
    """d g/d w_i."""
    only = torch.zeros_like(w)
    only[i] = 1
    return field.gradient(theta, only, -1)


def test_the_ggn_of_attention_takes_the_kernels_that_have_a_derivative():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(8, 3)).double().eval()
    x, y, w = draw(N, 2, 4), torch.arange(N) % 3, torch.ones(N, dtype=torch.float64)
    made, a = ggn(model, nn.CrossEntropyLoss(), x, y)(flat(model), w), draw(2, len(flat(model)))
    expected = a @ dense_ggn(model, nn.CrossEntropyLoss(), x, y, flat(model))
    torch.testing.assert_close(made.product(a), expected, rtol=1e-9, atol=1e-12)


def test_dropout_of_the_run_is_not_in_its_curvature():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 3)).double()
    data, w = rows(), torch.ones(N, dtype=torch.float64)
    field = cl.TorchField(model, FIELDS["cross-entropy"][0], data, dropout_seed=1)
    found = field.curvature("ggn", field.initial, w).product(draw(2, len(field.initial)))
    still = ggn(model.eval(), nn.CrossEntropyLoss(), data["x"], data["y"])(field.initial, w)
    torch.testing.assert_close(found, still.product(draw(2, len(field.initial))))


def test_targets_of_one_output_need_no_second_axis():
    y, w = draw(N), torch.ones(N, dtype=torch.float64)
    field = cl.TorchField(perceptron(1), lambda out, b: (out[:, 0] - b[1]) ** 2, (draw(N, 4), y))
    found = field.curvature("ggn", field.initial, w).product(draw(2, len(field.initial)))
    by_hand = ggn(perceptron(1), nn.MSELoss(), draw(N, 4), y[:, None])(field.initial, w)
    torch.testing.assert_close(found, by_hand.product(draw(2, len(field.initial))))


class Table(nn.Module):
    def __init__(self, padding_idx=None):
        super().__init__()
        self.table = nn.Embedding(4, 3, padding_idx=padding_idx)

    def forward(self, x):
        return self.table(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_loss": lambda out, b: F.huber_loss(out, b["soft"], reduction="none", delta=0.1).sum(1)}, "multiple"),
        ({"sample_loss": lambda out, b: F.cross_entropy(out, b["y"], reduction="none") * (1 + b["y"])}, "multiple"),
        ({"sample_loss": lambda out, b: -F.cross_entropy(out, b["y"], reduction="none")}, "multiple"),
        ({"regulariser": lambda view: sum((p**2).sum() for p in view.values())}, "with a regulariser"),
        ({"forward": lambda model, b: 2 * model(b["x"])}, "with a forward= of its own"),
        ({"frozen": lambda view, w: view(rows()["x"]).softmax(1),
          "sample_loss": lambda out, b, p: (p * (out - 1) ** 2).sum(1)}, "with frozen="),
        ({"model": Table(0).double(), "data": rows() | {"x": torch.arange(N) % 4}}, "with padding rows"),
        ({"kind": "kfac"}, "there are: jacobian, absolute, ggn, ekfac"),
        ({"kind": "ekfac", "model": Table().double(), "data": rows() | {"x": torch.arange(N) % 4}},
         "table is Embedding"),
    ],
)  # fmt: skip
def test_a_field_that_they_do_not_apply_to_says_so(options, message):
    options = {
        "model": perceptron(),
        "sample_loss": FIELDS["cross-entropy"][0],
        "data": rows(),
        "kind": "ggn",
    } | options
    kind = options.pop("kind")
    field = cl.TorchField(**options)
    with pytest.raises(UserError, match=message):
        field.curvature(kind, field.initial, torch.ones(N, dtype=torch.float64))
