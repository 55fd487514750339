"""Which product a tile takes: oneDNN's where torch offers it, and torch's own elsewhere, to the same numbers."""

import pytest
import torch

from crossloss.models.skipgram.tiles import products


@pytest.mark.parametrize("offered", [True, False])
@pytest.mark.parametrize(
    ("dtype", "device", "fits"),
    [(torch.float32, "cpu", True), (torch.float64, "cpu", False), (torch.float32, "meta", False)],
)
def test_onednn_is_called_where_it_is_offered_and_fits(dtype, device, fits, offered, monkeypatch):
    calls = []

    def linear(x, y, bias, kind, scalars, algorithm):
        calls.append((bias, kind, scalars, algorithm))
        return torch.nn.functional.linear(x, y) if kind == "none" else torch.nn.functional.linear(x, y).sigmoid()

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", linear if offered else None, raising=False)
    product, sigmoid = products(dtype, torch.device(device))
    x, y = (torch.randn(n, 5, dtype=dtype, device=device) for n in (3, 4))
    found = product(x, y), sigmoid(x, y)
    assert calls == ([(None, "none", [], ""), (None, "sigmoid", [], "")] if fits and offered else [])
    assert all(part.shape == (3, 4) for part in found)
    if device == "cpu":
        torch.testing.assert_close(found[0], x @ y.T)
        torch.testing.assert_close(found[1], torch.sigmoid(x @ y.T))
