"""GGN and EK-FAC of a loss of batches that is the cross entropy of what its model says, by curvlinops.

The field's ``outputs`` gives logits and labels of a batch. Where the loss is sum_b c_b sum_i w_i sum_t l_it, with a
factor c_b of each batch, curvlinops gets a module that gives the logits of the labels that count, and c_b w_i of each.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossloss.core import FULL_BATCH, Curvature, UserError
from crossloss.models.torch.batches import Batches
from crossloss.models.torch.layers import is_conv1d, watched
from crossloss.models.torch.module import gradient_of, pure
from crossloss.models.torch.steps import Part
from crossloss.models.torch.view import ModelView

IGNORED = -100
"""Label of what does not count."""
FEW_CLASSES = 64
"""Classes of one label a row up to which EK-FAC takes the expectation over labels exactly, and not by a draw."""


@dataclass(frozen=True, eq=False)
class Scored:
    """A part of the training loss: places of the labels that count in its logits, the labels, and c_b w_i of each."""

    part: Part
    places: Tensor
    labels: Tensor
    scale: Tensor


class Parts:
    """The training loss of a field as weighted cross entropies; UserError where it is something else."""

    def __init__(self, field: Batches, theta: Tensor, w: Tensor) -> None:
        self.field, self.theta = field, theta
        given = field.parts(FULL_BATCH)
        self.tokens, self.classes = False, 0
        self.scored = [self._scored(part, w.to(theta)) for part in given]
        self._check(given[0])

    def logits(self, view: Any, part: Part) -> tuple[Tensor, Tensor]:
        """All logits (m, C) of a part and their labels (m,)."""
        field = self.field
        assert field.outputs is not None
        module = field.eval_module if part.still else field.module
        with pure(module, part.draws, field.device):
            given = field.outputs(view, field.data_of(part))
        if not isinstance(given, tuple | list) or len(given) != 2 or not all(isinstance(x, Tensor) for x in given):
            raise UserError("outputs must return two tensors, logits (B, ..., C) and labels (B, ...).")
        logits, labels = given
        whole = not (labels.is_floating_point() or labels.is_complex())
        if not whole or logits.shape[:-1] != labels.shape or len(labels) != len(part.rows):
            raise UserError(
                "GGN and EK-FAC of a loss of batches take the cross entropy of logits (B, ..., C) with labels "
                f"(B, ...) of whole numbers, not {tuple(logits.shape)} with {labels.dtype} {tuple(labels.shape)}: use "
                "trak, or jacobian with CG or GMRES."
            )
        self.tokens, self.classes = self.tokens or labels.dim() > 1, logits.shape[-1]
        return logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)

    def _view(self, theta: Tensor) -> ModelView:
        return ModelView(self.field.eval_module, self.field.layout, theta, held=self.theta)

    def _scored(self, part: Part, w: Tensor) -> Scored:
        with torch.no_grad():
            logits, labels = self.logits(self._view(self.theta), part)
            places = (labels != IGNORED).nonzero().flatten()
            total = float(F.cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORED).double())
            ones = torch.ones(len(part.rows), dtype=self.theta.dtype, device=self.theta.device)
            loss = float(self.field.part_loss(self.theta, ones, part, None).double())
        rows = part.rows.repeat_interleave(len(labels) // len(part.rows))[places]
        scale = (loss / total if total > 0 else 0.0) * w[rows]
        if bool((scale < 0).any()):
            raise UserError("GGN and EK-FAC take weights of 0 or more and a loss above 0: use jacobian with GMRES.")
        return Scored(part, places, labels[places], scale)

    def _check(self, part: Part) -> None:
        """Compare the gradient of the loss with that of the cross entropies, at weights that differ."""
        field, rows = self.field, part.rows
        w = torch.linspace(0.5, 1.5, len(rows), dtype=self.theta.dtype, device=self.theta.device)
        every = torch.zeros(field.samples, dtype=w.dtype, device=w.device).index_put((rows,), w)
        scored = self._scored(part, every)
        leaf = self.theta.detach().requires_grad_(True)
        logits = self.logits(self._view(leaf), part)[0][scored.places]
        mine = gradient_of((F.cross_entropy(logits, scored.labels, reduction="none") * scored.scale).sum(), leaf)
        theirs = gradient_of(field.part_loss(leaf, w, part, None), leaf)
        allowed = 3 * torch.finfo(leaf.dtype).eps ** 0.5
        if not bool((mine - theirs).norm() <= allowed * theirs.norm()):
            raise UserError(
                "The loss of this field is not the cross entropy of its outputs=, weighted by sample and times a "
                "factor of the batch, which GGN and EK-FAC take: correct outputs=, or use trak."
            )


def ggn_of(field: Batches, theta: Tensor, w: Tensor, library: Any) -> tuple[nn.Module, Any]:
    """The GGN of all trained parameters: module and operator."""
    parts = Parts(field, theta, w)
    module = _Flat(parts)
    data = [
        (torch.tensor([number]), torch.stack([scored.labels.to(theta), scored.scale], 1))
        for number, scored in enumerate(parts.scored)
        if len(scored.labels)
    ]
    operator = library.GGNLinearOperator(
        module, _Weighted(), [module.theta], data, check_deterministic=False, num_data=len(data)
    )
    return field.eval_module, operator


def ekfac_of(field: Batches, kind: str, theta: Tensor, w: Tensor, library: Any) -> tuple[nn.Module, Any, Tensor]:
    """EK-FAC of the layers that it takes: module, operator, and where their numbers lie in theta, in its order."""
    parts, layers = Parts(field, theta, w), linear_layers(field)
    if not layers:
        raise UserError("No Linear or Conv2d layer is called once with parameters of its own: use ggn or trak.")
    module = _Layers(parts, layers)
    data = [(torch.tensor([number]), scored.labels) for number, scored in enumerate(parts.scored) if len(scored.labels)]
    types = library.FisherType
    exact = types.MC if parts.tokens or parts.classes > FEW_CLASSES else types.TYPE2
    sizes = {number: len(scored.part.rows) for number, scored in enumerate(parts.scored)}
    operator = library.EKFACLinearOperator(
        module, nn.CrossEntropyLoss(reduction="sum"), module.taken, data, check_deterministic=False,
        fisher_type={"ekfac": exact, "ekfac-mc": types.MC, "ekfac-empirical": types.EMPIRICAL}[kind],
        separate_weight_and_bias=False, num_per_example_loss_terms=1, num_data=sum(sizes[int(x)] for x, _ in data),
    )  # fmt: skip
    return module, operator, module.where


def linear_layers(field: Batches) -> dict[str, list[str]]:
    """Names of the layers that EK-FAC takes, with those of their trained parameters.

    Linear, Conv2d and GPT-2's Conv1D layers that a forward pass calls once with its samples first, none of whose
    parameters has another place.
    """
    candidates = {
        name: layer
        for name, layer in field.eval_module.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) or is_conv1d(layer)
    }
    part, theta = field.parts(FULL_BATCH)[0], field.initial
    with torch.no_grad(), watched(candidates, len(part.rows)) as calls:
        field.part_loss(theta, torch.ones(len(part.rows), dtype=theta.dtype, device=theta.device), part, None)
    counts: dict[str, int] = {}
    for call in calls:
        counts[call.layer] = counts.get(call.layer, 0) + (1 if len(call.output) == len(part.rows) else 2)
    owners = list(field.layout.places.values())
    taken: dict[str, list[str]] = {}
    for name in candidates:
        own = {place: owner for place, owner in field.layout.places.items() if place.rpartition(".")[0] == name}
        if counts.get(name) == 1 and own and all(owners.count(owner) == 1 for owner in own.values()):
            taken[name] = list(own)
    return taken


def left_out_of_ekfac(field: Batches) -> list[tuple[str, int]]:
    """Names and sizes of the trained parameters in other layers."""
    inside = {field.layout.places[place] for places in linear_layers(field).values() for place in places}
    sizes = zip(field.layout.names, field.layout.sizes, strict=True)
    return [(name, size) for name, size in sizes if name not in inside]


class Partial(Curvature):
    """A curvature of some parameters as one of all, ``where`` (m,) they lie; zero elsewhere."""

    def __init__(self, theta: Tensor, inner: Curvature, where: Tensor) -> None:
        self.theta, self._inner, self._where = theta, inner, where
        self.part = torch.zeros(len(theta), dtype=torch.bool, device=theta.device).index_fill(0, where, True)

    def product(self, a: Tensor) -> Tensor:
        """The curvature times the rows of ``a``, (k, p)."""
        return self._put(self._inner.product(a[:, self._where]), a)

    def factorise(self, damping: float) -> Any:
        """Rows by its inverse, zero where it is not of the parameter."""
        solve = self._inner.factorise(damping)
        return None if solve is None else lambda b: self._put(solve(b[:, self._where]), b)

    def _put(self, x: Tensor, like: Tensor) -> Tensor:
        return torch.zeros_like(like).index_copy(1, self._where, x)


class _Weighted(nn.Module):
    """Sum of cross entropies, each times its own factor: targets (m, 2) are labels and factors."""

    reduction = "sum"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (F.cross_entropy(logits, targets[:, 0].long(), reduction="none") * targets[:, 1]).sum()


class _Flat(nn.Module):
    """Logits of the labels that count, of a part by its number; theta is the one parameter."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.theta = nn.Parameter(parts.theta.detach().clone())
        self._parts = parts

    def forward(self, number: Tensor) -> Tensor:
        scored = self._parts.scored[int(number)]
        return self._parts.logits(self._parts._view(self.theta), scored.part)[0][scored.places]


class _Layers(nn.Module):
    """The same of a copy of the module, whose slopes by logits are multiplied by the root of each factor."""

    def __init__(self, parts: Parts, layers: Mapping[str, list[str]]) -> None:
        super().__init__()
        field = parts.field
        self.inner = copy.deepcopy(field.eval_module).to(parts.theta.dtype).requires_grad_(False)
        named = dict(self.inner.named_parameters(remove_duplicate=False))
        ends = torch.tensor(field.layout.sizes).cumsum(0).tolist()
        starts = dict(zip(field.layout.names, [0, *ends], strict=False))
        for name, value in field.layout.split(parts.theta.detach()).items():
            named[name].copy_(value)
        self.taken: list[nn.Parameter] = []
        where = []
        for name, places in layers.items():
            layer = self.inner.get_submodule(name)
            turned = _as_linear(self.inner, name, layer) if is_conv1d(layer) else layer
            for place in places:
                own, owner = place.rpartition(".")[2], field.layout.places[place]
                parameter = getattr(turned, own).requires_grad_(True)
                at = torch.arange(starts[owner], starts[owner] + parameter.numel())
                if turned is not layer and own == "weight":
                    at = at.view(parameter.shape[1], parameter.shape[0]).T.reshape(-1)
                self.taken.append(parameter)
                where.append(at)
        self.where = torch.cat(where).to(parts.theta.device)
        self._parts, self._view = parts, _View(self.inner, field.layout.names)

    def forward(self, number: Tensor) -> Tensor:
        scored = self._parts.scored[int(number)]
        logits = self._parts.logits(self._view, scored.part)[0][scored.places]
        scaled: Tensor = _Slopes.apply(logits, scored.scale.sqrt()[:, None])  # type: ignore[no-untyped-call]
        return scaled


def _as_linear(module: nn.Module, name: str, layer: Any) -> nn.Linear:
    """A Linear in the place of GPT-2's Conv1D, whose weight is the other way round."""
    inputs, outputs = layer.weight.shape
    made = nn.Linear(inputs, outputs, dtype=layer.weight.dtype, device=layer.weight.device)
    made.weight = nn.Parameter(layer.weight.detach().T.contiguous(), requires_grad=False)
    made.bias = layer.bias
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, made)
    return made


class _View(Mapping[str, Tensor]):
    """A module as ``outputs`` sees it."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        self._module, self._names = module, names

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._module(*args, **kwargs)

    def __getitem__(self, name: str) -> Tensor:
        raise UserError("For EK-FAC outputs= calls the model, and does not read its parameters: use ggn.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Slopes(torch.autograd.Function):
    """The identity, whose slopes are multiplied by constants."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factors: Tensor) -> Tensor:
        ctx.save_for_backward(factors)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        return slopes[0] * ctx.saved_tensors[0], None
