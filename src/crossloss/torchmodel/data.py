"""Rows of training data, and which of them each step sees."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, SequentialSampler, default_collate

from crossloss.core import UserError

Rows = Any
"""A tensor, or a tuple or dict of tensors (nested), each with the samples first."""

Order = Callable[[int], Tensor]
"""Rows of the mini-batch of a step, (B,) int64."""


def leaves(rows: Rows) -> Iterator[Tensor]:
    """Every tensor of the rows."""
    if isinstance(rows, Tensor):
        yield rows
    elif isinstance(rows, Mapping):
        for part in rows.values():
            yield from leaves(part)
    elif isinstance(rows, (tuple, list)):
        for part in rows:
            yield from leaves(part)
    else:
        raise UserError(f"The data hold a {type(rows).__name__}: pass tensors, or a collate_fn that makes tensors.")


def each(rows: Rows, change: Callable[[Tensor], Tensor]) -> Rows:
    """The same structure with every tensor changed; lists become tuples."""
    if isinstance(rows, Tensor):
        return change(rows)
    if isinstance(rows, Mapping):
        return {name: each(part, change) for name, part in rows.items()}
    return tuple(each(part, change) for part in rows)


def load_rows(data: object, device: torch.device) -> tuple[Rows, int]:
    """All samples of ``data`` on ``device``, and how many.

    A Dataset or DataLoader is read once, through its collate function, so that what it draws at random (an
    augmentation) is drawn once and stays.

    Raises
    ------
    UserError
        Not tensors with the samples first, all equally many and at least one.
    """
    if isinstance(data, DataLoader):
        collate = data.collate_fn if data.batch_sampler is not None else default_collate
        data = collate(_items(data.dataset))
    elif isinstance(data, Dataset):
        data = default_collate(_items(data))
    sizes = {leaf.shape[0] if leaf.dim() else -1 for leaf in leaves(data)}
    if len(sizes) != 1 or min(sizes) < 1:
        raise UserError("Every tensor of the data must have the samples first, equally many and at least one.")
    return each(data, lambda leaf: leaf.detach().to(device)), sizes.pop()


def _items(dataset: object) -> list[Any]:
    try:
        return [dataset[i] for i in range(len(dataset))]  # type: ignore[index, arg-type]
    except (TypeError, NotImplementedError):
        raise UserError("The dataset has no length or no rows by number: pass a map-style Dataset.") from None


def load_order(
    data: object, n: int, batch_size: int | None, seed: int | None, order: Sequence[Any] | None
) -> Order | None:
    """Which rows each step sees; None where every step sees all. A DataLoader brings its own batch size.

    Raises
    ------
    UserError
        Two of them at once, rows that are not there, a batch size out of range, or a sampler of an unknown order.
    """
    drop_last = False
    if isinstance(data, DataLoader) and order is None:
        if batch_size is not None:
            raise UserError("The DataLoader has a batch size: leave batch_size out.")
        if data.batch_size is None or not isinstance(data.sampler, (RandomSampler, SequentialSampler)):
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
    if not 1 <= batch_size <= n:
        raise UserError(f"batch_size is {batch_size}: it must lie between 1 and the number of samples, {n}.")
    return EpochOrder(n, batch_size, seed, drop_last)


class EpochOrder:
    """Each epoch sees all rows once, in an order drawn from (seed, epoch); in their own order where seed is None.

    The last batch of an epoch is what is left, or dropped where ``drop_last``.
    """

    def __init__(self, n: int, batch_size: int, seed: int | None, drop_last: bool = False) -> None:
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self.batches = n // batch_size if drop_last else -(-n // batch_size)
        self._epoch: tuple[int, Tensor] | None = None

    def __call__(self, step: int) -> Tensor:
        """Rows of the batch of ``step``."""
        epoch, batch = divmod(step, self.batches)
        if self._epoch is None or self._epoch[0] != epoch:
            rows = (
                np.arange(self.n)
                if self.seed is None
                else np.random.default_rng([self.seed, epoch]).permutation(self.n)
            )
            self._epoch = (epoch, torch.from_numpy(rows))
        return self._epoch[1][batch * self.batch_size : (batch + 1) * self.batch_size]


class GivenOrder:
    """One list of rows a step, as recorded."""

    def __init__(self, order: Sequence[Any], n: int) -> None:
        self._order = [torch.as_tensor(rows, dtype=torch.int64).reshape(-1) for rows in order]
        for step, rows in enumerate(self._order):
            if rows.numel() == 0 or int(rows.min()) < 0 or int(rows.max()) >= n:
                raise UserError(f"The batch of step {step} names rows that are not there: they are 0 to {n - 1}.")

    def __call__(self, step: int) -> Tensor:
        """Rows of the batch of ``step``."""
        if step >= len(self._order):
            raise UserError(
                f"The order has {len(self._order)} batches and step {step} needs one more: train fewer steps."
            )
        return self._order[step]
