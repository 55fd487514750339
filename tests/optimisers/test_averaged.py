"""Averages of the parameters: torch's AveragedModel, autograd, and finite differences of retraining."""

import loops
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import crossloss as cl
from crossloss.core import UserError
from crossloss.optimisers import SGD, AdamW, Averaged, ClipNorm, ParameterGroups, from_dict, to_dict

CASES = {
    "ema": {"decay": 0.8},
    "ema-late": {"decay": 0.7, "start": 3},
    "ema-seldom": {"decay": 0.7, "start": 2, "every": 3},
    "swa": {},
    "swa-epochs": {"start": 3, "every": 2},
}
case = pytest.mark.parametrize("options", CASES.values(), ids=CASES)


class Parameters(torch.nn.Module):
    def __init__(self, parameters):
        super().__init__()
        self.parts = torch.nn.ParameterList(parameters)


def averages(options, steps=loops.STEPS):
    """The averaged model after every step of AdamW, by torch."""
    found, kept = [], {}

    def make(p):
        kept["model"] = Parameters(p)
        average = get_ema_multi_avg_fn(options["decay"]) if "decay" in options else None
        kept["average"], kept["t"] = AveragedModel(kept["model"], multi_avg_fn=average), 0
        return [torch.optim.AdamW(p, lr=0.05, eps=1e-3)]

    def after(p):
        t, kept["t"] = kept["t"], kept["t"] + 1
        if t >= options.get("start", 0) and (t - options.get("start", 0)) % options.get("every", 1) == 0:
            kept["average"].update_parameters(kept["model"])
        found.append(torch.cat([x.detach().reshape(-1) for x in kept["average"].module.parameters()]))

    loops.by_torch(loops.field(), make, after=after, steps=steps)
    return torch.stack(found)


@case
def test_averages_are_those_of_torch(options):
    rule, on, expected = Averaged(AdamW(0.05, eps=1e-3), **options), loops.field(), averages(options)
    for steps in range(1 + options.get("start", 0), loops.STEPS + 1):
        run = loops.trained(rule, on, steps=steps)
        torch.testing.assert_close(run.theta, expected[steps - 1], rtol=1e-12, atol=1e-12)
    raw = loops.trained(AdamW(0.05, eps=1e-3), on)
    assert torch.equal(run.states.get(loops.STEPS)["theta"], raw.theta)
    assert (run.theta - raw.theta).abs().max() > 1e-2


@case
@pytest.mark.parametrize("seed", [0, 1])
def test_scores_equal_autograd_through_the_loop(options, seed):
    loops.same_scores(Averaged(AdamW(0.05, eps=1e-3), **options), loops.field(seed), seed)
    groups = ClipNorm(ParameterGroups([([(0, 5)], SGD(0.1, momentum=0.9)), ([(5, 12)], AdamW(0.05, eps=1e-3))]), 2.0)
    loops.same_scores(Averaged(groups, **options), loops.field(seed), seed)
    loops.same_scores(ClipNorm(Averaged(SGD(0.1), **options), 2.0), loops.field(seed), seed)


def test_an_average_by_hand_begins_at_the_initial_parameters():
    rule, on = Averaged(SGD(0.1), decay=lambda t: 0.9 if t % 2 else 1.0), loops.field()
    thetas, average = loops.ours(SGD(0.1), on), loops.start()
    for t, theta in enumerate(thetas):
        if t % 2:
            average = 0.9 * average + 0.1 * theta
    torch.testing.assert_close(loops.trained(rule, on).theta, average, rtol=1e-13, atol=1e-13)
    loops.same_scores(rule, on)


def test_a_run_that_ends_before_the_average_starts_has_its_parameters():
    on = loops.field()
    run = loops.trained(Averaged(SGD(0.1), start=50), on)
    assert torch.equal(run.theta, loops.trained(SGD(0.1), on).theta)


def test_settings_out_of_range_are_one_sentence():
    for options in ({"decay": 1.0}, {"decay": -0.1}, {"start": -1}, {"every": 0}):
        with pytest.raises(UserError, match="needs"):
            Averaged(SGD(0.1), **options)
    for make in (
        lambda r: Averaged(r),
        lambda r: Averaged(ClipNorm(r, 1.0)),
        lambda r: ParameterGroups([([(0, 12)], r)]),
    ):
        with pytest.raises(UserError, match=r"averaged already|around ParameterGroups"):
            make(Averaged(SGD(0.1)))


@case
def test_a_manifest_holds_it(options):
    rule = Averaged(ClipNorm(SGD(0.1), 1.0), **options)
    value = to_dict(rule, loops.STEPS)
    assert to_dict(from_dict(value), loops.STEPS) == value
    assert torch.equal(loops.trained(from_dict(value), loops.field()).theta, loops.trained(rule, loops.field()).theta)


@case
def test_a_prediction_is_of_the_average(options):
    """The derivative forward through the run is the one backward."""
    from crossloss.estimators import predict

    run = loops.trained(Averaged(ClipNorm(AdamW(0.05, eps=1e-3), 2.0), **options), loops.field())
    named = [cl.objectives.as_objective(f) for f in loops.objectives()]
    scores = loops.unrolled(run, named).samples()
    found = predict(run, named[:1], without=[2])
    assert float(found.linear - found.now) == pytest.approx(-float(scores[0, 2]), rel=1e-6)
