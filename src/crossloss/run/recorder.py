"""A user's own torch.optim loop, recorded so that it can be unrolled."""

import warnings
import weakref
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossloss.core import Field, Optimiser, UserError
from crossloss.models.threads import threads_of_a_loop
from crossloss.models.torch import TorchField, check_field
from crossloss.models.torch.steps import RecordedOrder
from crossloss.optimisers import Averaged
from crossloss.run.average import Average
from crossloss.run.departure import TOLERANCE, OnlyNoise, ReplayMismatch, departure, facts_of, reason
from crossloss.run.loop import Loop
from crossloss.run.run import Run, as_weights
from crossloss.run.train import open_run, write_run
from crossloss.run.trajectory import Training, steps_from
from crossloss.utils.memory import parse_bytes


class Recorder:
    """Hooks a training loop in three lines.

    The loss of the loop must be the field's, with its regulariser; of several batches before one ``optimizer.step()``
    (gradient accumulation) the mean of theirs. Learning rates and settings of every parameter group are read at every
    step, so any scheduler will do; ``torch.nn.utils.clip_grad_norm_`` and ``clip_grad_value_`` are seen, parameters
    without a gradient are passed over as torch does, and random numbers of the forward pass are drawn again from the
    generators' states. The first step is taken again at once, so that what cannot be recorded is refused there.

    Parameters
    ----------
    field : TorchField
        Made of the same model, loss and data; its mini-batches are replaced by the recorded ones. Where it has a
        ``dropout_seed``, ``batch`` seeds torch's generators with dropout_seed + step.
    model : torch.nn.Module
        The model that the loop trains.
    optimizer : torch.optim.SGD, Adam, AdamW, ..., or a list of them
        Fresh; each steps once a step. Parameters of the model that it does not have stay as they are.
    memory : str
        Budget for the recorded parameters; where it is too small for every step, every 2nd, 4th, ... is kept.

    Raises
    ------
    UserError
        Another optimizer, or one that has stepped before; a model that is not the field's. In the loop: a step that
        cannot be recorded, with its number.

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

    def __init__(
        self,
        field: TorchField,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        memory: str = "4GB",
    ) -> None:
        if not isinstance(field, TorchField):
            raise UserError(
                f"A Recorder records a TorchField, not a {type(field).__name__}: use cl.train(field, out=...)."
            )
        given = [optimizer] if isinstance(optimizer, torch.optim.Optimizer) else list(optimizer)
        self.field, self.budget = field, parse_bytes(memory)
        mine = weakref.ref(self)
        self._loop = Loop(field, model, given, lambda: mine()._after())  # type: ignore[union-attr]
        shapes = dict(zip(field.layout.names, field.layout.shapes, strict=True))
        if {name: p.shape for name, p in self._loop.parameters.items()} != shapes:
            self._loop.stop()
            raise UserError("The model's trainable parameters are not the field's: make the field of this model.")
        self._average: Average | None = None
        self._threads, self._every = torch.get_num_threads(), 1
        self._kept = {0: self._theta()}

    def batch(self, rows: Any, batch: Any = None) -> None:
        """Say which samples the next forward pass sees; several times before a step where gradients are accumulated.

        Parameters
        ----------
        rows : sequence of int
            Their row numbers in the field's data.
        batch : tensor, or tuple or dict of tensors, optional
            Their data as the loop has them, where those are drawn at random, such as the masks of a masked language
            model; the field's own rows where None.

        Raises
        ------
        UserError
            No row numbers, such as a boolean mask; data of other rows; a batch without a backward pass before the next.
        """
        self._measure_average()
        self._loop.batch(rows, batch)

    def clip(self, max_norm: float, norm_type: float = 2.0) -> None:
        """Say that the loop has clipped the gradients by their norm itself, not by torch's function: after it did.

        Raises
        ------
        UserError
            No batch is open.
        """
        self._loop.clip(max_norm, norm_type)

    def average(self, averaged: nn.Module) -> None:
        """Make an averaged copy of the model what objectives see: an exponential moving average, or an equal one.

        The loop updates it after ``optimizer.step()``, at every step or at some; how much of the parameters enters is
        measured each time.

        Parameters
        ----------
        averaged : torch.nn.Module
            ``torch.optim.swa_utils.AveragedModel`` of the model, or a copy that the loop averages itself.

        Raises
        ------
        UserError
            Called after the first step, or of another model. In the loop: an update that is no mean of the average and
            the parameters.
        """
        if self._loop.steps:
            raise UserError("The loop has stepped before: call recorder.average(model) before its first step.")
        self._average = Average(averaged, self.field.layout)

    def _measure_average(self) -> None:
        """Take down the last step's update of the average."""
        if self._average is not None and len(self._average.shares) < len(self._loop.steps):
            self._average.update(self._theta())

    def _after(self) -> None:
        """Keep the parameters after a step; what cannot be replayed is refused at the first."""
        steps = len(self._loop.steps)
        size = self._kept[0].numel() * self._kept[0].element_size()
        if steps % self._every == 0:
            self._kept[steps] = self._theta()
            # The replay keeps as many states, each with what the optimiser carries.
            while len(self._kept) > 2 and 4 * len(self._kept) * size > self.budget:
                self._every *= 2
                self._kept = {t: theta for t, theta in self._kept.items() if t % self._every == 0}
        if steps == 1:
            try:
                with torch.enable_grad(), threads_of_a_loop(self._threads):
                    self._check_first_step()
            except UserError as error:
                self._loop.refused = str(error)
                self._loop.stop()
                raise

    def _check_first_step(self) -> None:
        """Take the first step again, and check the field there: what cannot be replayed is refused at once."""
        field, w = self._ordered(), as_weights(None, self.field).to(self.field.device)
        check_field(field, self._kept[0], w)
        rule = self._rule()
        g = field.gradient(self._kept[0], w, 0)
        state = rule.step(rule.init(self._kept[0]), g, 0)
        try:
            self._compare(field, rule, w, 1, 0, state["theta"], None, self._noise())
        except ReplayMismatch as departed:
            if not departed.acceptable:
                raise
            warnings.warn(str(departed), stacklevel=2)

    def finish(self, out: str | Path | None = None, *, overwrite: bool = False, accept: float | None = None) -> Run:
        """Replay the recorded steps; the run that ``cl.score`` takes.

        Parameters
        ----------
        out : path, optional
            Run folder to write it to; ``cl.load(out, field)`` opens it again.
        overwrite : bool
            Replace a different run there.
        accept : float, optional
            Departure to accept in place of 1e-6 (float64: 1e-9), relative as below. Scores are then those of the
            replay, and "recorder.departure" in the run's metrics says how far it is from the loop.

        Raises
        ------
        UserError
            The replay departs from what was recorded by more than 1e-6 (float64: 1e-9) of the norm of a parameter
            (or of one as large of the model's typical entries): says in which step first, and the reason. Parameters
            whose gradient is nothing but rounding noise, such as the key's bias in attention, are not compared. What
            was recorded is kept: ``finish`` may be called again.
        """
        self._loop.stop()
        if self._loop.refused is not None:
            raise UserError(self._loop.refused)
        steps = len(self._loop.steps)
        if steps == 0 or self._loop.open:
            raise UserError("Nothing to unroll: call recorder.batch(rows) before each optimizer.step().")
        if accept is not None and not 0 < accept < 1:
            raise UserError(f"accept is {accept!r}: give the relative departure to accept, such as 1e-3.")
        self._kept.setdefault(steps, self._theta())
        self._measure_average()
        if self._average is not None and not any(self._average.shares):
            raise UserError("The averaged model was never updated: update it after optimizer.step().")
        field, rule = self._ordered(), self._rule()
        w = as_weights(None, field).to(field.device)
        run = open_run(
            field, rule, steps, None, w, out, overwrite, self.budget, initial=self._kept[0], every=self._every
        )
        try:
            with threads_of_a_loop(self._threads):
                worst = self._replay(run.trajectory, accept)
            write_run(run, batches=self._loop.steps)
            run.store.log_metrics({"recorder.departure": worst})
        except BaseException as error:
            if isinstance(error, UserError):
                run.trajectory.states.clear()  # what was refused is no run to go on with
            run.close()
            raise
        return run

    def _replay(self, training: Training, accept: float | None) -> float:
        """Take all steps again and compare; the largest departure."""
        states, before, worst, noise = training.states, 0, 0.0, self._noise()
        states.put(0, training.optimiser.init(training.initial))
        steps = steps_from(training.field, training.optimiser, training.weights, states.get(0), 0, training.steps)
        for t, state in steps:
            if t in self._kept:
                field, rule, w = training.field, training.optimiser, training.weights
                worst = max(worst, self._compare(field, rule, w, t, before, state["theta"], accept, noise))
                before = t
            if t % self._every == 0 or t == training.steps:
                states.put(t, state)
        if self._average is not None:
            found = departure(self.field.layout, state["average"], self._average.last)
            worst = max(worst, found.relative)
            if found.relative > self._tolerance(accept):
                raise UserError(
                    f"The average of the replay departs from your loop's, in {found.name!r}, by {found.relative:.0e} "
                    "relative: update it right after optimizer.step() and nowhere else."
                )
        return worst

    def _ordered(self) -> TorchField:
        return self.field.ordered(RecordedOrder(self._loop.steps))

    def _rule(self) -> Optimiser:
        ends = torch.tensor([0, *self.field.layout.sizes]).cumsum(0).tolist()
        places = dict(zip(self.field.layout.names, pairwise(ends), strict=True))
        loop = self._loop
        rule = loop.optimizers.rule(loop.settings, loop.moved, loop.clipping, places)
        if self._average is None or len(self._average.shares) < len(loop.steps):  # at the first step
            return rule
        shares = self._average.shares
        return Averaged(rule, decay=lambda t: 1 - shares[t])

    def _theta(self) -> Tensor:
        return self.field.layout.flat(self._loop.parameters)

    def _compare(
        self,
        field: Field,
        rule: Optimiser,
        w: Tensor,
        t: int,
        before: int,
        theta: Tensor,
        accept: float | None,
        noise: OnlyNoise,
    ) -> float:
        """Refuse a replay that differs from what was recorded before step t; how far it does."""
        layout, recorded, start = self.field.layout, self._kept[t], self._kept[before]
        found = departure(layout, theta, recorded, noise.until(t))
        if found.relative <= self._tolerance(accept):
            return found.relative
        where = f"in step {before}" if t == before + 1 else f"in one of the steps {before} to {t - 1}"
        apart, moved = (float(layout.split(x)[found.name].norm()) for x in (theta - recorded, recorded - start))
        of_step = apart / moved if moved else float("inf")
        why, acceptable = reason(
            facts_of(self._loop, self._threads), field, layout, rule, found, before, start, w, of_step
        )
        sentence = (
            f"The replay departs from your loop {where}, in {found.name!r}, by {found.relative:.0e} relative: {why}."
        )
        raise ReplayMismatch(sentence, acceptable)

    def _noise(self) -> OnlyNoise:
        return OnlyNoise(self._loop.norms, self.field.layout.sizes, torch.finfo(self._kept[0].dtype).eps)

    def _tolerance(self, accept: float | None) -> float:
        return TOLERANCE.get(self._kept[0].dtype, 1e-6) if accept is None else accept
