"""What the protocols of core do by themselves."""

from types import SimpleNamespace

import pytest
import torch

from crossloss.core import Linearisation, UserError
from crossloss.core.curvature import Curvature


def test_a_curvature_that_is_not_symmetric_says_so():
    class Skew(Curvature):
        symmetric = False

        def product(self, v):
            return v

    with pytest.raises(UserError, match="Skew is not symmetric"):
        Skew().transposed()
    with pytest.raises(NotImplementedError):
        Skew().of_step(0)
    assert (Skew().steps, Skew().part, Skew().factorise(0.1)) == (0, None, None)


class Differences(Linearisation):
    def pullback(self, a, into):
        raise AssertionError


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_central_differences_fit_the_size_of_the_parameters(size):
    """Accurate to about eps^(2/3) for a cubic, whatever the scale."""
    draw = torch.Generator().manual_seed(0)
    theta, along = (torch.randn(20, generator=draw, dtype=torch.float64) for _ in range(2))
    theta = size * (theta.sign() + theta)
    field = SimpleNamespace(gradient=lambda theta, w, step: (theta**3 + theta) * w.sum())
    w = torch.ones(2, dtype=torch.float64)
    found = Differences(field, theta, w, 0).pushforward(along, torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(found, 2 * (3 * theta**2 + 1) * along, rtol=1e-9, atol=1e-10)
