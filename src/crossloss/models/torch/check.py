"""The random check of a field before a long run: its pullback is the derivative of its gradient."""

import copy
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from crossloss.core import Linearisation, UserError
from crossloss.models.torch.finite import check_finite
from crossloss.models.torch.model import TorchModel
from crossloss.models.torch.outer import check_depends, graph_leaves, refuse_outer
from crossloss.utils import distributed

TRIES, ENOUGH = 5, 2
"""Random directions, of which most must agree: one alone may cross the kink of a ReLU. So many without another are
enough: no wrong derivative agrees by chance to ``TOLERANCE``."""
ROWS, FEW, WORK = 256, 2, 1_000_000
"""Rows of the batch that are checked: fewer, to ``FEW``, where rows times parameters would be above ``WORK``."""
SPAN = 1e-8
"""Half the width of a difference, in sizes of theta: so narrow that few kinks lie in it."""
LOSS_SPAN = 1e-5
"""The same for differences of the loss, whose rounding is divided by it."""
TOLERANCE = 1e-4
"""How far the two sides may be apart, relative to the change of the gradient."""
LARGE, LARGE_SPAN, LARGE_TOLERANCE = 10_000_000, 1e-2, 0.05
"""Parameters beyond which float32 is not widened, and what its differences resolve."""
PARAMETERS = "parameters"


class Float64Mode(TorchFunctionMode):
    """Takes float32 for float64 in every call: constants that a loss holds, and its own conversions."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func`` with everything widened."""
        func = torch.Tensor.double if func is torch.Tensor.float else func
        return func(*tree_map(_widen, args), **tree_map(_widen, kwargs or {}))


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.double()
    return torch.float64 if value is torch.float32 else value


def check_field(field: TorchModel, theta: Tensor, w: Tensor, step: int = 0) -> None:
    """Check the derivatives of a field against central differences.

    The check is a.(g(theta + h v, w + h u) - g(theta - h v, w - h u))/2h = <J^T a, v> + <d<g, a>/dw, u>.

    For random a, v, u, once with u = 0 and once with v = 0, on at most 256 rows of the batch of ``step`` (2 of a large
    model), in float64 whatever the dtype of the field; beyond ten million parameters in its own, to 5 % instead of
    1e-4. Also that half as large chunks give the same gradient. What was found right is not checked again.

    Parameters
    ----------
    field : TorchField
    theta : (p,) tensor
        Parameters to check it at.
    w : (n,) tensor
        Sample weights.
    step : int
        Training step whose batch is taken.

    Raises
    ------
    UserError
        They differ: something that depends on the parameters or the weights was detached; or samples of a batch
        are mixed. Losses or parameters that are not finite; something that is computed from another model than the one
        that is handed over.

    Examples
    --------
    >>> field = cl.TorchField(model, loss, data)
    >>> run = cl.train(field, cl.SGD(lr=0.1), steps=20)
    >>> cl.check_field(field, run.theta, torch.ones(60))
    """
    dealt = distributed.count() > 1 or any(part.within is not None for part in field.parts(step))
    if (known := f"{field.point(theta, w, step)} {dealt}") in field.checked:
        return
    check_finite(field, theta, w, step)
    _check_at(field, theta, w, step, dealt)
    field.checked.add(known)


def _check_at(field: TorchModel, theta: Tensor, w: Tensor, step: int, dealt: bool) -> None:
    part = field.some_of(step, max(FEW, min(ROWS, WORK // len(theta))))
    _check_dependence(field.some_of(step, 2), theta, w)
    part.gradient(theta, w, 0)  # what is wrong with the model itself is reported in its own dtype
    if theta.dtype == torch.float64 or len(theta) > LARGE:
        _check(part, theta.detach(), w.detach().double(), dealt)
        return
    with Float64Mode():
        _check(part.double(), theta.detach().double(), w.detach().double(), dealt)


def _check(exact: TorchModel, theta: Tensor, w: Tensor, dealt: bool) -> None:
    _check_chunks(exact, theta, w, dealt)
    at, wrong = exact.at(theta, w, 0), []
    for seed in range(TRIES):
        if (name := _compare(exact, at, theta, w, seed)) is not None:
            wrong.append(name)
        right = seed + 1 - len(wrong)
        if 2 * right > TRIES or (right == ENOUGH and not wrong):
            return
        if 2 * len(wrong) > TRIES:
            break
    if wrong[0] == PARAMETERS and _is_gradient(exact, theta, w):
        raise UserError(
            "The gradient of this model is right and the derivative of that gradient is not: an operator of it has "
            "a wrong second derivative in this version of torch; write that layer with other operators."
        )
    raise UserError(
        f"The gradient of this field depends on the {wrong[0]} in a way that its derivative does not see: "
        "something is detached; pass what is recomputed but not differentiated as frozen=, not with .detach()."
    )


def _draws(seed: int, *like: Tensor) -> list[Tensor]:
    """Standard normal tensors of these shapes, dtypes and devices."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(x.shape, generator=draw, dtype=torch.float64).to(x) for x in like]


def _size(theta: Tensor) -> Tensor:
    return theta.square().mean().sqrt().clamp(min=1e-3)


def _is_gradient(field: TorchModel, theta: Tensor, w: Tensor) -> bool:
    """Whether the gradient is that of the loss, by differences of the loss: not with ``frozen``, which is constant."""
    if field.frozen is not None:
        return False
    (v,) = _draws(0, theta)
    v = v * _size(theta)

    def loss(moved: Tensor) -> float:
        with torch.no_grad():
            held = theta.detach()  # padding rows, which the gradient leaves alone
            value = sum(float(field.part_loss(moved, w.to(moved)[p.rows], p, None, held)) for p in field.parts(0))
            return value + (float(field.penalty(moved)) if field.regulariser else 0.0)

    up, down = (loss(theta + sign * LOSS_SPAN * v) for sign in (1, -1))
    change, slope = (up - down) / (2 * LOSS_SPAN), float(field.gradient(theta, w, 0) @ v)
    return abs(change - slope) <= TOLERANCE * max(abs(change), abs(slope))


def _check_dependence(field: TorchModel, theta: Tensor, w: Tensor) -> None:
    """Refuse losses, regularisers and ``frozen`` that are not computed from the model that they are handed."""
    y, u = theta.detach().clone().requires_grad_(True), w.detach().to(theta).clone().requires_grad_(True)
    target = None
    if field.frozen is not None:
        made = field.frozen_target(y, u)
        assert made is not None
        if not any(leaf is own for leaf in refuse_outer(field.outer, made, "frozen=") for own in (y, u)):
            _refuse_constant(field, theta, w, made)
        target = made.detach().requires_grad_(made.is_floating_point())
    part = field.parts(0)[0]
    if field.sample_loss is not None:
        check_depends(field.outer, field.losses(y, part, target).sum(), [y], "sample_loss")
    else:
        value = field.loss_of(y, u[part.rows], part, target)
        check_depends(field.outer, value, [y], "loss")
        if not any(leaf is u for leaf in graph_leaves(value)):
            raise UserError(
                "loss does not depend on the weights w of the samples that it is handed: multiply each sample's own "
                "terms by its weight, as cl.losses.token_mean does."
            )
    if field.regulariser is not None:
        check_depends(field.outer, field.penalty(y), [y], "regulariser")


def _refuse_constant(field: TorchModel, theta: Tensor, w: Tensor, made: Tensor) -> None:
    """Refuse a ``frozen`` that is the same whatever it is handed; one that is not was detached: see ``_compare``."""
    other_theta, other_w = (
        x + 0.1 * (1 + x.abs()) * noise for x, noise in zip((theta, w), _draws(0, theta, w), strict=True)
    )
    with torch.no_grad():
        other = field.frozen_target(other_theta, other_w.to(theta))
    if other is not None and torch.equal(other, made):
        raise UserError(
            "frozen= does not depend on the parameters of the model that it is handed, nor on the weights: compute it "
            "from its arguments, and put what is constant into the data."
        )


def _check_chunks(field: TorchModel, theta: Tensor, w: Tensor, dealt: bool) -> None:
    """Refuse losses that depend on which samples are evaluated together, where they are to be a sum over samples.

    Those with random numbers are ``dealt`` in pieces only where they must be.
    """
    if field.couples or (any(part.draws is not None for part in field.parts(0)) and not dealt):
        return
    halves = copy.copy(field)
    halves.chunk = max(1, max(len(part.rows) for part in field.parts(0)) // 2)
    whole, parts, one = (f.gradient(theta, w, 0) for f in (field, halves, field.some_of(0, 1)))
    size = float(whole.norm() + one.norm())
    if not float((whole - parts).norm()) <= 1e3 * torch.finfo(theta.dtype).eps * size:
        raise UserError(
            "The loss of a sample depends on the other samples of its batch: give the loss of the batch, "
            "loss=lambda model, batch, w: ... with the weights inside, or compute what is shared in frozen=."
            if all(part.draws is None for part in field.parts(0))
            else "The loss of a sample depends on which samples are evaluated with it, or its random numbers do: draw "
            "them samples first, and take one process."
        )


def _moved(x: Tensor, along: Tensor | None, by: float) -> Tensor:
    return x if along is None else torch.add(x, along, alpha=by)


def _compare(field: TorchModel, at: Linearisation, theta: Tensor, w: Tensor, seed: int) -> str | None:
    """What the two sides of the check differ in, or None."""
    a, v, u = _draws(seed, theta, theta, w)
    wide = theta.dtype != torch.float64
    span, tolerance = (LARGE_SPAN, LARGE_TOLERANCE) if wide else (SPAN, TOLERANCE)
    v, into = v * _size(theta), field.accumulator(1)
    by_theta = at.pullback(a[None], into)[0] @ v
    by_w = into.samples()[0] @ u.to(into.samples())
    for name, dt, dw, derivative in ((PARAMETERS, v, None, by_theta), ("sample weights", None, u, by_w)):
        up, down = (field.gradient(_moved(theta, dt, s), _moved(w, dw, s), 0) for s in (span, -span))
        # A random a meets a change with about its norm; rounding of g is what the span cannot resolve.
        rounding = torch.finfo(theta.dtype).eps * float(up.norm()) / span
        change = up.sub_(down).div_(2 * span)
        del down
        size = max(float(change.norm()), float(derivative.abs()))
        if not abs(float(a @ change) - float(derivative)) <= tolerance * size + 100 * rounding:
            return name
    return None
