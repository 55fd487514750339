"""Rows of a sparse matrix of 2^31 elements or more, whose short column numbers stay in their file.

scipy would hold all of them in memory, as long ones.
"""

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import scipy.sparse

from crossloss.core import UserError

LONG = 1 << 31
"""Elements from which scipy takes long column numbers."""


@dataclass(frozen=True, eq=False)
class LongRows:
    """Samples x pairs by its rows, as a CSR matrix has them: ``data`` float32, ``indices`` int32, ``indptr`` int64."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if len(self.indptr) != self.shape[0] + 1 or not len(self.data) == len(self.indices) == self.indptr[-1]:
            raise ValueError("rows and elements do not match")

    @property
    def nnz(self) -> int:
        """Number of elements."""
        return len(self.data)

    def __getitem__(self, rows: int | slice | np.ndarray) -> scipy.sparse.csr_matrix:
        """Some rows, as a matrix of their own."""
        if not isinstance(rows, slice):
            return scipy.sparse.vstack([self[slice(i, i + 1)] for i in np.atleast_1d(rows).tolist()], format="csr")
        first, last, _ = rows.indices(self.shape[0])
        ends = np.array(self.indptr[first : last + 1])
        elements, ends = slice(ends[0], ends[-1]), ends - ends[0]
        short = ends.astype(np.int32) if ends[-1] < LONG else ends
        parts = (self.data[elements], self.indices[elements], short)
        return scipy.sparse.csr_matrix(parts, shape=(len(ends) - 1, self.shape[1]))

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UserError(
            f"This works on all pair counts at once, of which there are {len(self.data):,}, 2^31 or more: take fewer "
            "words by max_words= or min_count=, or less text."
        )


def rows_of(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> Any:
    """A CSR matrix, checked; or ``LongRows`` where it has too many elements for that."""
    if len(data) >= LONG:
        return LongRows(data, indices, indptr, shape)
    matrix = scipy.sparse.csr_matrix((data, indices, indptr), shape=shape)
    matrix.check_format(full_check=True)
    return matrix
