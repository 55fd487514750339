"""Parts of recording a loop: what is kept in a small budget, what is refused in its step, and letting go."""

import pytest
import torch
from torch import nn

import crossloss as cl
from crossloss.core import UserError

N, STEPS = 12, 11


def data():
    draw = torch.Generator().manual_seed(1)
    return torch.randn(N, 4, generator=draw, dtype=torch.float64), torch.randn(N, 2, generator=draw).double()


def loss(out, batch):
    return (out - batch[1]).square().mean(1)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()


def loop(recorder, model, optimizers, *, steps=STEPS, before=None, after=None):
    x, y = data()
    for t in range(steps):
        rows = [(t + i) % N for i in range(4)]
        recorder.batch(rows)
        for optimizer in optimizers:
            optimizer.zero_grad()
        (model(x[rows]) - y[rows]).square().mean().backward()
        if before:
            before(t)
        for optimizer in optimizers:
            optimizer.step()
        if after:
            after(t)


def recorded(make=lambda model: [torch.optim.SGD(model.parameters(), lr=0.1)], memory="4GB", **given):
    model = net()
    optimizers = make(model)
    recorder = cl.Recorder(cl.TorchField(model, loss, data()), model, optimizers, memory)
    loop(recorder, model, optimizers, **{n: (lambda t, f=f: f(t, model, optimizers)) for n, f in given.items()})
    return model, recorder


def budget(kept):
    """Bytes for about so many parameters and what the replay has beside them."""
    return str(4 * kept * 8 * sum(p.numel() for p in net().parameters()))


@pytest.mark.parametrize(("step", "said"), [(6, "steps 4 to 7"), (8, "steps 8 to 10"), (10, "steps 8 to 10")])
def test_a_small_budget_keeps_every_fourth_step_and_the_last(step, said):
    def moved(t, model, optimizers):
        if t == step:
            with torch.no_grad():
                model[0].weight[0, 0] += 1.0

    _, recorder = recorded(memory=budget(5), after=moved)
    assert recorder._every == 4
    with pytest.raises(UserError, match=f"departs from your loop in one of the {said}"):
        recorder.finish()


def test_a_small_budget_gives_the_same_run():
    model, recorder = recorded(memory=budget(5))
    run = recorder.finish()
    assert run.trajectory.states.stored() == [0, 4, 8, 11]
    for name, p in model.named_parameters():
        torch.testing.assert_close(run.view[name], p.detach(), rtol=1e-12, atol=1e-14)


def test_every_optimizer_has_its_own_schedule():
    def two(model):
        return [
            torch.optim.SGD(model[0].parameters(), lr=0.1, momentum=0.5),
            torch.optim.Adam(model[2].parameters(), lr=0.05, eps=1e-3),
        ]

    def slower(t, model, optimizers):
        optimizers[0].param_groups[0]["lr"] *= 0.9
        optimizers[1].param_groups[0]["lr"] *= 0.8

    model, recorder = recorded(two, after=slower)
    run = recorder.finish()
    for name, p in model.named_parameters():
        torch.testing.assert_close(run.view[name], p.detach(), rtol=1e-10, atol=1e-12)


def test_a_change_by_hand_is_not_taken_for_rounding():
    """A hundred-thousandth of the parameters: little of them, and much of a short step of Adam."""

    def grown(t, model, optimizers):
        if t == 5:
            with torch.no_grad():
                for p in model.parameters():
                    p.mul_(1 + 1e-5)

    _, recorder = recorded(lambda model: [torch.optim.Adam(model.parameters(), lr=1e-4)], after=grown)
    with pytest.raises(UserError, match="something but the optimizer changes the parameters"):
        recorder.finish()


def test_gradients_that_differ_little_are_told_apart():
    def grown(t, model, optimizers):
        if t == 5:
            with torch.no_grad():
                model[2].bias.add_(0.001)

    _, recorder = recorded(after=grown)
    with pytest.raises(UserError, match=r"in step 6, .* is (0\.99\d+|1\.00\d+) times .*or parameters changed by hand"):
        recorder.finish()


@pytest.mark.parametrize(("lr", "step"), [(-0.1, 3), (float("nan"), 0)])
def test_settings_out_of_range_are_refused_in_their_step(lr, step):
    reached = []

    def broken(t, model, optimizers):
        reached.append(t)
        if t == step:
            optimizers[0].param_groups[0]["lr"] = lr

    with pytest.raises(UserError, match="lr"):
        recorded(before=broken)
    assert reached == list(range(step + 1))


def test_a_parameter_that_changes_its_group_is_refused_in_its_step():
    def groups(model):
        return [torch.optim.SGD([{"params": [*model[0].parameters()]}, {"params": [*model[2].parameters()]}], lr=0.1)]

    def swapped(t, model, optimizers):
        if t == 2:
            first, second = optimizers[0].param_groups
            second["params"].append(first["params"].pop())

    with pytest.raises(UserError, match="groups changed at step 2: give it all parameters before the first step"):
        recorded(groups, before=swapped)


def test_a_batch_without_a_backward_pass_is_refused_in_a_later_step_too():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = cl.Recorder(cl.TorchField(model, loss, data()), model, optimizer)
    loop(recorder, model, [optimizer], steps=1)
    recorder.batch([0, 1])
    with pytest.raises(UserError, match="Two batches without a backward pass"):
        recorder.batch([2, 3])


def test_a_recorder_that_is_refused_lets_go_of_the_loop():
    model, other = net(), nn.Linear(4, 2).double()
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    with pytest.raises(UserError, match="not the field's") as kept:
        cl.Recorder(cl.TorchField(model, loss, data()), other, optimizer)
    other(data()[0]).sum().backward()
    optimizer.step()  # unrecorded: "Step 0 has no batch" were it still hooked
    assert kept.value.args
