"""Parameter groups and parameters that are passed over, against torch.optim and autograd."""

import loops
import pytest
import torch

from crossloss.core import UserError
from crossloss.optimisers import SGD, Adam, AdamW, Frozen, ParameterGroups, from_dict, to_dict


def schedule(t):
    return 0.05 / (1 + 0.3 * t)


def groups():
    return ParameterGroups(
        [
            ([(0, 6)], AdamW(schedule, eps=1e-3, weight_decay=0.3)),
            (torch.tensor([10, 11, 6, 7]), AdamW(0.02, betas=(0.8, 0.99), eps=1e-2, weight_decay=0.0)),
            ([(8, 10)], SGD(0.1, momentum=0.9)),
        ]
    )


def test_steps_are_those_of_param_groups():
    def make(p):
        half = torch.nn.Parameter(p[1].data[:2]), torch.nn.Parameter(p[1].data[2:])  # views of the same memory
        first = torch.optim.AdamW(
            [
                {"params": [p[0]], "lr": schedule(0), "weight_decay": 0.3, "eps": 1e-3},
                {"params": [p[2], half[0]], "lr": 0.02, "betas": (0.8, 0.99), "eps": 1e-2, "weight_decay": 0.0},
            ]
        )
        second = torch.optim.SGD([half[1]], lr=0.1, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.LambdaLR(first, [lambda t: schedule(t) / schedule(0), lambda t: 1.0])

        class Halves:
            def step(self):
                half[0].grad, half[1].grad = p[1].grad[:2], p[1].grad[2:]

        return Halves(), first, second, scheduler

    loops.same_steps(groups(), loops.field(), make)


@pytest.mark.parametrize("seed", [0, 1])
def test_scores_equal_autograd_through_the_loop(seed):
    loops.same_scores(groups(), loops.field(seed), seed)


def test_groups_of_one_rule_are_that_rule():
    rule = Adam(0.05, eps=1e-3)
    parts = ParameterGroups([([(0, 5), (9, 12)], rule), ([(5, 9)], rule)])
    assert torch.equal(loops.ours(parts, loops.field()), loops.ours(rule, loops.field()))


def test_parameters_without_a_gradient_are_passed_over_as_torch_does():
    rule = ParameterGroups([([(0, 6), (10, 12)], AdamW(0.05, weight_decay=0.5, eps=1e-3)), ([(6, 10)], Frozen())])
    on = loops.field(still=range(6, 10))

    def unset(parameters):
        parameters[1].grad = None

    loops.same_steps(rule, on, lambda p: [torch.optim.AdamW(p, lr=0.05, weight_decay=0.5, eps=1e-3)], before=unset)
    loops.same_scores(rule, on)
    moved = loops.ours(AdamW(0.05, weight_decay=0.5, eps=1e-3), on)[-1] - loops.start()
    assert moved[6:10].abs().min() > 1e-3, "weight decay alone would move them"


def test_groups_in_groups():
    inner = ParameterGroups([([(0, 3)], SGD(0.1)), ([(3, 8)], Adam(0.05, eps=1e-2))])
    rule = ParameterGroups([([(4, 12)], inner), ([(0, 4)], SGD(0.2, momentum=0.5))])
    flat = ParameterGroups(
        [([(4, 7)], SGD(0.1)), ([(7, 12)], Adam(0.05, eps=1e-2)), ([(0, 4)], SGD(0.2, momentum=0.5))]
    )
    assert torch.equal(loops.ours(rule, loops.field()), loops.ours(flat, loops.field()))
    loops.same_scores(rule, loops.field())
    assert set(rule.needs) == {"gradient", "0.1.m", "0.1.v"}


def test_a_manifest_holds_them():
    value = to_dict(groups(), loops.STEPS)
    again = from_dict(value)
    assert to_dict(again, loops.STEPS) == value
    assert torch.equal(loops.ours(again, loops.field()), loops.ours(groups(), loops.field()))


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ([([(0, 6)], SGD(0.1))], "Parameter 6 is in no group"),
        ([([(0, 6)], SGD(0.1)), ([(7, 12)], SGD(0.1))], "Parameter 6 is in no group"),
        ([([(0, 6)], SGD(0.1)), ([(6, 13)], SGD(0.1))], "there are 12 parameters"),
        ([([(0, 6)], SGD(0.1)), ([(5, 12)], SGD(0.1))], "overlap"),
        ([([(0, 0)], SGD(0.1))], "empty"),
        ([([(0.0, 2)], SGD(0.1))], "whole numbers"),
        ([(torch.tensor([0.5]), SGD(0.1))], "int64"),
        ([], "no slice"),
    ],
)
def test_what_does_not_fit_is_one_sentence(parts, sentence):
    with pytest.raises(UserError, match=sentence):
        ParameterGroups(parts).init(loops.start())
