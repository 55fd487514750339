"""Any Python function of the parameters as an objective, and one function of many rows as an objective a row."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from crossloss.core import Absent, Objective, UserError
from crossloss.objectives.algebra import BaseObjective


@dataclass(frozen=True)
class Function(BaseObjective):
    """A function that gets what ``Field.view`` shows, and returns a real tensor of one element computed from it.

    ``texts`` are those whose likelihood raises it, ``against`` those that lower it, as a held-out loss is: what samples
    are compared with by the baselines bm25 and embedding-cosine, and by nothing else.

    Examples
    --------
    >>> length = cl.objectives.Function("length", lambda view: view.vectors[view.index["he"]].norm())
    >>> scores = cl.score(run, [length])
    """

    name: str
    function: Callable[[Any], Tensor]
    texts: Sequence[str] = field(default=(), kw_only=True)
    against: Sequence[str] = field(default=(), kw_only=True)

    quantity = "value of a function"
    meaning = "Positive or negative as the function {0.name} returns it, in the function's own unit."

    def check(self) -> None:
        """Refuse texts that are no lists of strings."""
        for name, given in (("texts", self.texts), ("against", self.against)):
            if isinstance(given, str) or not all(isinstance(text, str) for text in given):
                raise UserError(f"{name} of {self.name} must be a list of strings.")
            object.__setattr__(self, name, tuple(given))

    def __call__(self, view: Any) -> Tensor:
        """Value, shape (); UserError where it is not one finite real number, or asks for a word that is not there."""
        with _lookups(self.name):
            value = self.function(view)
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.is_floating_point():
            raise UserError(f"Objective {self.name} must return a torch tensor of one real number (a float).")
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"Objective {self.name} is {value.item()} at this model: it must be finite.")
        return value.reshape(())


@contextmanager
def _lookups(name: str) -> Iterator[None]:
    """Say in a sentence that a user's function looks up what is not there."""
    try:
        yield
    except Absent as error:
        raise UserError(f"Objective {name}: {error}") from error
    except KeyError as error:
        raise UserError(f"Objective {name} asks for {error.args[0]!r}, which is not there: name another.") from error
    except ValueError as error:
        if "is not in " not in str(error):  # as of list.index
            raise
        raise UserError(f"Objective {name} asks for what is not there ({error}): name another.") from error


@dataclass(frozen=True, eq=False)
class Rowwise:
    """An objective for each row of some tensors, by one function of the view and any rows (a ``core.Family``)."""

    name: str
    function: Callable[..., Tensor]
    rows: tuple[Tensor, ...]

    def __call__(self, view: Any) -> Tensor:
        """Values of all rows, (m,); UserError where one is no finite real number, or depends on other rows.

        Scores take the derivative of one row by itself, which would be that of another function.
        """
        values = self._values(view, self.rows)
        m, precision = len(values), torch.finfo(values.dtype).eps ** 0.5
        with torch.no_grad():
            for place in (slice(0, 1), slice(m - 1, m), slice(0, (m + 1) // 2), torch.arange(m - 1, -1, -1)):
                try:
                    alone = self._values(view, [rows[place] for rows in self.rows])
                except (RuntimeError, IndexError, ValueError) as error:
                    raise UserError(f"{self.name} must take any of the rows, and not only all of them.") from error
                # A product of matrices sums in another order where there are other rows.
                size = float(values.detach().abs().max()) + 1e-3
                if not float((alone - values[place]).abs().max()) <= precision * size:
                    raise UserError(
                        f"The number that {self.name} returns for a row depends on the other rows: give each() a "
                        "function of one row, and what is computed from all of them as a function of its own."
                    )
        return values

    def _values(self, view: Any, rows: Sequence[Tensor]) -> Tensor:
        with _lookups(self.name):
            values = self.function(view, *rows)
        if not isinstance(values, torch.Tensor) or values.shape != rows[0].shape[:1]:
            raise UserError(f"{self.name} must return one number a row, a tensor of shape ({len(rows[0])},).")
        if not values.is_floating_point() or not bool(torch.isfinite(values).all()):
            raise UserError(f"{self.name} must return real numbers (floats) that are finite at this model.")
        return values

    def one(self, view: Any, index: Tensor) -> Tensor:
        """Value of one row, shape ()."""
        return self.function(view, *(part.index_select(0, index.reshape(1)) for part in self.rows)).reshape(())


@dataclass(frozen=True)
class Row:
    """One objective of a family of rows."""

    name: str
    family: Rowwise
    index: int

    def __call__(self, view: Any) -> Tensor:
        """Its value, shape ()."""
        return self.family.one(view, torch.tensor(self.index, device=self.family.rows[0].device))


def each(function: Callable[..., Tensor], *rows: Tensor) -> list[Objective]:
    """Objectives NAME.0, NAME.1, ...: one for each row, such as the loss of each held-out sample.

    Computed and differentiated together, in a fraction of the time that as many functions take.

    Parameters
    ----------
    function : callable
        (view, *rows) -> (m,), one number for each of the m rows that it is given, and by that row alone.
    rows : tensors
        m rows each; UserError for none, or not equally many.

    Examples
    --------
    >>> run = cl.train(cl.TorchField(model, loss, data), cl.SGD(lr=0.1), steps=20)
    >>> losses = cl.objectives.each(lambda m, x, y: F.cross_entropy(m(x), y, reduction="none"), x[:5], y[:5])
    >>> cl.score(run, losses).samples.shape
    (5, 60)
    """
    if not rows or not all(isinstance(part, Tensor) and part.dim() and len(part) == len(rows[0]) > 0 for part in rows):
        raise UserError("each() takes tensors with equally many rows, at least one: an objective for each row.")
    family = Rowwise(_name(function), function, tuple(part.detach().clone() for part in rows))
    return [Row(f"{family.name}.{i}", family, i) for i in range(len(rows[0]))]


def as_objective(given: Objective | Callable[[Any], Tensor]) -> Objective:
    """Return an objective as it is; wrap a plain function under its own name; UserError for anything else.

    Examples
    --------
    >>> length = cl.objectives.as_objective(lambda view: view.vectors[view.index["he"]].norm())
    >>> print(float(length(run.view)))
    """
    if isinstance(given, (Function, Row, Objective)):  # in this order: the protocol's check is slow
        return given
    if not callable(given):
        raise UserError(f"{given!r} is no objective: pass cl.objectives.weat(NAME) or a function.")
    return Function(_name(given), given)


def _name(function: Callable[[Any], Tensor]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "objective" if name == "<lambda>" else name
