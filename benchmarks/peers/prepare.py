"""Train the models that the packages are given, and find the truth: the exact matrix, and retraining.

    python benchmarks/peers/prepare.py mixture|digits|words

Plain torch loops, nothing of any package. What is found already is kept (``.venvs/``, not in git).
"""

import sys

import numpy as np
import torch
from tasks import (
    DIGITS_BATCH,
    DIGITS_MOMENTUM,
    DIGITS_RATE,
    DIGITS_ROWS,
    DIGITS_STEPS,
    MEANS,
    MIXTURE_DECAY,
    STD,
    WORDS,
    WORDS_DECAY,
    WORK,
    cross_entropy,
    digits_measure,
    digits_model,
    mixture_measure,
    mixture_model,
    weat,
    words_model,
)
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacrev, vmap

MIXTURE_STEPS, MIXTURE_RATE, MIXTURE_MOMENTUM = 3_000, 0.3, 0.9
DIGITS_SUBSETS = 50
DIGITS_QUERY_ROWS = 100


def flat(state: dict[str, Tensor]) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in state.values()])


def unflat(model: nn.Module, theta: Tensor) -> dict[str, Tensor]:
    named = dict(model.named_parameters())
    parts = torch.split(theta, [p.numel() for p in named.values()])
    return {name: part.view(p.shape) for (name, p), part in zip(named.items(), parts, strict=True)}


def points(seed: int, each: int = 50) -> tuple[Tensor, Tensor]:
    """Three Gaussians (paper Sec. 4.1)."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(3).repeat_interleave(each)
    return MEANS.double()[y] + STD * torch.randn(3 * each, 2, generator=generator, dtype=torch.float64), y


def mixture() -> None:
    torch.manual_seed(0)
    model = mixture_model().double()
    (x, y), (queries, _) = points(1), points(2)
    start = flat(dict(model.named_parameters()))

    def loss(theta: Tensor, w: Tensor) -> Tensor:
        out = functional_call(model, unflat(model, theta), (x,))
        return (w * cross_entropy(out, y)).sum() / len(x) + MIXTURE_DECAY / 2 * (theta**2).sum()

    def objectives(theta: Tensor) -> Tensor:
        return mixture_measure(functional_call(model, unflat(model, theta), (queries,)), queries)

    def trained(w: Tensor) -> Tensor:
        """Final parameters (m, p) for weights (m, n), all at once."""
        step = vmap(grad(loss))
        theta, velocity = start.expand(len(w), -1).clone(), 0
        for _ in range(MIXTURE_STEPS):
            velocity = MIXTURE_MOMENTUM * velocity + step(theta, w)
            theta = theta - MIXTURE_RATE * velocity
        return theta

    ones = torch.ones(len(x), dtype=torch.float64)
    theta = trained(ones[None])[0]
    left_out = trained(1 - torch.eye(len(x), dtype=torch.float64))
    slopes = jacrev(objectives)(theta)
    by_weight = jacrev(grad(loss), argnums=1)(theta, ones)
    exact = -slopes @ torch.linalg.solve(hessian(loss)(theta, ones), by_weight)
    retrained = torch.stack([objectives(row) for row in left_out], 1) - objectives(theta)[:, None]
    print("gradient norm", float(grad(loss)(theta, ones).norm()), "loss", float(loss(theta, ones)))
    state = {name: p.float() for name, p in unflat(model, theta).items()}
    torch.save(
        {
            "state": state, "x": x.float(), "y": y, "queries": queries.float(), "targets": queries.float(),
            "decay": MIXTURE_DECAY, "checkpoints": [state], "exact": exact, "retrained": retrained,
            "initial": {}, "order": torch.zeros(0),
        },
        WORK / "mixture.pt",
    )  # fmt: skip


def words() -> None:
    """60 sentences of 8 pairs, drawn so that words 0-3 prefer the company of 8-11, and 4-7 that of 12-15.

    The decay is towards the initial vectors: one towards 0 would leave rotations without any curvature.
    """
    torch.manual_seed(0)
    model, n, generator = words_model().double(), 60, np.random.default_rng(0)
    noise = model.noise.numpy() / float(model.noise.sum())
    pairs = np.zeros((n, 8, 3), dtype=np.int64)
    for row in pairs.reshape(-1, 3):
        word = generator.choice(WORDS, p=noise)
        near = noise.copy()
        near[8:12] *= 4 if word < 4 else 1
        near[12:16] *= 4 if 4 <= word < 8 else 1
        row[:] = word, generator.choice(WORDS, p=near / near.sum()), generator.integers(0, 3)
    x = torch.from_numpy(pairs)
    start = flat(dict(model.named_parameters()))

    def loss(theta: Tensor, w: Tensor) -> Tensor:
        return (w * functional_call(model, unflat(model, theta), (x,))).mean() + WORDS_DECAY / 2 * (
            (theta - start) ** 2
        ).sum()

    def objective(theta: Tensor) -> Tensor:
        return weat(unflat(model, theta)["words.weight"])

    ones, theta = torch.ones(n, dtype=torch.float64), start
    for _ in range(1_500):
        theta = theta - 0.2 * grad(loss)(theta, ones)
    for _ in range(5):
        theta = theta - torch.linalg.solve(hessian(loss)(theta, ones), grad(loss)(theta, ones))
    curvature = hessian(loss)(theta, ones)
    print("gradient norm", float(grad(loss)(theta, ones).norm()), "WEAT", float(objective(theta)))
    print("least eigenvalue with decay", float(torch.linalg.eigvalsh(curvature)[0]))
    exact = -grad(objective)(theta) @ torch.linalg.solve(curvature, jacrev(grad(loss), argnums=1)(theta, ones))

    def retrained(w: Tensor) -> Tensor:
        """WEAT at the minimum for each row of weights (m, n), by steps with the first Hessian."""
        inverse, moved = torch.linalg.inv(curvature), theta.repeat(len(w), 1)
        for _ in range(200):
            g = vmap(grad(loss))(moved, w)
            moved = moved - 0.5 * g @ inverse
        assert float(g.norm(dim=1).max()) < 1e-8, float(g.norm(dim=1).max())
        return vmap(objective)(moved)

    near, eye = 1e-3, torch.eye(n, dtype=torch.float64)
    by_differences = (retrained(1 + near * eye) - retrained(1 - near * eye)) / (2 * near)
    worst = float((by_differences - exact).abs().max() / exact.abs().max())
    print("differences of retraining against the dense inverse:", worst)
    assert worst < 1e-5
    left_out = retrained(1 - eye) - objective(theta)
    state = {name: p.float() for name, p in model.state_dict().items()}
    state |= {name: p.float() for name, p in unflat(model, theta).items()}
    torch.save(
        {
            "state": state, "x": x, "y": torch.zeros(n), "queries": x[:1], "targets": torch.ones(1),
            "decay": WORDS_DECAY, "checkpoints": [state], "exact": exact[None],
            "retrained": left_out[None], "initial": {}, "order": torch.zeros(0),
        },
        WORK / "words.pt",
    )  # fmt: skip


def order() -> list[Tensor]:
    """Rows of each mini-batch of the digits run."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.cat([torch.randperm(DIGITS_ROWS, generator=generator) for _ in range(20)])
    return list(rows[: DIGITS_STEPS * DIGITS_BATCH].split(DIGITS_BATCH))


def train_digits(model: nn.Module, x: Tensor, y: Tensor, w: Tensor) -> list[dict[str, Tensor]]:
    """SGD with momentum; the state after each tenth of the run."""
    optimiser = torch.optim.SGD(model.parameters(), lr=DIGITS_RATE, momentum=DIGITS_MOMENTUM)
    checkpoints = []
    for t, rows in enumerate(order()):
        optimiser.zero_grad()
        (w[rows] * cross_entropy(model(x[rows]), y[rows])).sum().div(DIGITS_BATCH).backward()
        optimiser.step()
        if (t + 1) % (DIGITS_STEPS // 10) == 0:
            checkpoints.append({name: p.detach().clone() for name, p in model.state_dict().items()})
    return checkpoints


def digits(subsets: int) -> None:
    kept = torch.load(WORK / "load_digits.pt", weights_only=True)
    shuffle = torch.randperm(len(kept["x"]), generator=torch.Generator().manual_seed(0))
    x, y = kept["x"][shuffle], kept["y"][shuffle]
    test_x, test_y = x[DIGITS_ROWS:], y[DIGITS_ROWS:]
    x, y = x[:DIGITS_ROWS], y[:DIGITS_ROWS]
    confused = ((test_y == 4) | (test_y == 9)).nonzero().flatten()[:DIGITS_QUERY_ROWS]
    rows = [torch.arange(DIGITS_QUERY_ROWS), confused, torch.arange(DIGITS_QUERY_ROWS, 2 * DIGITS_QUERY_ROWS)]
    queries = torch.stack([test_x[r] for r in rows])
    targets = torch.stack([torch.stack([torch.full((len(r),), k), test_y[r]], 1) for k, r in enumerate(rows)]).float()

    def fresh() -> nn.Module:
        torch.manual_seed(0)
        return digits_model()

    def measured(model: nn.Module) -> Tensor:
        with torch.no_grad():
            return digits_measure(model(queries), targets).mean(1).double()

    model = fresh()
    initial = {name: p.clone() for name, p in model.state_dict().items()}
    checkpoints = train_digits(model, x, y, torch.ones(DIGITS_ROWS))
    right = float((model(test_x).argmax(1) == test_y).float().mean())
    print("test accuracy", right, "objectives", measured(model).tolist())
    problem = {
        "state": model.state_dict(), "x": x, "y": y, "queries": queries, "targets": targets, "decay": 0.0,
        "checkpoints": checkpoints, "initial": initial, "order": torch.stack(order()),
    }  # fmt: skip
    path, base = WORK / "digits.pt", measured(model)
    before = torch.load(path, weights_only=True) if path.exists() else {"subsets": [], "found": []}
    masks, found = list(before["subsets"]), list(before["found"])
    for number in range(len(masks), subsets):
        keep = torch.randperm(DIGITS_ROWS, generator=torch.Generator().manual_seed(number))[: DIGITS_ROWS // 2]
        w = torch.zeros(DIGITS_ROWS)
        w[keep] = 1
        other = fresh()
        train_digits(other, x, y, w)
        masks.append(w)
        found.append(measured(other) - base)
        torch.save(problem | {"subsets": masks, "found": found}, path)
    torch.save(problem | {"subsets": masks, "found": found}, path)


if __name__ == "__main__":
    torch.set_num_threads(1)
    WORK.mkdir(exist_ok=True)
    if sys.argv[1] != "digits" and not (WORK / f"{sys.argv[1]}.pt").exists():
        {"mixture": mixture, "words": words}[sys.argv[1]]()
    elif sys.argv[1] == "digits":
        digits(DIGITS_SUBSETS if len(sys.argv) < 3 else int(sys.argv[2]))
