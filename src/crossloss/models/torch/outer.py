"""What a loss or an objective depends on: the parameters that it is handed, and not the same model from outside."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from crossloss.core import Objective, UserError
from crossloss.models.torch.module import graph


class Outer:
    """The parameters of the user's own module, which the field copies and never trains; held weakly."""

    def __init__(self, model: nn.Module) -> None:
        self._parameters = [(weakref.ref(p), name) for name, p in model.named_parameters() if p.requires_grad]

    def name(self, leaf: Tensor) -> str | None:
        """Name of a tensor among them, or None."""
        return next((name for reference, name in self._parameters if reference() is leaf), None)


def graph_leaves(value: Tensor) -> list[Tensor]:
    """Every tensor without a history that a value is differentiable in."""
    if value.grad_fn is None:
        return [value] if value.requires_grad else []
    variables: list[Any] = [getattr(node, "variable", None) for node in graph(value)]
    return [variable for variable in variables if isinstance(variable, Tensor)]


def refuse_outer(outer: Outer, value: Tensor, what: str) -> list[Tensor]:
    """The leaves of a value; UserError where one is a parameter of the user's own module, which is not trained."""
    leaves = graph_leaves(value)
    for leaf in leaves:
        name = outer.name(leaf)
        if name is not None:
            raise UserError(
                f"{what} calls the model from outside (its {name!r}) and not the one that it is handed, so it does not "
                "depend on the parameters that are trained: use its argument; .detach() what is meant as a constant."
            )
    return leaves


def check_depends(outer: Outer, value: Tensor, handed: Sequence[Tensor], what: str) -> None:
    """Refuse a value that is not differentiable in any of the tensors that it was computed from."""
    leaves = refuse_outer(outer, value, what)
    if not any(leaf is own for leaf in leaves for own in handed):
        raise UserError(
            f"{what} does not depend on the parameters of the model that it is handed, or only through what has no "
            "derivative (argmax, .detach(), .item(), no_grad): compute it from its argument, differentiably."
        )


def check_objectives(
    outer: Outer, view: Callable[[Tensor], Any], theta: Tensor, objectives: Sequence[Objective]
) -> None:
    """Refuse objectives that are no finite number computed from the parameters, or that draw random numbers."""
    families: set[int] = set()
    for objective in objectives:
        family = getattr(objective, "family", None)
        if family is not None:
            if id(family) in families:
                continue
            families.add(id(family))
        leaf = theta.detach().clone().requires_grad_(True)
        before = torch.get_rng_state()
        value = (objective if family is None else family)(view(leaf))
        name = objective.name if family is None else getattr(family, "name", objective.name)
        if not torch.equal(before, torch.get_rng_state()):
            torch.set_rng_state(before)
            raise UserError(f"Objective {name} draws random numbers: draw them once, outside of it.")
        if isinstance(value, Tensor) and value.requires_grad:  # else the estimator says what it must return
            check_depends(outer, value, [leaf], f"Objective {name}")
