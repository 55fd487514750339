"""What ``torch.optim`` optimizers were set to at each step of a loop, and the update rule that takes the same steps."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from crossloss.core import Optimiser, UserError
from crossloss.optimisers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ClipNorm,
    ClipValue,
    Frozen,
    Muon,
    NAdam,
    ParameterGroups,
    RMSprop,
)

Slice = tuple[int, int]

ADAM = ("betas", "eps", "weight_decay", "amsgrad")
MUON = ("weight_decay", "momentum", "nesterov", "ns_coefficients", "eps", "ns_steps", "adjust_lr_fn")
KNOWN: Mapping[type, tuple[type, tuple[str, ...]]] = {
    torch.optim.SGD: (SGD, ("momentum", "dampening", "weight_decay", "nesterov")),
    torch.optim.Adam: (Adam, ADAM),
    torch.optim.AdamW: (AdamW, ADAM),
    torch.optim.NAdam: (NAdam, ("betas", "eps", "weight_decay", "momentum_decay", "decoupled_weight_decay")),
    torch.optim.RMSprop: (RMSprop, ("alpha", "eps", "weight_decay", "momentum", "centered")),
    torch.optim.Adagrad: (Adagrad, ("lr_decay", "weight_decay", "initial_accumulator_value", "eps")),
    **({torch.optim.Muon: (Muon, MUON)} if hasattr(torch.optim, "Muon") else {}),
}
"""The update rule of each optimizer that can be recorded, and its settings beside lr."""
REFUSED = ("maximize",)
"""Flags of groups under which a step is another one."""
SCHEDULED = ("lr", "momentum", "betas")
"""Settings that may change from step to step."""


@dataclass(frozen=True)
class Clipping:
    """A call that clips gradients between the backward pass and the step: of which parameters, by what."""

    kind: str
    names: tuple[str, ...]
    limit: float
    norm_type: float = 2.0

    def __str__(self) -> str:
        return f"{self.kind}({self.limit:g})"


Setting = tuple[type, tuple[Any, ...]]
"""A rule and its settings in the order of ``KNOWN``, lr first."""


class Optimizers:
    """The optimizers of a loop, over the trained parameters of its model by name."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], model: nn.Module) -> None:
        self.optimizers = list(optimizers)
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._names = {id(p): name for name, p in self.parameters.items()}
        for optimizer in self.optimizers:
            if type(optimizer) not in KNOWN:
                known = ", ".join(kind.__name__ for kind in KNOWN)
                raise UserError(f"{type(optimizer).__name__} cannot be recorded: use torch.optim.{known}.")
            if any(float(state.get("step", 1)) for state in optimizer.state.values()):  # Adagrad has a state of 0 steps
                raise UserError("The optimizer has stepped before: start the recorder before its first step.")
        own = {id(p) for p in model.parameters()}
        given = [id(p) for group in self._groups() for p in group["params"]]
        if any(p not in own for p in given):
            raise UserError("The optimizer has other parameters too, which are not the model's: give it the model's.")
        if len(set(given)) < len(given):
            raise UserError("Two optimizers have a parameter in common: give each parameter to one.")
        if not any(p in self._names for p in given):
            raise UserError("The optimizer has no trainable parameter of the model: make it of this model.")
        self.groups = self.names()
        self.read()

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def names(self) -> list[list[str]]:
        """Trained parameters of every group, by name."""
        return [[self._names[id(p)] for p in group["params"] if id(p) in self._names] for group in self._groups()]

    def name_of(self, parameter: Tensor) -> str | None:
        """Name of one of the trained parameters."""
        return self._names.get(id(parameter))

    def read(self) -> list[Setting]:
        """The settings of every group as they are now; UserError for those of no rule here."""
        found = []
        for optimizer in self.optimizers:
            rule, names = KNOWN[type(optimizer)]
            for group in optimizer.param_groups:
                for flag in REFUSED:
                    if group.get(flag):
                        raise UserError(f"{type(optimizer).__name__} with {flag} cannot be recorded: leave it out.")
                kind = AdamW if rule is Adam and group.get("decoupled_weight_decay") else rule
                settings = {name: _plain(group[name]) for name in ("lr", *names)}
                found.append((kind, tuple(settings.values())))
                shapes = [p.shape for p in group["params"] if id(p) in self._names]
                if shapes:
                    _made(kind, settings, shapes)  # refuses settings out of range
        return found

    def settings_of(self, rule: type) -> tuple[str, ...]:
        """Names of a rule's settings, lr first."""
        return ("lr", *next(names for kind, names in KNOWN.values() if kind is rule))

    def check_same(self, first: Sequence[Setting], now: Sequence[Setting], step: int) -> None:
        """Refuse settings that changed since the first step, and parameters that changed their group."""
        if self.names() != self.groups:
            raise UserError(
                f"The optimizer's groups changed at step {step}: give it all parameters before the first step."
            )
        for (rule, before), (_, after) in zip(first, now, strict=True):
            for name, a, b in zip(self.settings_of(rule), before, after, strict=True):
                if a != b and name not in SCHEDULED:
                    raise UserError(
                        f"The optimizer's {name} changed at step {step}: only lr, momentum and betas may change."
                    )

    def rule(
        self,
        history: Sequence[Sequence[Setting]],
        moved: Collection[str],
        clipping: Sequence[Clipping],
        places: Mapping[str, Slice],
    ) -> Optimiser:
        """The rule that takes the recorded steps; parameters but those ``moved`` stay."""
        together: dict[tuple[Setting, ...], list[str]] = defaultdict(list)
        for number, names in enumerate(self.groups):
            for name in names:
                if name in moved:
                    together[tuple(step[number] for step in history)].append(name)
        parts: list[tuple[list[Slice], Optimiser]] = []
        for steps, members in together.items():
            ordered = sorted(members, key=places.__getitem__)
            shapes = [self.parameters[name].shape for name in ordered]
            parts.append((_joined([places[name] for name in ordered]), self._one(steps, shapes)))
        still = [place for name, place in places.items() if name not in moved]
        if still:
            parts.append((_joined(still), Frozen()))
        rule: Optimiser = parts[0][1] if len(parts) == 1 else ParameterGroups(parts)
        for clip in reversed(clipping):  # the first to be called is the outermost
            if clip.kind == "clip_grad_value_":
                rule = ClipValue(rule, clip.limit)
            else:
                rule = ClipNorm(rule, clip.limit, clip.norm_type, [places[name] for name in clip.names])
        return rule

    def _one(self, steps: Sequence[Setting], shapes: Sequence[torch.Size]) -> Optimiser:
        """The rule of one group, its settings by step where they change."""
        kind, names = steps[0][0], self.settings_of(steps[0][0])
        by_name = {name: [settings[i] for _, settings in steps] for i, name in enumerate(names)}
        given = {name: _schedule(values) if name == "lr" else _over(values) for name, values in by_name.items()}
        return _made(kind, given, shapes)


def _made(kind: type, settings: Mapping[str, Any], shapes: Sequence[torch.Size]) -> Optimiser:
    """A rule with these settings, for parameters of these shapes."""
    rule: Optimiser = kind(**settings, **({"shapes": [tuple(s) for s in shapes]} if kind is Muon else {}))
    return rule


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_plain(item) for item in value)
    return float(value) if isinstance(value, Tensor) else value


def _schedule(values: Sequence[float]) -> Callable[[int], float]:
    rates = [float(value) for value in values]
    return lambda t: rates[t]


def _over(values: Sequence[Any]) -> Any:
    """The value, or its schedule where it changes; of each of several values by itself."""
    if all(value == values[0] for value in values):
        return values[0]
    if isinstance(values[0], tuple):
        return tuple(_over(column) for column in zip(*values, strict=True))
    return _schedule(values)


def _joined(slices: Sequence[Slice]) -> list[Slice]:
    """The same slices in order, those that touch as one."""
    joined: list[Slice] = []
    for start, stop in sorted(slices):
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], stop
        else:
            joined.append((start, stop))
    return joined
