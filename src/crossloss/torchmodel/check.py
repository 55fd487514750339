"""The random check of a field before a long run: its pullback is the derivative of its gradient."""

import copy

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.torchmodel.field import TorchField

TRIES = 3
"""Random directions before a field is refused: one alone may cross the kink of a ReLU."""


def check_field(field: TorchField, theta: Tensor, w: Tensor, step: int = 0) -> None:
    """Check a.(g(theta + h v, w + h u) - g(theta - h v, w - h u))/2h = <J^T a, v> + <d<g, a>/dw, u>.

    In float64 whatever the dtype of the field, for random a, v, u, once with u = 0 and once with v = 0. Also
    that half as large chunks give the same gradient. Costs six gradients and one pullback.

    Raises
    ------
    UserError
        They differ: something that depends on the parameters or the weights was detached; or samples of a batch
        are mixed.
    """
    kind, h, tolerance = "float64", 1e-6, 1e-4
    try:
        exact = field if theta.dtype == torch.float64 else field.double()
        exact.gradient(theta.double(), w.double(), step)
    except (RuntimeError, TypeError):  # a sample_loss that holds tensors of the field's own dtype
        exact, kind, h, tolerance = field, str(theta.dtype), 1e-2, 0.2
    theta, w = (t.detach().double() if kind == "float64" else t.detach().to(theta.dtype) for t in (theta, w))
    halves = copy.copy(exact)
    halves.chunk = max(1, len(exact.batch(step)) // 2)
    whole, parts = exact.gradient(theta, w, step), halves.gradient(theta, w, step)
    if not float((whole - parts).norm()) <= 1e3 * torch.finfo(theta.dtype).eps * (float(whole.norm()) + 1):
        raise UserError(
            f"The loss of a sample depends on the other samples of its batch (checked at step {step}): compute what "
            "they share in frozen=, from all samples."
        )
    for attempt in range(TRIES):
        wrong = _compare(exact, theta, w, step, h, tolerance, attempt)
        if wrong is None:
            return
    raise UserError(
        f"The gradient of this field depends on the {wrong} in a way that its derivative does not see (checked at "
        f"step {step}): something is detached; pass what is recomputed but not differentiated as frozen=, "
        "not with .detach()."
    )


def _compare(
    field: TorchField, theta: Tensor, w: Tensor, step: int, h: float, tolerance: float, seed: int
) -> str | None:
    """What the two sides of the check differ in, or None."""
    draw = torch.Generator().manual_seed(seed)
    a, v = (torch.randn(len(theta), generator=draw, dtype=torch.float64).to(theta) for _ in range(2))
    u = torch.randn(len(w), generator=draw, dtype=torch.float64).to(w)
    v = v * (theta.square().mean().sqrt().clamp(min=1e-3))
    into = field.accumulator(1)
    by_theta = field.pullback(theta, w, step, a[None], into)[0] @ v
    by_w = into.samples()[0] @ u.to(into.samples())
    for name, dt, dw, found in (("parameters", v, 0 * u, by_theta), ("sample weights", 0 * v, u, by_w)):
        up, down = (field.gradient(theta + s * h * dt, w + s * h * dw, step) for s in (1, -1))
        change = (up - down) / (2 * h)
        # A random a meets a change with about its norm; rounding of g is what h cannot resolve.
        rounding = torch.finfo(theta.dtype).eps * float(up.norm()) / h
        size = max(float(change.norm()), float(found.abs()))
        if not abs(float(a @ change) - float(found)) <= tolerance * size + 100 * rounding:
            return name
    return None
