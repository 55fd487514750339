"""GGN and EK-FAC of a torch module's training loss, by curvlinops (Dangel et al. 2025); the extra ``ekfac``.

``ggn(...)`` and ``ekfac(...)`` give what an inverse-Hessian estimator takes as its curvature: a function of the
final parameters and the sample weights. Regularisers are not in it: give theirs as damping.
"""

import copy
import importlib
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from crossloss.core import Curvature, UserError
from crossloss.models.torch.batches import Batches
from crossloss.models.torch.data import leaves
from crossloss.models.torch.module import twice_differentiable
from crossloss.models.torch.scored import Partial, ekfac_of, ggn_of
from crossloss.models.torch.steps import RecordedOrder
from crossloss.models.torch.view import first_part
from crossloss.utils.extras import needed

KINDS = ("ggn", "ekfac", "ekfac-mc", "ekfac-empirical")
"""EK-FAC of the labels' exact expectation (of a draw where it would be long: ``scored``), of a draw, of the labels."""
LOSSES = (nn.MSELoss, nn.CrossEntropyLoss, nn.BCEWithLogitsLoss)
LAYERS = (nn.Linear, nn.Conv2d)
ROWS_AT_ONCE = 1_024


def ggn(model: nn.Module, loss: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[Tensor, Tensor], "GGN"]:
    """Generalised Gauss-Newton matrix of (1/n) sum_i w_i loss_i, matrix-free (Schraudolph 2002).

    Parameters
    ----------
    model : torch.nn.Module
        Any layers whose vjp has a jvp; its parameters are replaced by the theta that is asked for.
    loss : torch.nn.MSELoss, CrossEntropyLoss or BCEWithLogitsLoss
        With its mean, as the model was trained.
    inputs, targets : tensors of n rows
        The training data.

    Raises
    ------
    UserError
        Another loss; later: weights that differ beyond being 0, or curvlinops is not installed.
    """
    _check_loss(loss)
    return lambda theta, weights: GGN(*_operator("GGNLinearOperator", model, loss, inputs, targets, theta, weights))


def ekfac(
    model: nn.Module, loss: nn.Module, inputs: Tensor, targets: Tensor, *, fisher: str = "type-2"
) -> Callable[[Tensor, Tensor], "EKFAC"]:
    """EK-FAC approximation of the GGN, with an inverse of its own (George et al. 2018; Grosse et al. 2023).

    Weight and bias of a layer together. Parameters as for ``ggn``; every trainable parameter must be of one Linear or
    Conv2d layer. ``fisher``: "type-2", the labels' exact expectation; "mc", one seeded draw; "empirical", the labels.

    Raises
    ------
    UserError
        Another loss, or a layer that EK-FAC does not apply to, by its name; later as ``ggn``.
    """
    _check_loss(loss)
    _check_layers(model)
    return lambda theta, weights: EKFAC(
        *_operator("EKFACLinearOperator", model, loss, inputs, targets, theta, weights, fisher)
    )


def of_field(field: Batches, kind: str, theta: Tensor, w: Tensor) -> Curvature:
    """The curvature of a kind of a field's training loss as a whole.

    Where the field has ``outputs``, of the cross entropy of these; EK-FAC then of the layers that it takes. Else its
    ``sample_loss``, which is any function, is compared on the field's own data with the losses that these are made
    for, in value and in slope, up to a constant factor. UserError for another loss, or what they do not take.
    """
    for what, is_there in {"a regulariser": field.regulariser is not None, "frozen=": field.frozen is not None}.items():
        if is_there:
            raise UserError(f"GGN and EK-FAC do not take a field with {what}: use jacobian with CG or GMRES.")
    if field.outputs is not None:
        if kind == "ggn":
            return GGN(theta, *ggn_of(field, theta, w, _curvlinops()), 1.0)
        module, operator, where = ekfac_of(field, kind, theta, w, _curvlinops())
        return Partial(theta, EKFAC(theta[where], module, operator, 1.0), where)
    if field.sample_loss is None:
        raise UserError(
            "GGN and EK-FAC do not take a field with a loss of the batch as a whole: give TorchField(..., outputs="
            "(model, batch) -> logits and labels) where it is their cross entropy, or use trak, or jacobian with CG."
        )
    refused = {
        "a denominator": field.denominator is not None,
        "recorded data": isinstance(field.order, RecordedOrder) and field.order.holds_data,
        "padding rows": bool(field.padding),
        "a forward= of its own": field.forward is not first_part,
    }
    for what, is_there in refused.items():
        if is_there:
            raise UserError(
                f"GGN and EK-FAC do not take a field with {what}: where its loss is a cross entropy give "
                "TorchField(..., outputs=(model, batch) -> logits and labels), else use jacobian with CG or GMRES."
            )
    inputs: Tensor = first_part(lambda x: x, field.rows)
    with torch.no_grad():
        outputs = torch.cat([field.view(theta)(part) for part in torch.split(inputs, field.chunk)])
    loss, targets, factor = _recognised(field, outputs)
    if kind == "ggn":
        made = ggn(field.eval_module, loss, inputs, targets)(theta, w)
    else:
        fisher = kind.removeprefix("ekfac").removeprefix("-") or "type-2"
        made = ekfac(field.eval_module, loss, inputs, targets, fisher=fisher)(theta, w)
    made.scale *= factor
    return made


def _recognised(field: Batches, outputs: Tensor) -> tuple[nn.Module, Tensor, float]:
    """Which loss the field's own is, its targets, and how many times the loss of a sample it is."""
    rows = field.rows
    sample_loss = field.sample_loss
    assert sample_loss is not None
    mine = _value_and_slope(lambda out: sample_loss(out, rows), outputs)
    precision = math.sqrt(torch.finfo(mine.dtype).eps)
    for kind, y in itertools.product(LOSSES, leaves(rows)):
        targets = y.to(outputs) if y.is_floating_point() else y
        if targets.numel() == outputs.numel():
            targets = targets.view_as(outputs)  # (n,) for one output
        elif kind is not nn.CrossEntropyLoss:
            continue
        try:
            other = _value_and_slope(partial(kind(reduction="none"), target=targets), outputs)
        except (RuntimeError, ValueError, IndexError):
            continue  # of another shape or type
        factor = float(mine @ other) / max(float(other @ other), torch.finfo(other.dtype).tiny)
        if factor > 0 and bool((mine - factor * other).norm() <= precision * mine.norm()):
            return kind(), targets, factor
    raise UserError(
        "The sample_loss of this field is no multiple of MSELoss, CrossEntropyLoss or BCEWithLogitsLoss on one of its "
        "tensors, which GGN and EK-FAC take: use jacobian with CG or GMRES."
    )


def _value_and_slope(loss: Callable[[Tensor], Tensor], outputs: Tensor) -> Tensor:
    """The loss of each sample (its mean where there are several numbers) and its slope by the outputs, in one row."""
    out = outputs.detach().requires_grad_(True)
    losses = loss(out)
    losses = losses.flatten(1).mean(1) if losses.dim() > 1 else losses
    (slope,) = torch.autograd.grad(losses.sum(), out)
    return torch.cat([losses.detach(), slope.reshape(-1)])


class GGN(Curvature):
    """A curvlinops operator as a curvature, times ``scale``."""

    def __init__(self, theta: Tensor, module: nn.Module, operator: Any, scale: float) -> None:
        self.theta, self.module, self.operator, self.scale = theta, module, operator, scale

    def product(self, a: Tensor) -> Tensor:
        """The curvature times the rows of ``a``, (k, p)."""
        with twice_differentiable(self.module):  # torch's fused kernels have no derivative forward
            return _rows(self.operator, a).mul_(self.scale)


class EKFAC(GGN):
    """EK-FAC, which has an inverse in its eigenbasis."""

    def factorise(self, damping: float) -> Callable[[Tensor], Tensor]:
        """Rows by (EK-FAC + damping)^-1; UserError of the result where that is singular, as by a unit always off."""
        inverse = _curvlinops().KFACInverseLinearOperator(
            self.operator, damping=damping / self.scale, use_exact_damping=True
        )

        def solve(b: Tensor) -> Tensor:
            x = _rows(inverse, b).div_(self.scale)
            wrong = torch.add(self.product(x), x, alpha=damping).sub_(b).norm()
            if not bool(wrong <= 1e-2 * b.norm()):
                raise UserError(
                    f"EK-FAC with damping {damping:g} is singular to the precision of {b.dtype}: damp it more."
                )
            return x

        return solve


def _rows(operator: Any, a: Tensor) -> Tensor:
    product: Tensor = operator @ a.T.contiguous()
    return product.T.contiguous()


def _curvlinops() -> Any:
    with needed("ekfac", "A curvature of kind ggn or ekfac"):
        return importlib.import_module("curvlinops")


def _operator(
    kind: str,
    model: nn.Module,
    loss: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    theta: Tensor,
    weights: Tensor,
    fisher: str = "type-2",
) -> tuple[Tensor, nn.Module, Any, float]:
    """Theta, the module there, an operator on the samples of positive weight, and the scale of it by n and w."""
    library, n = _curvlinops(), len(inputs)
    rows = (weights > 0).nonzero().flatten().to(inputs.device)
    if len(weights) != n or not len(rows) or not bool((weights[weights > 0] == weights.max()).all()):
        raise UserError(f"GGN and EK-FAC take one weight for all of the {n} samples, or 0: use jacobian for others.")
    module = copy.deepcopy(model).to(theta.dtype)
    parameters = [p for p in module.parameters() if p.requires_grad]
    if sum(p.numel() for p in parameters) != len(theta):
        raise UserError(f"The model does not have {len(theta)} trainable parameters: pass the model that was trained.")
    nn.utils.vector_to_parameters(theta.detach(), parameters)
    x = inputs.to(theta.dtype) if inputs.is_floating_point() else inputs
    y = targets.to(theta.dtype) if targets.is_floating_point() else targets
    data = [(x[part], y[part]) for part in torch.split(rows, ROWS_AT_ONCE)]
    settings: dict[str, Any] = {"check_deterministic": False}
    if kind == "EKFACLinearOperator":
        settings |= {"fisher_type": library.FisherType(fisher), "separate_weight_and_bias": False}
    operator = getattr(library, kind)(module, copy.deepcopy(loss), parameters, data, **settings)
    return theta, module, operator, float(weights.max()) * len(rows) / n


def _check_loss(loss: nn.Module) -> None:
    if not isinstance(loss, LOSSES) or getattr(loss, "reduction", None) != "mean":
        raise UserError(
            f"GGN and EK-FAC take MSELoss, CrossEntropyLoss or BCEWithLogitsLoss with its mean, not {loss}: use "
            "jacobian with CG or GMRES."
        )


def _check_layers(model: nn.Module) -> None:
    owners: dict[int, str] = {}
    for name, layer in model.named_modules():
        for parameter in layer.parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if not isinstance(layer, LAYERS):
                raise UserError(
                    f"EK-FAC takes Linear and Conv2d layers only, and {name or 'the model itself'} is "
                    f"{type(layer).__name__}: use ggn, or jacobian with CG or GMRES."
                )
            if id(parameter) in owners:
                raise UserError(
                    f"EK-FAC takes each parameter once, and {name} shares one with {owners[id(parameter)]}: use ggn, "
                    "or jacobian with CG or GMRES."
                )
            owners[id(parameter)] = name
