"""A user's own torch.optim loop, recorded so that it can be unrolled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossloss.core import Optimiser, UserError
from crossloss.memory import parse_bytes
from crossloss.models.torch import TorchField, check_field
from crossloss.models.torch.data import batch_rows
from crossloss.optimisers import SGD, Adam, AdamW
from crossloss.run.run import Run, as_weights
from crossloss.run.train import open_run, write_run
from crossloss.run.trajectory import Training, steps_from

SETTINGS: Mapping[type, tuple[str, ...]] = {
    torch.optim.SGD: ("momentum", "dampening", "weight_decay", "nesterov"),
    torch.optim.Adam: ("betas", "eps", "weight_decay"),
    torch.optim.AdamW: ("betas", "eps", "weight_decay"),
}
RULES: Mapping[type, type] = {torch.optim.SGD: SGD, torch.optim.Adam: Adam, torch.optim.AdamW: AdamW}
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-9}


class Recorder:
    """Hooks a training loop in three lines.

    The loss of the loop must be the field's: the mean of ``sample_loss`` over the batch, plus its regulariser.
    Learning rates are read at every step, so any scheduler will do. ``finish`` takes all steps again through the
    field and compares.

    Parameters
    ----------
    field : TorchField
        Made of the same model, loss and data; its mini-batches are replaced by the recorded ones. Where it has a
        ``dropout_seed``, ``batch`` seeds torch's generators with dropout_seed + step.
    model : torch.nn.Module
        The model that the loop trains.
    optimizer : torch.optim.SGD, Adam or AdamW
        Fresh, over all trainable parameters of the model, with one setting for all.
    memory : str
        Budget for the recorded parameters; where it is too small for every step, every 2nd, 4th, ... is kept.

    Raises
    ------
    UserError
        Another optimizer, or one that has stepped before; a model that is not the field's.

    Examples
    --------
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> recorder = cl.Recorder(cl.TorchField(model, loss, data), model, optimizer)  # before the first step
    >>> for rows in torch.randperm(60).split(20):
    ...     recorder.batch(rows)  # before the forward pass
    ...     optimizer.zero_grad()
    ...     F.cross_entropy(model(x[rows]), y[rows]).backward()
    ...     optimizer.step()
    >>> run = recorder.finish()
    """

    def __init__(self, field: TorchField, model: nn.Module, optimizer: torch.optim.Optimizer, memory: str = "4GB"):
        if not isinstance(field, TorchField):
            raise UserError(
                f"A Recorder records a TorchField, not a {type(field).__name__}: use cl.train(field, out=...)."
            )
        kind = type(optimizer)
        if kind not in SETTINGS:
            raise UserError(f"{kind.__name__} cannot be recorded: use torch.optim.SGD, Adam or AdamW.")
        if optimizer.state:
            raise UserError("The optimizer has stepped before: start the recorder before its first step.")
        self.field, self.optimizer, self.budget = field, optimizer, parse_bytes(memory)
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        shapes = dict(zip(field.layout.names, field.layout.shapes, strict=True))
        if {name: p.shape for name, p in self._parameters.items()} != shapes:
            raise UserError("The model's trainable parameters are not the field's: make the field of this model.")
        given = {id(p) for group in optimizer.param_groups for p in group["params"]}
        left_out = [name for name, p in self._parameters.items() if id(p) not in given]
        if left_out or len(given) != len(self._parameters):
            reason = f"{left_out[0]!r} is not among its parameters" if left_out else "it has other parameters too"
            raise UserError(f"The optimizer must train all trainable parameters of the model and no others: {reason}.")
        self._settings = self._read()
        self._rows: list[Tensor] = []
        self._rates: list[float] = []
        self._norms: list[list[float]] = []
        self._every = 1
        self._kept = {0: self._theta()}
        self._open = False
        self._hooks = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]

    def batch(self, rows: Any) -> None:
        """Say which samples the next step sees: their row numbers in the field's data.

        Raises
        ------
        UserError
            The batch before it was not stepped on; or no row numbers, such as a boolean mask.
        """
        if self._open:
            raise UserError("Two batches for one optimizer.step(): the recorder takes one batch a step.")
        self._rows.append(batch_rows(rows, self.field.samples, len(self._rows)))
        self._open = True
        if self.field.dropout_seed is not None:
            torch.manual_seed(self.field.dropout_seed + len(self._rows) - 1)

    def finish(self, out: str | Path | None = None, *, overwrite: bool = False) -> Run:
        """Replay the recorded steps; the run that ``cl.score`` takes.

        Parameters
        ----------
        out : path, optional
            Run folder to write it to; ``cl.load(out, field)`` opens it again.
        overwrite : bool
            Replace a different run there.

        Raises
        ------
        UserError
            The replay departs from what was recorded by more than 1e-6 (float64: 1e-9) of the norm of a parameter
            (or of one as large of the model's typical entries): says in which step first, and the likely reason.
        """
        for hook in self._hooks:
            hook.remove()
        steps = len(self._rates)
        if steps == 0 or self._open:
            raise UserError("Nothing to unroll: call recorder.batch(rows) before each optimizer.step().")
        self._kept[steps] = self._theta()
        field, rule, start = self.field.ordered(self._rows), self._rule(), self._kept[0]
        w = as_weights(None, field).to(field.device)
        check_field(field, start, w)
        run = open_run(field, rule, steps, None, w, out, overwrite, self.budget, initial=start, every=self._every)
        try:
            self._replay(run.trajectory)
            write_run(run, rows=self._rows)
        except BaseException as error:
            if isinstance(error, UserError):
                run.trajectory.states.clear()  # what was refused is no run to go on with
            run.close()
            raise
        return run

    def _replay(self, training: Training) -> None:
        """Take all steps again and compare."""
        states, before = training.states, 0
        states.put(0, training.optimiser.init(training.initial))
        steps = steps_from(training.field, training.optimiser, training.weights, states.get(0), 0, training.steps)
        for t, state in steps:
            if t in self._kept:
                self._compare(training, t, before, state["theta"])
                before = t
            if t % self._every == 0 or t == training.steps:
                states.put(t, state)

    def _theta(self) -> Tensor:
        return self.field.layout.flat(self._parameters)

    def _read(self) -> dict[str, Any]:
        """Settings of the optimizer but lr, the same in all of its groups."""
        groups, kind = self.optimizer.param_groups, type(self.optimizer)
        for name in ("amsgrad", "maximize"):
            if any(group.get(name) for group in groups):
                raise UserError(f"{kind.__name__} with {name} cannot be recorded: leave it out.")
        names = SETTINGS[kind]
        for name in ("lr", *names):
            if any(group[name] != groups[0][name] for group in groups):
                raise UserError(f"The optimizer's groups differ in {name}: give all parameters the same.")
        return {name: groups[0][name] for name in names}

    def _rule(self) -> Optimiser:
        rates = self._rates
        rule: Optimiser = RULES[type(self.optimizer)](lr=lambda t: rates[t], **self._settings)
        return rule

    def _before(self, *unused: object) -> None:
        if not self._open:
            raise UserError(f"Step {len(self._rates)} has no batch: call recorder.batch(rows) before optimizer.step().")
        settings = self._read()
        changed = [name for name, value in settings.items() if value != self._settings[name]]
        if changed:
            raise UserError(f"The optimizer's {changed[0]} changed at step {len(self._rates)}: only lr may.")
        self._rates.append(float(self.optimizer.param_groups[0]["lr"]))
        grads = [p.grad for p in self._parameters.values()]
        self._norms.append([float("nan") if g is None else float(g.norm()) for g in grads])

    def _after(self, *unused: object) -> None:
        self._open = False
        steps = len(self._rates)
        size = self._kept[0].numel() * self._kept[0].element_size()
        if steps % self._every == 0:
            self._kept[steps] = self._theta()
            # The replay keeps as many states, each with what the optimiser carries.
            while len(self._kept) > 2 and 4 * len(self._kept) * size > self.budget:
                self._every *= 2
                self._kept = {t: theta for t, theta in self._kept.items() if t % self._every == 0}

    def _compare(self, training: Training, t: int, before: int, theta: Tensor) -> None:
        """Refuse a replay that differs from what was recorded before step t."""
        recorded = self._kept[t]
        typical = float(recorded.square().mean().sqrt())
        tolerance = TOLERANCE.get(theta.dtype, 1e-6)
        ours, theirs = self.field.layout.split(theta), self.field.layout.split(recorded)
        for position, name in enumerate(self.field.layout.names):
            apart = float((ours[name] - theirs[name]).norm())
            scale = max(float(theirs[name].norm()), typical * theirs[name].numel() ** 0.5)
            if not apart <= tolerance * scale:
                where = f"in step {before}" if t == before + 1 else f"in one of the steps {before} to {t - 1}"
                raise UserError(
                    f"The replay departs from your loop {where}, in {name!r}, by {apart / scale:.0e} relative: "
                    f"{self._reason(training, before, position, name)}."
                )

    def _reason(self, training: Training, t: int, position: int, name: str) -> str:
        """What most likely made step t differ, from the gradients' norms."""
        theirs = self._norms[t][position]
        if theirs != theirs:
            return f"your loop has no gradient for {name!r} there, so that its optimizer passes it over"
        g = training.field.gradient(self._kept[t], training.weights, t)
        ours = float(self.field.layout.split(g)[name].norm())
        if abs(ours - theirs) <= 1e-4 * max(ours, theirs):
            return "the gradients agree, so something but the optimizer changes the parameters"
        size = len(self._rows[t])
        if theirs and ours and abs(theirs / ours - size) < 1e-3 * size:
            return f"your gradient is {size} times the field's, the size of the batch: take the mean of the losses"
        ratio = theirs / ours if ours else float("inf")
        return (
            f"your gradient is {ratio:.3g} times the field's in norm: other rows than recorded, another loss, "
            "clipping, random numbers, or layers in another mode"
        )
