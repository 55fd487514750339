"""Parameter groups: a rule for each part of the parameters."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from crossloss.core import Optimiser, State, UserError, result_of
from crossloss.optimisers.parts import put_, slices, take


@dataclass(frozen=True, eq=False)
class Frozen:
    """Parameters that stay as they are: torch passes over those without a gradient, whatever decay or momentum.

    Examples
    --------
    >>> weight, bias = [(0, 9)], [(9, 12)]
    >>> rule = cl.ParameterGroups([(weight, cl.SGD(lr=0.1)), (bias, cl.Frozen())])
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def init(self, theta: Tensor) -> State:
        """Start at ``theta``."""
        return {"theta": theta}

    def step(self, state: State, g: Tensor, t: int) -> State:
        """Stay."""
        return {"theta": state["theta"]}

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """Nothing of the gradient enters."""
        return bar, torch.zeros_like(bar["theta"])


@dataclass(frozen=True, eq=False)
class ParameterGroups:
    """A rule for each part of the parameters, as ``param_groups`` of ``torch.optim`` have their own settings.

    Each part is stepped by its rule as if it were alone; ``Frozen()`` is the rule of those that are passed over.

    Parameters
    ----------
    parts : sequence of (where, rule)
        ``where``: (start, stop) slices of the flat parameters, in the order in which the rule sees them, or an int64
        tensor of positions. Parameters lie in the order of ``model.named_parameters()``, those trained only.

    Raises
    ------
    UserError
        Slices that are empty or overlap; a parameter in no part or beyond the last one (when the run starts).

    Examples
    --------
    >>> weight, bias = [(0, 9)], [(9, 12)]
    >>> rule = cl.ParameterGroups([(weight, cl.AdamW(lr=0.01)), (bias, cl.AdamW(lr=0.1, weight_decay=0.0))])
    >>> run = cl.train(cl.TorchField(model, loss, data), rule, steps=20)
    """

    parts: Iterable[tuple[Any, Optimiser]]

    def __post_init__(self) -> None:
        parts = tuple((slices(where), rule) for where, rule in self.parts)
        slices([pair for where, _ in parts for pair in where])  # refuses what overlaps, and no parts
        if any(result_of(rule) != "theta" for _, rule in parts):
            raise UserError(
                "Averaged stands around ParameterGroups, not in one of them: cl.Averaged(cl.ParameterGroups(...), ...)."
            )
        object.__setattr__(self, "parts", parts)

    @property
    def needs(self) -> tuple[str, ...]:
        """What the rules need, each under its part's number."""
        names = [name if name == "gradient" else f"{i}.{name}" for i, (_, rule) in self._rules() for name in rule.needs]
        return tuple(dict.fromkeys(names))

    def _rules(self) -> Any:
        return enumerate(self.parts)

    def init(self, theta: Tensor) -> State:
        """Start at ``theta``, each part as its rule starts."""
        pairs = sorted(pair for where, _ in self.parts for pair in where)
        ends = [0, *(stop for _, stop in pairs)]
        gap = next((end for end, (start, _) in zip(ends[:-1], pairs, strict=True) if start != end), None)
        if gap is None and ends[-1] < len(theta):
            gap = ends[-1]
        if gap is not None:
            raise UserError(f"Parameter {gap} is in no group: give it a rule, or cl.Frozen() where it never moves.")
        if ends[-1] > len(theta):
            raise UserError(
                f"The groups reach to {ends[-1]} and there are {len(theta)} parameters: correct the slices."
            )
        state = {"theta": theta}
        for i, (where, rule) in self._rules():
            state |= {f"{i}.{name}": x for name, x in rule.init(take(theta, where)).items() if name != "theta"}
        return state

    def _own(self, state: State, number: int, where: Any) -> State:
        """What part ``number`` has of a state or of its bar."""
        prefix = f"{number}."
        own = {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}
        return own | {name: take(state[name], where) for name in ("theta", "gradient") if name in state}

    def step(self, state: State, g: Tensor, t: int) -> State:
        """One step of every part; the given state is left as it was."""
        after = {"theta": torch.empty_like(state["theta"])}
        for i, (where, rule) in self._rules():
            own = rule.step(self._own(state, i, where), take(g, where), t)
            put_(after["theta"], where, own.pop("theta"))
            after |= {f"{i}.{name}": x for name, x in own.items()}
        return after

    def adjoint(self, state: State, t: int, bar: State) -> tuple[State, Tensor]:
        """The adjoint of every part."""
        back, a = {"theta": torch.empty_like(bar["theta"])}, torch.empty_like(bar["theta"])
        for i, (where, rule) in self._rules():
            own, moved = rule.adjoint(self._own(state, i, where), t, self._own(bar, i, where))
            put_(a, where, moved)
            put_(back["theta"], where, own.pop("theta"))
            back |= {f"{i}.{name}": x for name, x in own.items()}
        return back, a
