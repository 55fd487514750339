"""Names and shapes in one flat theta, and the module called with them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from crossloss.core import Absent, UserError
from crossloss.models.torch.data import Rows
from crossloss.models.torch.module import twice_differentiable


class Layout:
    """Where each trainable parameter of a module lies in theta, by ``names``; tied ones lie there once.

    ``owner`` leads from every name of a trainable parameter to the one of ``names``; ``fixed`` are not trained.
    ``padding`` are the rows of trained embeddings that torch's backward of that embedding leaves alone.
    """

    def __init__(self, module: nn.Module, padding: Sequence[tuple[str, int]] = ()) -> None:
        trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
        if not trainable:
            raise UserError("The model has no trainable parameter: set requires_grad on those to be trained.")
        if len({(p.dtype, p.device) for p in trainable.values()}) > 1:
            raise UserError("The model's trainable parameters must share one dtype and one device.")
        by_id = {id(p): name for name, p in trainable.items()}
        every = dict(module.named_parameters(remove_duplicate=False))
        self.names, self.shapes = list(trainable), [p.shape for p in trainable.values()]
        self.sizes = [p.numel() for p in trainable.values()]
        self.owner = {name: by_id[id(p)] for name, p in every.items() if id(p) in by_id}
        self.fixed = {name: p.detach() for name, p in every.items() if id(p) not in by_id}
        self.initial = self.flat(trainable)
        # Each attribute of a layer once, under one name, also where a layer or a parameter has several.
        self.places = {
            f"{prefix}.{name}".lstrip("."): by_id[id(p)]
            for prefix, layer in module.named_modules()
            for name, p in layer._parameters.items()
            if id(p) in by_id
        }
        self.padding = [(name, row) for name, row in padding if name in self.places]

    def flat(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """A new theta (p,) from parameters by name."""
        return torch.cat([parameters[name].detach().reshape(-1) for name in self.names])

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """Views of theta by name, in the shape of the parameters."""
        parts = torch.split(theta, self.sizes)
        return {name: part.view(s) for name, part, s in zip(self.names, parts, self.shapes, strict=True)}


class ModelView(Mapping[str, Tensor]):
    """What objectives, regularisers and ``frozen`` see of theta: parameters by name, and the module itself.

    ``view["0.weight"]`` is a parameter (tied and frozen ones too); iterating gives the trainable ones, each once;
    ``view(x)`` calls the module with them. All of it is differentiable in theta; ``twice`` chooses kernels that are
    so twice. With ``held`` (p,), embeddings read their padding row there and not in theta, as torch does not
    differentiate what an embedding reads of it, though the value is the parameter's.
    """

    def __init__(
        self, module: nn.Module, layout: Layout, theta: Tensor, twice: bool = True, held: Tensor | None = None
    ) -> None:
        self._module, self._layout, self._parameters = module, layout, layout.split(theta)
        self._twice = twice
        self._held = {} if held is None or not layout.padding else layout.split(held)

    def __getitem__(self, name: str) -> Tensor:
        """A parameter by its name in the module; Absent (a UserError and KeyError) where there is none."""
        owner = self._layout.owner.get(name)
        if owner is None and name not in self._layout.fixed:
            known = ", ".join([*self._layout.owner, *self._layout.fixed])
            raise Absent(f"The model has no parameter {name!r}; it has: {known}.")
        return self._layout.fixed[name].clone() if owner is None else self._parameters[owner]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Outputs of the module at these parameters."""
        layout = self._layout
        used = {name: self._parameters[owner] for name, owner in layout.places.items()}
        for name, row in layout.padding if self._held else ():
            here = torch.arange(len(used[name]), device=used[name].device)[:, None] == row
            used[name] = torch.where(here, self._held[layout.places[name]], used[name])
        with twice_differentiable(self._module) if self._twice else nullcontext():
            return torch.func.functional_call(self._module, used, args, kwargs, tie_weights=False)


def first_part(model: Callable[[Any], Any], batch: Rows) -> Any:
    """Call the model with the batch, with its first part, or with its "x"."""
    if isinstance(batch, Tensor):
        return model(batch)
    if isinstance(batch, dict):
        if "x" not in batch:
            names = ", ".join(sorted(batch))
            raise UserError(f'The data have no "x" but {names}: pass forward=lambda model, batch: model(batch[...]).')
        return model(batch["x"])
    return model(batch[0])
