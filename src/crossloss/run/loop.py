"""What is seen of a torch.optim loop while it runs: batches, what they draw, gradients, clipping, settings."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from crossloss.core import UserError
from crossloss.models.torch import TorchField
from crossloss.models.torch.data import batch_rows, each, leaves, paths
from crossloss.models.torch.module import generators
from crossloss.models.torch.steps import Part
from crossloss.run import clipping
from crossloss.run.torch_optim import Clipping, Optimizers, Setting

nan = float("nan")


class Loop:
    """Hooks optimizers, gradients and torch's clipping; refuses in its step what cannot be recorded, and lets go.

    Attributes
    ----------
    steps : list
        Micro-batches of each step.
    settings : list
        Settings of every parameter group at each step.
    norms : list
        Norm of every parameter's gradient at each step, as the optimizers had it; nan where there is none.
    clipping : tuple
        How the gradients are clipped, at every step alike.
    moved : frozenset
        Parameters that the optimizers step, by name: theirs, with a gradient.
    """

    def __init__(
        self,
        field: TorchField,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        stepped: Callable[[], None],
    ) -> None:
        self.optimizers = Optimizers(optimizers, model)
        self.parameters = self.optimizers.parameters
        self.steps: list[list[Part]] = []
        self.settings: list[list[Setting]] = []
        self.norms: list[list[float]] = []
        self.clipping: tuple[Clipping, ...] = ()
        self.moved: frozenset[str] = frozenset()
        self.open: list[Part] = []
        self._field, self._on_step = field, stepped
        self._still: dict[str, int] = {}
        self._clips: list[Clipping] = []
        self._arrived = False
        self._grads: dict[str, tuple[int, int]] = {}
        self._stepped: set[int] = set()
        self._drawing: tuple[Tensor, ...] | None = None
        self._hooks: list[Any] = []
        self.refused: str | None = None
        self._listen()

    def _listen(self) -> None:
        """Hook optimizers, gradients and clipping; one that is dropped takes its hooks with it."""
        mine = weakref.ref(self)

        def call(name: str, *arguments: Any) -> None:
            if (loop := mine()) is not None:
                getattr(loop, name)(*arguments)

        for o in self.optimizers.optimizers:
            self._hooks.append(o.register_step_pre_hook(lambda o, *_: call("_before", o)))
            self._hooks.append(o.register_step_post_hook(lambda o, *_: call("_after", o)))
        for name, p in self.parameters.items():
            hook: Any = p.register_post_accumulate_grad_hook  # untyped
            self._hooks.append(hook(lambda p, name=name: call("_arrive", name, p)))

        def clipped(kind: str, parameters: Sequence[Tensor], limit: float, norm_type: float) -> None:
            call("_clipped", kind, parameters, limit, norm_type)

        clipping.listen(clipped)
        self.stop = weakref.finalize(self, _release, self._hooks, clipped)

    def _refuse(self, sentence: str) -> NoReturn:
        """Refuse a step of the loop, and let go of it."""
        self.refused = sentence
        self.stop()
        raise UserError(sentence)

    def batch(self, rows: Any, data: Any) -> None:
        """Open a micro-batch, with its own data where they are not None."""
        step = len(self.steps)
        if self.refused is not None:
            raise UserError(self.refused)
        if self.open and not self._arrived:
            raise UserError(
                "Two batches without a backward pass between them: call recorder.batch(rows) once for each."
            )
        if self._clips:
            raise UserError(
                f"The gradients of step {step} were clipped before its last batch: clip before the step only."
            )
        self._close_draws()
        part = Part(batch_rows(rows, self._field.samples, step), None if data is None else self._own(data))
        if part.data is not None and {len(leaf) for leaf in leaves(part.data)} != {len(part.rows)}:
            raise UserError(
                f"The batch of step {step} is not of its {len(part.rows)} rows: give tensors with one a row."
            )
        if not self.open:
            self._grads.clear()
        if self._field.dropout_seed is not None and not self.open:
            torch.manual_seed(self._field.dropout_seed + step)
        else:
            self._drawing = tuple(state.clone() for state in generators(self._field.device))
        self.open.append(part)
        self._arrived = False

    def _own(self, batch: Any) -> Any:
        leaves(batch)
        own = each(batch, lambda leaf: leaf.detach().to(self._field.device, copy=True))
        list(paths(own))
        return own

    def _close_draws(self) -> None:
        """Keep the generators' states that the last batch began with, where it drew from them."""
        if self._drawing is not None and self.open:
            now = generators(self._field.device)
            if not all(torch.equal(a, b) for a, b in zip(self._drawing, now, strict=True)):
                last = self.open[-1]
                self.open[-1] = Part(last.rows, last.data, self._drawing)
        self._drawing = None

    def clip(self, max_norm: float, norm_type: float) -> None:
        """Take down a clipping that the loop did by itself."""
        graded = [p for p in self.parameters.values() if p.grad is not None]
        self._clipped("clip_grad_norm_", graded, max_norm, norm_type)

    def _arrive(self, name: str, p: Tensor) -> None:
        """A backward pass added to a gradient."""
        self._arrived = True
        if p.grad is not None:
            self._grads[name] = id(p.grad), p.grad._version

    def _clipped(self, kind: str, parameters: Sequence[Tensor], limit: float, norm_type: float) -> None:
        names = [self.optimizers.name_of(p) for p in parameters if p.grad is not None]
        own = [name for name in names if name is not None]
        if not own or not self.open:
            return
        if len(own) < len(names):
            self._refuse("The gradients of this model were clipped together with others: clip them by themselves.")
        if kind == "clip_grad_value_" and len(own) < sum(p.grad is not None for p in self.parameters.values()):
            self._refuse("clip_grad_value_ was called for some parameters only: call it for all of them.")
        optimized = {name for names in self.optimizers.groups for name in names}
        if odd := next((name for name in own if name not in optimized), None):
            self._refuse(
                f"The gradient of {odd!r} was clipped with the others and no optimizer has it, which would set it to 0 "
                "again: set requires_grad_(False) on it, or clip the optimizer's parameters only."
            )
        if limit < float("inf"):
            self._clips.append(Clipping(kind, tuple(own), limit, norm_type))
        for name in own:
            grad = self.parameters[name].grad
            assert grad is not None
            self._grads[name] = id(grad), grad._version

    def _before(self, optimizer: torch.optim.Optimizer) -> None:
        """Read what a step is made of, before the first optimizer steps."""
        step = len(self.steps)
        if id(optimizer) in self._stepped:
            self._refuse(f"One optimizer stepped twice in step {step}: each of them steps once after recorder.batch.")
        self._stepped.add(id(optimizer))
        if len(self._stepped) > 1:
            return
        if not self.open:
            self._refuse(f"Step {step} has no batch: call recorder.batch(rows) before optimizer.step().")
        self._close_draws()
        try:
            settings = self.optimizers.read()
            self.optimizers.check_same(self.settings[0] if self.settings else settings, settings, step)
        except UserError as error:
            self._refuse(str(error))
        self._check_gradients(step)
        if not step:
            self.clipping = tuple(self._clips)
        elif self.clipping != tuple(self._clips):
            before, now = (", ".join(map(str, c)) or "nothing" for c in (self.clipping, self._clips))
            same = before == now
            what = "of other parameters" if same else f"({now} after {before})"
            self._refuse(f"The clipping changed at step {step} {what}: clip alike at every step.")
        self.settings.append(settings)
        graded = [p.grad for p in self.parameters.values() if p.grad is not None]
        sparse = any(g.is_sparse for g in graded)
        norms = iter(torch.stack([g.norm() for g in graded] if sparse else torch._foreach_norm(graded)).tolist())
        self.norms.append([nan if p.grad is None else next(norms) for p in self.parameters.values()])

    def _check_gradients(self, step: int) -> None:
        """Which parameters have one, always the same; and nobody changed them since the backward pass."""
        mine = {name for names in self.optimizers.groups for name in names}
        graded = {name for name, p in self.parameters.items() if p.grad is not None}
        if not step:
            self.moved = frozenset(graded & mine)
            self._still = {name: p._version for name, p in self.parameters.items() if name not in self.moved}
            if not self.moved:
                self._refuse("No parameter of the optimizer has a gradient: call loss.backward() before the step.")
        elif odd := sorted((graded & mine) ^ self.moved):
            now = "has a gradient" if odd[0] in graded else "has no gradient"
            self._refuse(
                f"{odd[0]!r} {now} at step {step}, other than at step 0, and torch passes over a parameter without "
                "one: use it in every step or in none, or zero_grad(set_to_none=False)."
            )
        for name, version in self._still.items():
            if self.parameters[name]._version != version:
                self._refuse(
                    f"{name!r} has no gradient, or is not the optimizer's, and was changed before step {step}: record "
                    "all optimizers of the loop, cl.Recorder(field, model, [one, other])."
                )
        for name, (identity, version) in self._grads.items():
            grad = self.parameters[name].grad
            if grad is not None and (id(grad), grad._version) != (identity, version):
                self._refuse(
                    f"The gradient of {name!r} was changed between the backward pass and step {step}, by something "
                    "other than torch.nn.utils.clip_grad_norm_ or clip_grad_value_: use those, or leave it out."
                )

    def _after(self, optimizer: torch.optim.Optimizer) -> None:
        """Close the step once all optimizers stepped."""
        if len(self._stepped) < len(self.optimizers.optimizers):
            return
        self._stepped.clear()
        self.steps.append(self.open)
        self.open, self._clips, self._arrived = [], [], False
        self._on_step()


def _release(hooks: list[Any], clipped: clipping.Listener) -> None:
    for hook in hooks:
        hook.remove()
    hooks.clear()
    clipping.stop(clipped)
