"""Loops as people write them, recorded: scores against finite differences of the very same loop with weights in it."""

import copy
import gc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_  # by name, as many loops have it
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import crossloss as cl
from crossloss.core import UserError
from crossloss.run.clipping import WATCHED
from differences import agree

F64 = torch.float64
N, CLASSES = 12, 3
STEPS = [[0, 1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 0], [3, 8, 7, 1], [2, 9, 11, 5]]
ROWS = (0, 2, 6, 9)


def data():
    draw = torch.Generator().manual_seed(1)
    return torch.randn(N, 4, generator=draw, dtype=F64), torch.randint(0, CLASSES, (N,), generator=draw)


class Net(nn.Module):
    """With a pooler that nothing uses."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.base, self.norm, self.pooler = nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 6)
        self.drop, self.head = nn.Dropout(dropout), nn.Linear(6, CLASSES)

    def forward(self, x):
        return self.head(self.drop(torch.tanh(self.norm(self.base(x)))))


def net(**options):
    torch.manual_seed(0)
    return Net(**options).double()


def sample_loss(out, batch):
    return F.cross_entropy(out, batch[1], reduction="none")


def objective(model):
    return model(torch.linspace(-1, 1, 8, dtype=F64).view(2, 4))[:, 0].sum()


def still(model):
    """The objective's model in eval mode, as a field shows it."""
    return model.eval()


def two_groups(model, kind=torch.optim.AdamW):
    no_decay = [p for name, p in model.named_parameters() if "bias" in name or "norm" in name]
    decay = [p for name, p in model.named_parameters() if not ("bias" in name or "norm" in name)]
    first = {"params": decay, "weight_decay": 0.1, "lr": 2e-2}
    second = {"params": no_decay, "weight_decay": 0.0, "lr": 1e-2, "betas": (0.8, 0.9), "eps": 1e-3}
    return kind([first, second], lr=1e-2, eps=1e-2)


class Loop:
    """A training loop in which a test sets what is special about it; recorded, or with weights in its loss."""

    def __init__(self, *, make=Net, optimizer=two_groups, prepare=None, before_step=None, micro=1, scheduler=None):
        self.make, self.optimizer, self.prepare = make, optimizer, prepare
        self.before_step, self.micro, self.scheduler = before_step, micro, scheduler

    def model(self):
        torch.manual_seed(0)
        model = self.make().double()
        if self.prepare:
            self.prepare(model)
        return model

    def __call__(self, w=None, recorder_of=None):
        model = self.model()
        optimizer = self.optimizer(model)
        scheduler = self.scheduler(optimizer) if self.scheduler else None
        recorder, (x, y) = recorder_of and recorder_of(model, optimizer), data()
        for step, rows in enumerate(STEPS):
            optimizer.zero_grad()
            for part in np.array_split(rows, self.micro):
                if recorder:
                    recorder.batch(part)
                losses = F.cross_entropy(model(x[part]), y[part], reduction="none")
                ((losses if w is None else w[part] * losses).mean() / self.micro).backward()
            if self.before_step:
                self.before_step(model, step)
            optimizer.step()
            if scheduler:
                scheduler.step()
        return (recorder, model) if recorder else still(model)

    def recorded(self, **options):
        def recorder_of(model, optimizer):
            return cl.Recorder(cl.TorchField(model, sample_loss, data(), **options), model, optimizer)

        return self(recorder_of=recorder_of)


def clipped_to(norm):
    return lambda model, step: clip_grad_norm_(model.parameters(), norm)


def freeze(model):
    model.base.requires_grad_(False)


LOOPS = {
    "groups": Loop(),
    "sgd groups": Loop(optimizer=lambda m: torch.optim.SGD(
        [{"params": m.base.parameters()}, {"params": [*m.norm.parameters(), *m.head.parameters()], "momentum": 0.5,
          "nesterov": True}], lr=0.1, momentum=0.9, weight_decay=0.01)),
    "a scheduler of groups": Loop(scheduler=lambda o: torch.optim.lr_scheduler.LambdaLR(
        o, [lambda t: 1 / (1 + t), lambda t: 1.0])),
    "clipping that is active": Loop(before_step=clipped_to(0.05)),
    "clipping that is not": Loop(before_step=clipped_to(50.0)),
    "clipping by value": Loop(before_step=lambda m, step: nn.utils.clip_grad_value_(m.parameters(), 0.02)),
    "both, of some": Loop(before_step=lambda m, step: (
        nn.utils.clip_grad_value_(m.parameters(), 0.05), nn.utils.clip_grad_norm_(m.head.parameters(), 0.02, 3.0))),
    "accumulation": Loop(micro=2, before_step=clipped_to(0.05)),
    "a frozen base": Loop(prepare=freeze, before_step=clipped_to(0.1)),
    "a head alone": Loop(optimizer=lambda m: torch.optim.AdamW(m.head.parameters(), lr=0.02, eps=1e-3),
                         before_step=lambda m, step: clip_grad_norm_(m.head.parameters(), 0.1)),
    "one cycle of momentum": Loop(
        optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9), scheduler=lambda o: one_cycle(o)),
    "one cycle of betas": Loop(scheduler=lambda o: one_cycle(o)),
    "two optimizers": Loop(optimizer=lambda m: Both(
        torch.optim.SGD(m.base.parameters(), lr=0.1), torch.optim.Adam([*m.norm.parameters(), *m.head.parameters()],
                                                                       lr=0.02, eps=1e-3))),
}  # fmt: skip


def one_cycle(optimizer):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=len(STEPS) + 1)


class Both(list):
    """Two optimizers of one loop."""

    def __init__(self, *optimizers):
        super().__init__(optimizers)

    def zero_grad(self):
        for optimizer in self:
            optimizer.zero_grad()

    def step(self):
        for optimizer in self:
            optimizer.step()


def same_end(run, model, tolerance=1e-11):
    for name, p in model.named_parameters():
        torch.testing.assert_close(run.view[name], p.detach(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", LOOPS)
def test_scores_are_those_of_the_loop(kind):
    recorder, model = LOOPS[kind].recorded()
    run = recorder.finish()
    same_end(run, model)
    agree(cl.score(run, [objective]).samples[0], LOOPS[kind], objective, N, ROWS)


def test_the_wrong_clipping_gives_other_scores():
    """Injected fault: recorded without the clipping, the scores are not those of the loop."""
    run = LOOPS["groups"].recorded()[0].finish()
    with pytest.raises(AssertionError):
        agree(cl.score(run, [objective]).samples[0], LOOPS["clipping that is active"], objective, N, ROWS)


def tokens():
    draw = torch.Generator().manual_seed(2)
    x = torch.randint(0, 7, (N, 5), generator=draw)
    return {"x": x, "labels": torch.where(torch.rand(N, 5, generator=draw) < 0.3, -100, x.roll(1, 1))}


def tagger():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(7, 4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 7)).double()


def token_mean(model, batch, w):
    losses = F.cross_entropy(model(batch["x"]).transpose(1, 2), batch["labels"], reduction="none")
    return cl.losses.token_mean(losses, batch["labels"] != -100, w)


def spoken(model):
    return model(torch.arange(7)[None]).log_softmax(-1)[0, :, 1].sum()


def masked(step, part, batch):
    """A batch with words masked at random, as a collator does: other masks at every epoch."""
    x = batch["x"].clone()
    hidden = torch.rand(x.shape) < 0.4
    hidden[:, 0] = True
    return {"x": torch.where(hidden, 0, x), "labels": torch.where(hidden, x, -100)}


def token_loop(w=None, recording=None, mask=None, micro=1, give=True, **options):
    model = tagger()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2, eps=1e-3)
    field = cl.TorchField(model, data=tokens(), loss=token_mean, **options) if recording else None
    recorder = cl.Recorder(field, model, optimizer) if recording else None
    w = torch.ones(N, dtype=F64) if w is None else w
    torch.manual_seed(5)  # the loop's own random numbers: dropout, masks
    for step, rows in enumerate(STEPS):
        optimizer.zero_grad()
        for part in np.array_split(rows, micro):
            batch = {name: leaf[part] for name, leaf in tokens().items()}
            batch = mask(step, part, batch) if mask else batch
            if recorder:
                recorder.batch(part, batch=batch if mask and give else None)
            out = model(batch["x"])
            if w.eq(1).all():
                loss = F.cross_entropy(out.flatten(0, 1), batch["labels"].flatten())  # as the loop is written
            else:
                losses = F.cross_entropy(out.transpose(1, 2), batch["labels"], reduction="none")
                loss = (w[part][:, None] * losses).sum() / (batch["labels"] != -100).sum()
            (loss / micro).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return (recorder, model) if recorder else still(model)


@pytest.mark.parametrize("micro", [1, 2])
@pytest.mark.parametrize("mask", [None, masked], ids=["fixed", "masked at random"])
def test_token_means_recorded_masks_and_the_loops_own_dropout(mask, micro, tmp_path):
    recorder, model = token_loop(recording=True, mask=mask, micro=micro)
    run = recorder.finish(tmp_path / "run")
    same_end(run, model)
    scores = cl.score(run, [spoken]).samples[0]
    agree(scores, lambda w: token_loop(w, mask=mask, micro=micro), spoken, N, ROWS)
    for estimator in ("gradient-dot", "tracin"):
        assert np.isfinite(cl.score(run, [spoken], estimator).samples).all()
    run.close()
    field = cl.TorchField(tagger(), data=tokens(), loss=token_mean)
    with cl.load(tmp_path / "run", field) as again:  # batches, masks and generators are in the folder
        np.testing.assert_allclose(cl.score(again, [spoken]).samples[0], scores)


def test_masks_that_are_not_recorded_are_refused_in_the_first_step():
    with pytest.raises(UserError, match=r"in step 0.*other rows than recorded"):
        token_loop(recording=True, mask=masked, give=False)


def test_a_seed_for_dropout_still_works_with_accumulation():
    """The first micro-batch of a step is seeded, the others go on drawing."""
    torch.manual_seed(0)
    model = net(dropout=0.3)
    optimizer, (x, y) = torch.optim.SGD(model.parameters(), lr=0.1), data()
    recorder = cl.Recorder(cl.TorchField(model, sample_loss, data(), dropout_seed=4), model, optimizer)
    for rows in STEPS:
        optimizer.zero_grad()
        for part in np.array_split(rows, 2):
            recorder.batch(part)
            (F.cross_entropy(model(x[part]), y[part]) / 2).backward()
        optimizer.step()
    same_end(recorder.finish(), model)


def scaled(model, step):
    for p in model.head.parameters():
        p.grad.mul_(0.5)


def sometimes(model, step):
    if step == 2:
        model.head.bias.grad = None


def by_hand(model, step):
    if step == 1:
        with torch.no_grad():
            model.pooler.weight.add_(1.0)


def now_and_then(model, step):
    if step % 2:
        clip_grad_norm_(model.parameters(), 0.1)


def with_others(model, step):
    other = nn.Parameter(torch.ones(1))
    other.grad = torch.ones(1)
    clip_grad_norm_([*model.parameters(), other], 0.1)


def some_values(model, step):
    nn.utils.clip_grad_value_(model.head.parameters(), 0.1)


REFUSED = {
    "a gradient scaled by hand": (scaled, r"gradient of 'head.*changed between the backward pass and step 0"),
    "a parameter passed over now and then": (sometimes, "'head.bias' has no gradient at step 2"),
    "a still parameter that moves": (by_hand, r"'pooler.weight' has no gradient.*before step 1"),
    "clipping now and then": (now_and_then, "clipping changed at step 1"),
    "clipping with others": (with_others, "together with others"),
    "clipping some by value": (some_values, "for some parameters only"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_supported_is_refused_in_its_step(reason):
    before_step, message = REFUSED[reason]
    with pytest.raises(UserError, match=message) as caught:
        Loop(before_step=before_step).recorded()
    assert "\n" not in str(caught.value)


def test_clipping_of_what_no_optimizer_has_is_refused():
    loop = Loop(optimizer=lambda m: torch.optim.SGD(m.head.parameters(), lr=0.1), before_step=clipped_to(0.1))
    with pytest.raises(UserError, match=r"'base.weight' was clipped.*no optimizer has it"):
        loop.recorded()


def test_torchs_clipping_is_its_own_again():
    gc.collect()
    originals = *WATCHED.values(), WATCHED["clip_grad_norm_"]
    model = net()
    optimizer = two_groups(model)
    recorder = cl.Recorder(cl.TorchField(model, sample_loss, data()), model, optimizer)
    assert globals()["clip_grad_norm_"] is not originals[2], "seen under the name that this module has"
    with pytest.raises(UserError, match="Nothing to unroll"):
        recorder.finish()
    assert (nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_, globals()["clip_grad_norm_"]) == originals
    second = cl.Recorder(cl.TorchField(model, sample_loss, data()), model, optimizer)
    del second
    gc.collect()
    assert nn.utils.clip_grad_norm_ is originals[0], "a recorder that is dropped lets go"
    assert not optimizer._optimizer_step_pre_hooks


def test_clipping_of_ones_own_is_told():
    made = []

    def mine(model, step):
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        factor = torch.clamp(0.05 / (torch.stack([g.norm() for g in grads]).norm() + 1e-6), max=1.0)
        for g in grads:
            g.mul_(factor)
        made[0].clip(0.05)

    def recorder_of(model, optimizer):
        made.append(cl.Recorder(cl.TorchField(model, sample_loss, data()), model, optimizer))
        return made[0]

    recorder, model = Loop(before_step=mine)(recorder_of=recorder_of)
    same_end(recorder.finish(), model)


def moving(model):
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.7))


def from_the_start(model):
    """A copy that the loop averages itself, from its initial parameters."""
    return copy.deepcopy(model).requires_grad_(False)


def lerp(average, model):
    for a, p in zip(average.parameters(), model.parameters(), strict=True):
        a.lerp_(p.detach(), 0.4)


AVERAGES = {
    "moving": (moving, lambda average, model, t: average.update_parameters(model)),
    "equal": (AveragedModel, lambda average, model, t: average.update_parameters(model)),
    "of the last, every second": (AveragedModel, lambda a, m, t: t >= 2 and t % 2 == 0 and a.update_parameters(m)),
    "by hand": (from_the_start, lambda average, model, t: lerp(average, model)),
}


@pytest.mark.parametrize("kind", AVERAGES)
def test_scores_of_averaged_weights(kind):
    make, update = AVERAGES[kind]

    def loop(w=None, recording=False):
        model = net()
        optimizer, average, (x, y) = two_groups(model), make(model), data()
        recorder = cl.Recorder(cl.TorchField(model, sample_loss, data()), model, optimizer) if recording else None
        if recorder:
            recorder.average(average)
        for t, rows in enumerate(STEPS):
            if recorder:
                recorder.batch(rows)
            optimizer.zero_grad()
            losses = F.cross_entropy(model(x[rows]), y[rows], reduction="none")
            (losses if w is None else w[rows] * losses).mean().backward()
            optimizer.step()
            update(average, model, t)
        averaged = average.module if isinstance(average, AveragedModel) else average
        return (recorder, averaged) if recording else still(averaged)

    recorder, averaged = loop(recording=True)
    run = recorder.finish()
    same_end(run, averaged)
    agree(cl.score(run, [objective]).samples[0], loop, objective, N, ROWS)


def test_an_average_of_something_else_is_refused():
    model = net()
    optimizer, average, (x, y) = two_groups(model), AveragedModel(model), data()
    recorder = cl.Recorder(cl.TorchField(model, sample_loss, data()), model, optimizer)
    with pytest.raises(UserError, match="lacks parameters"):
        recorder.average(nn.Linear(2, 2))
    recorder.average(average)

    def steps():
        for rows in STEPS:
            recorder.batch(rows)
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            average.update_parameters(net())
            average.module.head.bias.data.add_(1)

    with pytest.raises(UserError, match="not to a mean"):
        steps()
    with pytest.raises(UserError, match="stepped before"):
        recorder.average(average)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="needs a torch with Muon")
def test_muon_beside_adamw_is_replayed():
    def both(model):
        matrices = [model.head.weight, model.base.weight]
        rest = [p for name, p in model.named_parameters() if p.dim() < 2]
        return Both(torch.optim.Muon(matrices, lr=0.02), torch.optim.AdamW(rest, lr=0.01, eps=1e-3))

    recorder, model = Loop(optimizer=both).recorded()
    run = recorder.finish()
    same_end(run, model)
    assert np.abs(cl.score(run, [objective]).samples).max() > 0


class Attention(nn.Module):
    """Queries, keys and values with biases: that of the keys moves nothing."""

    def __init__(self):
        super().__init__()
        self.table, self.q, self.k, self.v = nn.Embedding(7, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        h = self.table(x)
        a = torch.softmax(self.q(h) @ self.k(h).transpose(1, 2) / 8**0.5, -1)
        return self.head((a @ self.v(h)).mean(1))


def noisy(eps=1e-8, chunk=3, prepare=None, steps=6):
    """Batches larger than the field's chunk: sums of another rounding."""
    torch.manual_seed(0)
    model = Attention()
    if prepare:
        prepare(model)
    draw = torch.Generator().manual_seed(1)
    rows = torch.randint(0, 7, (40, 6), generator=draw), torch.randint(0, CLASSES, (40,), generator=draw)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, eps=eps)
    recorder = cl.Recorder(cl.TorchField(model, sample_loss, rows, chunk=chunk), model, optimizer)
    for _ in range(steps):
        recorder.batch(range(40))
        optimizer.zero_grad()
        F.cross_entropy(model(rows[0]), rows[1]).backward()
        optimizer.step()
    return recorder, model


def test_what_moves_by_noise_alone_is_not_compared():
    recorder, model = noisy()
    run = recorder.finish()
    assert run.store.metrics["recorder.departure"] < 1e-6
    apart = {name: float((run.view[name] - p).norm() / p.norm()) for name, p in model.named_parameters()}
    assert apart.pop("k.bias") > 1e-6, "which no replay repeats"
    assert max(apart.values()) < 1e-6


def test_without_the_noise_it_is_replayed():
    recorder, _ = noisy(prepare=lambda m: m.k.bias.requires_grad_(False), eps=1e-6)
    run = recorder.finish()
    assert run.store.metrics["recorder.departure"] < 1e-6
