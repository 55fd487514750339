"""What a run asks of a torch field: its samples, its start, its size, and what identifies it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import torch
from torch import Tensor, nn

from crossloss.core import FULL_BATCH, Objective, Optimiser, UserError
from crossloss.models.base import Model
from crossloss.models.torch.activations import activations, within
from crossloss.models.torch.data import EpochOrder, GivenOrder, leaves, paths
from crossloss.models.torch.finite import check_finite
from crossloss.models.torch.gradients import Gradients
from crossloss.models.torch.outer import check_objectives
from crossloss.models.torch.steps import Part, RecordedOrder
from crossloss.utils.files import digest, read_table, write_table
from crossloss.utils.memory import Footprint

Show = Callable[[int], Any] | Sequence[Any]
"""What people are shown of a sample: by its number a text, a mapping (a row), or an image."""
SAMPLES = "samples.parquet"
KINKED = {"ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "Hardtanh", "Hardswish", "Hardsigmoid", "Threshold"}
"""Activations whose slope jumps."""
LOOKED_AT = 10
"""Batches that identify an order that is drawn; one that is given is looked at whole."""
DIGITS = 5
"""Significant digits to which two processes must agree that a field is the same."""


def load_show(show: Any, n: int) -> Show | None:
    """A function, or one item a sample: the rows of a table, where one is given."""
    if show is None or callable(show):
        return show  # type: ignore[no-any-return]
    if hasattr(show, "iloc"):
        show = show.to_dict("records")
    elif hasattr(show, "to_pylist"):
        show = show.to_pylist()
    if isinstance(show, str | bytes | Mapping) or not (hasattr(show, "__len__") and hasattr(show, "__getitem__")):
        raise UserError(
            f"show is a {type(show).__name__}: give a list of one item a sample, or a function of its number."
        )
    if len(show) != n:
        raise UserError(f"show has {len(show)} items and the data have {n} samples: give one for each.")
    return show  # type: ignore[no-any-return]


class TorchModel(Gradients, Model):
    """The part of a ``TorchField`` that runs, tables and reports see."""

    kind, sample_noun, data_noun = "torch", "sample", "the field"
    starts: Callable[[int], nn.Module] | None = None
    shown: Show | None = None
    checked: set[str]
    _starts_are_checked = False
    _columns: Mapping[str, Sequence[Any]] | None = None

    def build(self, folder: Path | None = None) -> Self:
        """The field itself; a folder gets what tables show of the samples."""
        if folder is not None and (columns := self.columns()):
            table, path = pa.table({name: pa.array(column) for name, column in columns.items()}), folder / SAMPLES
            if not path.exists() or not read_table(path).equals(table):
                write_table(path, table)
        return self

    def started(self, theta: Tensor) -> Self:
        """The field itself: its view knows no start."""
        return self

    def start(self, seed: int | None = None) -> Tensor:
        """The module's parameters when the field was made, (p,); of ``starts(seed)`` where a seed is given."""
        if seed is None:
            return self.initial
        if self.starts is None:
            raise UserError(
                "This field has one start, its module's parameters: give TorchField(..., starts=lambda seed: a new "
                "module), or pass initial=."
            )
        theta = self._started(seed)
        if not self._starts_are_checked:
            if not _equal(theta, self._started(seed)):
                raise UserError(f"starts gives other parameters each time for seed {seed}: draw all of them from it.")
            if _equal(theta, self._started(seed + 1)):
                raise UserError(
                    f"starts gives the same parameters for the seeds {seed} and {seed + 1}: draw them from its seed, "
                    "such as after torch.manual_seed(seed), or leave starts= out."
                )
            self._starts_are_checked = True
        return theta

    def _started(self, seed: int) -> Tensor:
        """Parameters (p,) of a new ``starts(seed)``."""
        assert self.starts is not None
        layout, module = self.layout, self.starts(seed)
        named = dict(module.named_parameters()) if isinstance(module, nn.Module) else {}
        if {n: named[n].shape for n in layout.names if n in named} != dict(
            zip(layout.names, layout.shapes, strict=True)
        ):
            raise UserError("starts must return a module with the parameters of the field's own.")
        return layout.flat(named).to(layout.initial)

    @property
    def has_starts(self) -> bool:
        """Whether ``starts`` was given."""
        return self.starts is not None

    def identity(self, steps: int = 1, seed: int | None = None) -> dict[str, Any]:
        """Parameters, data, batches and start by hash; the loss, which is code, by what it gives."""
        theta, w = self.initial, torch.ones(self.samples, dtype=torch.float64, device=self.device)
        self.check_start(theta, w)
        data = hashlib.sha256()
        for leaf in leaves(self._rows):
            data.update(f"{leaf.dtype} {tuple(leaf.shape)} {digest(_bytes(leaf))}".encode())
        looked_at = steps if isinstance(self.order, GivenOrder | RecordedOrder) else min(steps, LOOKED_AT)
        batches = hashlib.sha256("".join(_batch(self, t) for t in range(looked_at)).encode())
        shortened = {"drop_last": True} if isinstance(self.order, EpochOrder) and self.order.drops else {}
        return shortened | {
            "model": self.kind,
            "parameters": [list(map(str, self.layout.names)), digest(_bytes(theta))],
            "data": data.hexdigest(),
            "batches": batches.hexdigest(),
            "start": None if seed is None else digest(_bytes(self.start(seed))),
            "dropout_seed": self.dropout_seed,
            "loss": [_rounded(self.loss(theta, w, step)) for step in (0, FULL_BATCH)],
            "gradient": _rounded(float(self.gradient(theta, w, 0).double().norm())),
        }

    def within(self, budget: int) -> Self:
        """The field with pieces (``chunk``) that a budget bears: see ``models.torch.activations``."""
        return within(self, budget)

    def activations(self) -> int:
        """Bytes of the graph of a gradient, and of its derivative, of the largest piece of the first step."""
        fixed, each, rows = activations(self)
        return int(2 * (fixed + each * rows))

    def footprint(self, optimiser: Optimiser | None) -> Footprint:
        """Bytes of states and directions; activations come on top."""
        theta = self.initial
        size = theta.numel() * theta.element_size()
        if optimiser is None:
            return Footprint(0, 2 * size + 8 * self.samples, size, size, size)
        state = {name: entry.nbytes for name, entry in optimiser.init(theta).items()}
        replayed = size + sum(state[name] for name in optimiser.needs if name in state)
        direction = sum(state.values()) + size + 8 * self.samples  # the adjoint's state, and a
        return Footprint(0, direction, sum(state.values()), replayed, size)

    def point(self, theta: Tensor, w: Tensor, step: int) -> str:
        """What a check of the derivatives was of, by hash: parameters, weights and the batch of a step."""
        return f"{digest(_bytes(theta))} {digest(_bytes(w.double()))} {_batch(self, step)}"

    def check_imported(self, theta: Tensor, weights: Tensor) -> None:
        """Refuse losses and parameters that are not finite."""
        check_finite(self, theta, weights, FULL_BATCH)

    def check_objectives(self, field: object, theta: Tensor, objectives: Sequence[Objective]) -> None:
        """Refuse objectives that are not finite, or that call the module from outside."""
        check_objectives(self.outer, self.view, theta, objectives)

    @property
    def batch_size(self) -> int:
        """Rows of the first step."""
        return len(self.batch(0))

    def kinks(self) -> Sequence[str]:
        """Activations and pooling with kinks, by their classes."""
        kinds = {type(module).__name__ for module in self.module.modules()}
        return sorted(kind for kind in kinds if kind in KINKED or kind.startswith(("MaxPool", "AdaptiveMaxPool")))

    def show(self, sample: int) -> Any:
        """What ``show`` gives, else the number."""
        if self.shown is None:
            return super().show(sample)
        return self.shown(sample) if callable(self.shown) else self.shown[sample]

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """What ``show`` gives, where it is texts, or rows of a table; computed once."""
        if self._columns is None:
            self._columns = {}
            if self.shown is not None and isinstance(self.show(0), str | Mapping):
                self._columns = _columns([self.show(i) for i in range(self.samples)])
        return self._columns


def _columns(items: Sequence[Any]) -> Mapping[str, Sequence[Any]]:
    """Texts, or rows, by column; none of anything else."""
    if all(isinstance(item, str) for item in items):
        return {"text": [_encodable(item) for item in items]}
    if not all(isinstance(item, Mapping) for item in items):
        return {}
    names = dict.fromkeys(name for item in items for name in item)
    made = {_encodable(str(name)): [_text(item.get(name)) for item in items] for name in names}
    own = ("sample", "weight")  # what tables of scores have themselves
    return {
        f"row.{name}" if name in own else name: texts
        for name, texts in made.items()
        if all(text is not None for text in texts)  # images are for reports only
    }


def _text(value: Any) -> str | None:
    """A text or a number of a row; None for anything larger."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if value is None:
        return ""
    return _encodable(str(value)) if isinstance(value, str | int | float) else None


def _encodable(text: str) -> str:
    """The text with a question mark for each lone surrogate, which no file holds."""
    return text.encode("utf-8", "replace").decode()


def _batch(field: Gradients, step: int) -> str:
    """The batch of a step by hash: its rows, and what a loop recorded beside them."""
    order = field.order
    if not isinstance(order, RecordedOrder):
        return digest(field.batch(step).cpu().numpy())
    return " ".join(
        digest(part.rows.cpu().numpy()) + "".join(digest(_bytes(tensor)) for tensor in _recorded(part))
        for part in order.parts(step)
    )


def _recorded(part: Part) -> list[Tensor]:
    """What a loop recorded of a micro-batch beside its rows."""
    draws = list(part.draws) if isinstance(part.draws, tuple) else []
    data = [] if part.data is None else sorted(paths(part.data), key=lambda named: str(named[0]))
    return [*(leaf for _, leaf in data), *draws]


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy() if tensor.dim() else tensor.cpu().numpy()


def _equal(a: Tensor, b: Tensor) -> bool:
    """Bit for bit: nan is nan, which is refused by its name later."""
    return digest(_bytes(a)) == digest(_bytes(b))


def _rounded(value: float) -> str:
    return f"{value:.{DIGITS}g}"
