"""The two matrix products of a tile: x y^T, and its sigmoid.

MKL, which torch calls for products on a CPU, has no AVX-512 kernels for AMD; oneDNN, which torch also carries and
torch.compile calls, has them for every CPU, and takes the sigmoid along. It is used where torch offers it (float32 on a
CPU): 2.2 times as fast on an AMD EPYC of 2024, see docs/performance.md. Elsewhere torch's own products are.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Product = Callable[[Tensor, Tensor], Tensor]


def products(dtype: torch.dtype, device: torch.device) -> tuple[Product, Product]:
    """Return (x, y) -> x y^T and (x, y) -> s(x y^T) for x (m, d) and y (n, d) of a dtype and device, each (m, n)."""
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if linear is None or dtype != torch.float32 or device.type != "cpu":
        return (lambda x, y: x @ y.T), (lambda x, y: (x @ y.T).sigmoid_())
    return (lambda x, y: linear(x, y, None, "none", [], "")), (lambda x, y: linear(x, y, None, "sigmoid", [], ""))
