"""Rows of training data, and which of them each step sees."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, SequentialSampler, TensorDataset, default_collate

from crossloss.core import UserError
from crossloss.utils.inputs import row_numbers

Rows = Any
"""A tensor, or a tuple or dict of tensors (nested), each with the samples first."""


class Order(Protocol):
    """Which rows each step sees."""

    def __call__(self, step: int) -> Tensor:
        """Rows of the mini-batch of a step, (B,) int64."""

    def epoch(self, n: int) -> int:
        """Steps that see about ``n`` rows, from the first."""


def named_leaves(rows: Rows, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the rows with what it is called: 'x', part 1, the data; UserError for anything else."""
    if isinstance(rows, Tensor):
        yield name or "the data", rows
    elif isinstance(rows, Mapping | tuple | list):
        for key, part in rows.items() if isinstance(rows, Mapping) else enumerate(rows):
            here = repr(key) if isinstance(key, str) else f"part {key}"
            yield from named_leaves(part, f"{name} {here}".strip())
    else:
        raise UserError(f"The data hold a {type(rows).__name__}: pass tensors, or a collate_fn that makes tensors.")


def paths(rows: Rows, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Tensor]]:
    """Every tensor with the names and numbers that lead to it; UserError for names that are no texts."""
    if isinstance(rows, Tensor):
        yield at, rows
        return
    for key, part in rows.items() if isinstance(rows, Mapping) else enumerate(rows):
        if isinstance(rows, Mapping) and not isinstance(key, str):
            raise UserError(f"A recorded batch has the name {key!r}, which is no text: name its tensors by texts.")
        yield from paths(part, (*at, key))


def leaves(rows: Rows) -> list[Tensor]:
    """Every tensor of the rows; UserError for anything else."""
    return [leaf for _, leaf in named_leaves(rows)]


def each(rows: Rows, change: Callable[[Tensor], Tensor]) -> Rows:
    """The same structure with every tensor changed; lists become tuples."""
    if isinstance(rows, Tensor):
        return change(rows)
    if isinstance(rows, Mapping):
        return {name: each(part, change) for name, part in rows.items()}
    return tuple(each(part, change) for part in rows)


def load_rows(data: object, device: torch.device) -> tuple[Rows, int]:
    """All samples of ``data`` on ``device``, a copy, and how many.

    A Dataset or DataLoader is read through its collate function, twice: UserError where something draws at random, or
    for tensors that do not have the samples first, equally many and at least one.
    """
    if isinstance(data, DataLoader):
        data = _read(data.dataset, data.collate_fn if data.batch_sampler is not None else default_collate)
    elif isinstance(data, Dataset):
        data = _read(data, default_collate)
    sizes = {leaf.shape[0] if leaf.dim() else -1 for leaf in leaves(data)}
    if len(sizes) != 1 or min(sizes) < 1:
        raise UserError("Every tensor of the data must have the samples first, equally many and at least one.")
    return each(data, lambda leaf: leaf.detach().to(device, copy=True)), sizes.pop()


def _read(dataset: object, collate: Callable[[list[Any]], Any]) -> Rows:
    """The whole dataset in one batch."""
    before = _drawn()
    try:
        rows = collate(_items(dataset))
        plain = type(dataset) is TensorDataset and collate is default_collate
        again = rows if plain else collate(_items(dataset))
    except (RuntimeError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())[:160]
        raise UserError(
            f"The samples of the dataset do not make one batch ({why}): give a DataLoader whose collate_fn pads them."
        ) from error
    if before != _drawn() or not _same(rows, again):
        raise UserError(
            "The dataset or its collate function draws at random (an augmentation, masked words): read again it gives "
            "other numbers, so no reading is what a model is trained on; draw once, and pass the tensors."
        )
    return rows


def _drawn() -> tuple[Any, ...]:
    """States of the generators that a dataset may draw from."""
    legacy = repr(np.random.get_state(legacy=False))  # noqa: NPY002 - it is what a dataset may draw from
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), legacy


def _same(rows: Rows, again: Rows) -> bool:
    """Whether two readings are the same numbers; one nan is like the other."""
    first, second = leaves(rows), leaves(again)
    return len(first) == len(second) and all(
        a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())
        for a, b in zip(first, second, strict=True)
    )


def _items(dataset: object) -> list[Any]:
    try:
        return [dataset[i] for i in range(len(dataset))]  # type: ignore[index, arg-type]
    except (TypeError, NotImplementedError):
        raise UserError("The dataset has no length or no rows by number: pass a map-style Dataset.") from None


def load_order(
    data: object, n: int, batch_size: int | None, seed: int | None, order: Sequence[Any] | None
) -> Order | None:
    """Which rows each step sees; None where every step sees all. A DataLoader brings its own batch size."""
    drop_last = False
    if isinstance(data, DataLoader) and order is None:
        if batch_size is not None:
            raise UserError("The DataLoader has a batch size: leave batch_size out.")
        if data.batch_size is None or not _each_once(data.sampler, n):
            raise UserError("The order of this DataLoader's sampler is its own: pass its batches as order=.")
        batch_size, drop_last = data.batch_size, data.drop_last
        seed = None if isinstance(data.sampler, SequentialSampler) else seed
        if batch_size >= n and not (drop_last and batch_size > n):
            return None
    if order is not None:
        if batch_size is not None:
            raise UserError("Pass order= or batch_size=, not both.")
        return GivenOrder(order, n)
    if batch_size is None:
        return None
    if isinstance(batch_size, bool) or not isinstance(batch_size, int):
        raise UserError(f"batch_size is {batch_size!r}: it must be a whole number.")
    if not 1 <= batch_size <= n:
        raise UserError(f"batch_size is {batch_size}: it must lie between 1 and the number of samples, {n}.")
    return EpochOrder(n, batch_size, seed, drop_last)


def _each_once(sampler: object, n: int) -> bool:
    """Whether an epoch has all rows once, shuffled or in their own order."""
    if isinstance(sampler, RandomSampler):
        return not sampler.replacement and sampler.num_samples == n
    return isinstance(sampler, SequentialSampler) and len(sampler) == n


class EpochOrder:
    """Each epoch sees all rows once, in an order drawn from (seed, epoch); in their own order where seed is None.

    The last batch of an epoch is what is left, or dropped where ``drop_last``.
    """

    def __init__(self, n: int, batch_size: int, seed: int | None, drop_last: bool = False) -> None:
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self.drops = drop_last and n % batch_size > 0
        self.batches = n // batch_size if drop_last else -(-n // batch_size)
        self._epoch: tuple[int, Tensor] | None = None

    def epoch(self, n: int) -> int:
        """Steps of one epoch."""
        return self.batches

    def __call__(self, step: int) -> Tensor:
        """Rows of the batch of ``step``."""
        epoch, batch = divmod(step, self.batches)
        if self._epoch is None or self._epoch[0] != epoch:
            draw = None if self.seed is None else np.random.default_rng([self.seed, epoch])
            rows = np.arange(self.n) if draw is None else draw.permutation(self.n)
            self._epoch = (epoch, torch.from_numpy(rows))
        return self._epoch[1][batch * self.batch_size : (batch + 1) * self.batch_size]


def batch_rows(rows: Any, n: int, step: int) -> Tensor:
    """Rows of a mini-batch, (B,) int64, a copy; UserError for none, or as ``inputs.row_numbers``."""
    numbers = row_numbers(rows, n, f"The batch of step {step}")
    if not len(numbers):
        raise UserError(f"The batch of step {step} is empty: give the rows that the step sees.")
    return torch.from_numpy(numbers)


class GivenOrder:
    """One list of rows a step, as recorded."""

    def __init__(self, order: Sequence[Any], n: int) -> None:
        if isinstance(order, str | bytes | Mapping | DataLoader) or not isinstance(order, Iterable):
            raise UserError(f"order is a {type(order).__name__}: give a list with the rows of each step, a list each.")
        self._order = [batch_rows(rows, n, step) for step, rows in enumerate(order)]

    def epoch(self, n: int) -> int:
        """Steps until ``n`` rows were seen, or all."""
        seen = np.cumsum([len(rows) for rows in self._order])
        return min(int(np.searchsorted(seen, n)) + 1, len(seen))

    def __call__(self, step: int) -> Tensor:
        """Rows of the batch of ``step``."""
        if step >= len(self._order):
            raise UserError(
                f"The order has {len(self._order)} batches and step {step} needs one more: train fewer steps."
            )
        return self._order[step]
