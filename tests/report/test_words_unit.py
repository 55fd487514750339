"""Whose scores have the unit of the objective, as the page says."""

import pytest

from crossloss.estimators import ESTIMATORS
from crossloss.report.words import guide

ORDER_ONLY = {"gradient-dot", "tracin", "less"}
"""Sums of products of gradients, or cosines."""


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_has_a_unit_unless_it_only_ranks(name):
    assert ("no unit" in guide(name, "sentence")[1]) == (name in ORDER_ONLY)
