"""What is said of a replay that departs, from what was recorded of the loop."""

import pytest
import torch
from torch import nn

import crossloss as cl
from crossloss.run.departure import ADVICE, OF_A_STEP, SAME, Departure, Facts, reason

SETTINGS = {"sizes": [[4]], "threads": torch.get_num_threads(), "fused": False, "optimizer": "AdamW", "eps": None}
OTHER = "the gradients agree, so something but the optimizer changes the parameters"
ENLARGED = "the gradients agree and AdamW with eps 1e-08 enlarges rounding differences"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x):
        return self.used(x) + 0 * self.unused(x)


@pytest.fixture(scope="module")
def field():
    x = torch.arange(24, dtype=torch.float64).reshape(8, 3) / 10
    return cl.TorchField(Net().double(), lambda out, batch: (out - batch[:, :2]).square().sum(1), x)


def said(field, times, *, rule=None, of_step=0.5, name="used.weight", **changed):
    """The sentence where the loop's gradients were so many times the field's."""
    layout, w = field.layout, torch.ones(8, dtype=torch.float64)
    g = layout.split(field.gradient(layout.initial, w, 0))
    position = layout.names.index(name)
    found = Departure(name, position, 0.1, 0)
    norms = [[times * (float(g[n].norm()) or 1.0) for n in layout.names]]
    facts = Facts(norms, **(SETTINGS | changed))
    return reason(facts, field, layout, rule or cl.SGD(0.1), found, 0, layout.initial, w, of_step)


@pytest.mark.parametrize("times", [1.0, 1 + SAME / 2, 1 - SAME / 2])
def test_equal_gradients_accuse_what_changes_parameters(field, times):
    assert said(field, times) == (OTHER, False)
    assert said(field, times, eps=1e-8) == (OTHER, False)
    assert said(field, times, of_step=1e-6) == (OTHER, False), "no eps enlarges anything"


@pytest.mark.parametrize("of_step", [0.0, OF_A_STEP])
def test_a_small_part_of_a_step_is_rounding(field, of_step):
    assert said(field, 1.0, eps=1e-8, of_step=of_step) == (f"{ENLARGED}: {ADVICE}", True)
    sentence, acceptable = said(field, 1.0, eps=1e-8, of_step=of_step, threads=77, fused=True)
    mine = torch.get_num_threads()
    assert sentence == (
        f"{ENLARGED}, and your loop had 77 threads and the replay has {mine}, "
        f"and its fused kernel rounds differently: {ADVICE}"
    )
    assert acceptable


@pytest.mark.parametrize(
    ("times", "sizes", "sentence"),
    [
        (4.0, [[4]], "your gradient is 4 times the field's, the size of the batch: take the mean of the losses"),
        (5.0, [[2, 3]], "your gradient is 5 times the field's, the size of the batch: take the mean of the losses"),
        (
            3.0,
            [[4, 4, 4]],
            "your gradient is 3 times the field's, the number of its micro-batches: divide the loss of each by it",
        ),
    ],
)
def test_sums_in_place_of_means_are_told_by_their_number(field, times, sizes, sentence):
    for near in (times, times * (1 + 9e-4), times * (1 - 9e-4)):
        assert said(field, near, sizes=sizes) == (sentence, False)
    for far in (times * (1 + 2e-3), times * (1 - 2e-3)):
        assert said(field, far, sizes=sizes)[0].startswith(f"your gradient is {far:.5g} times the field's in norm: ")


def test_other_gradients_are_told_by_their_ratio(field):
    rest = "times the field's in norm: other rows than recorded, another loss, "
    last = "random numbers drawn elsewhere, layers in another mode, or parameters changed by hand"
    assert said(field, 0.25) == (f"your gradient is 0.25 {rest}{last}", False)
    assert said(field, 1 + 2 * SAME, sizes=[[1]]) == (f"your gradient is 1.0002 {rest}{last}", False)
    assert said(field, 2.0, name="unused.weight") == (f"your gradient is inf {rest}{last}", False)
    assert said(field, 0.0, sizes=[[1]]) == (f"your gradient is 0 {rest}{last}", False)


def test_a_clipped_gradient_is_compared_as_the_innermost_rule_has_it(field):
    w = torch.ones(8, dtype=torch.float64)
    norm = float(field.gradient(field.layout.initial, w, 0).norm())
    clipped = cl.ClipNorm(cl.SGD(0.1), norm / 8)
    assert said(field, 1 / 8, rule=clipped) == (OTHER, False)
    assert said(field, 1 / 16, rule=cl.ClipNorm(clipped, norm / 16)) == (OTHER, False)
    assert said(field, 1.0, rule=clipped)[0].startswith("your gradient is 8 times")


def test_a_gradient_of_rounding_is_told_before_anything_else(field):
    sentence, acceptable = said(field, 0.0, name="unused.weight", eps=1e-8)
    assert sentence.startswith("the gradient of 'unused.weight' is rounding noise around 0")
    assert acceptable
