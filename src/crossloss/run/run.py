"""A run: a model, its field, and the training that made its parameters; in memory or in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as field_
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Field, Objective, Optimiser, UserError
from crossloss.models.base import Model
from crossloss.objectives import BaseObjective, as_objective, fingerprint, from_dict, to_dict
from crossloss.run.estimate import estimate_backward_pass, spills
from crossloss.run.origin import origin_of, settings_of
from crossloss.run.results import Results
from crossloss.run.store import Store, content_key
from crossloss.run.trajectory import MemoryStates, SpilledStates, Training, without_steps
from crossloss.utils.display import Table
from crossloss.utils.inputs import not_negative, weight_numbers
from crossloss.utils.memory import Estimate
from crossloss.utils.progress import track

FAR = 2.0
"""Times as long as the run's own parameters, from which on it is looked at whether a retraining diverged."""


@dataclass(eq=False)
class Run:
    """A trained model with all that scores, plans, checks and reports need.

    Attributes
    ----------
    model : SkipGram, TorchField, ...
        What was trained, on which samples.
    field : Field
        Its training field.
    trajectory : Training
        The steps; none of a model that was trained elsewhere.
    seed : int or None
        Of the initial parameters; None: the model's own.
    memory : int
        Budget in bytes.
    store : Store
        Where results are stored.
    given_optimiser : Optimiser
        The update rule as it was given, before the model prepared it.
    results : Results
        Of this process, for the report.

    Examples
    --------
    >>> run = cl.train(cl.SkipGram(corpus, keep_words=weat.words, dimension=8))
    >>> print(run.steps, run.loss, float(weat(run.view)))
    >>> weights = run.weights.copy()
    >>> weights[:10] = 0  # leaves out the first ten sentences
    >>> print(float(weat(run.retrain(weights).view)))
    """

    model: Model
    field: Field
    trajectory: Training
    seed: int | None
    memory: int
    store: Store
    given_optimiser: Optimiser | None = None
    results: Results = field_(default_factory=Results)
    _fingerprints: dict[int, tuple[Any, list[Any]]] = field_(default_factory=dict, init=False, repr=False)

    @property
    def theta(self) -> Tensor:
        """Final parameters (p,), a copy."""
        return self._final().clone()

    def _final(self) -> Tensor:
        if not hasattr(self, "_theta"):
            self._theta = self.trajectory.theta
        return self._theta

    @property
    def view(self) -> Any:
        """The final parameters as objectives see them: words with vectors, or a model to call. A copy."""
        view = self.field.view(self.theta)
        return view.copy() if hasattr(view, "copy") else view

    @property
    def weights(self) -> np.ndarray:
        """Sample weights it was trained with, (n,) float64, a copy."""
        return np.array(self.trajectory.weights.cpu().numpy())

    @property
    def steps(self) -> int:
        """Training steps; 0 of a model that was trained elsewhere."""
        return self.trajectory.steps

    @property
    def optimiser(self) -> Optimiser:
        """The update rule."""
        return self.trajectory.optimiser

    @property
    def loss(self) -> float:
        """Final training loss, in the loss's own unit."""
        return self.model.loss(self._final(), self.trajectory.weights)

    @property
    def has_starts(self) -> bool:
        """Whether the run can be taken again from another seed."""
        return self.steps > 0 and self.model.has_starts

    def seeds(self, count: int, skip: int = 0) -> list[int | None]:
        """``count`` starts after the first ``skip``: the run's own, then the seeds after it; UserError without."""
        if skip + count > 1 and not self.has_starts:
            if self.steps or not self.model.has_starts:
                self.model.start(0)  # says why
            raise UserError("A model that was trained elsewhere has one start: train it here, cl.train(field, ...).")
        first = 0 if self.seed is None else self.seed
        return [self.seed if i == 0 else first + i for i in range(skip, skip + count)]

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What fixes the training beside its sample weights, as plain values."""
        return origin_of(self.model, self.given_optimiser or self.optimiser, self.steps, self.seed)

    def at_once(self, objectives: int) -> int:
        """Objectives that one backward pass has memory for, of so many."""
        rule = self.optimiser if self.steps else None
        return self.model.footprint(rule).at_once(objectives, self.steps, self.memory)

    def estimate(self, objectives: int = 1) -> Estimate:
        """What the backward pass for so many objectives takes, and where the states lie: printed by ``summary``.

        Parameters
        ----------
        objectives : int

        Returns
        -------
        Estimate
            Bytes, about: of torch models measured on two samples of the first batch.

        Raises
        ------
        UserError
            The model was trained elsewhere.

        Examples
        --------
        >>> print(run.estimate().summary()[0])
        """
        if not self.steps:
            self.trajectory.optimiser.init(self.trajectory.initial)  # refuses
        return estimate_backward_pass(self.model, self.trajectory, min(objectives, self.at_once(objectives)))

    def retrain(
        self,
        weights: object = None,
        *,
        seed: int | None = None,
        initial: Tensor | None = None,
        name: str = "retraining",
    ) -> "Run":
        """The same run with other sample weights, or from another start; nothing of it is written to a folder.

        Parameters
        ----------
        weights : (n,) array, optional
            Such as a plan's; the run's own where None.
        seed : int, optional
            Of the initial parameters, for models that have starts; the run's own where None.
        initial : (p,) tensor, optional
            Initial parameters in place of a seed.
        name : str
            Of the progress bar.

        Returns
        -------
        Run
            Its view is right for every objective, ``displacement`` too.

        Raises
        ------
        UserError
            The model was trained elsewhere; weights that are not finite numbers, one a sample; a seed for a model that
            has one start; a training that diverges.

        Examples
        --------
        >>> fixed = run.retrain(plan.weights)
        >>> print(weat(run.view), weat(fixed.view))
        """
        mine = self.trajectory
        if not self.steps:
            mine.optimiser.init(mine.initial)  # refuses
        w = mine.weights
        if weights is not None:
            w = torch.from_numpy(weight_numbers(weights, self.model.samples, self.model.data_noun)).to(w.device)
        if initial is not None and (not isinstance(initial, Tensor) or initial.shape != mine.initial.shape):
            raise UserError(f"initial must be a tensor of the {len(mine.initial)} parameters, as run.theta is.")
        if initial is None:
            initial = mine.initial if seed is None or seed == self.seed else self.model.start(seed)
        field = self.model.started(initial)
        states = SpilledStates(initial.device) if spills(self.model, mine, self.memory) else MemoryStates()
        rule = mine.optimiser if self.given_optimiser is None else self.model.prepare(self.given_optimiser, w)
        training = Training(field, rule, w, mine.steps, initial, states, mine.every)
        with track(name) as progress:
            training.run_to_end(progress, states=False)
        if not float(training.theta.norm()) <= FAR * float(self._final().norm()):
            self.model.check_end(initial, training.theta, w)
        return Run(
            self.model, field, training, self.seed if seed is None else seed, self.memory, Store(), self.given_optimiser
        )

    def at(self, theta: Tensor) -> "Run":
        """The same model at other parameters (p,), which no training led to."""
        without = without_steps(self.field, self.trajectory.weights, theta)
        return Run(self.model, self.field, without, self.seed, self.memory, Store())

    def values(self, objectives: Sequence[Objective]) -> dict[str, float]:
        """Objectives by name, at the final parameters."""
        view = self.view
        with torch.no_grad():
            return {o.name: float(o(view)) for o in map(as_objective, objectives)}

    def fingerprint(self, objective: Objective) -> Any:
        """What identifies an objective in this run's store, as plain values.

        Of a Python function its name, its value and the length of its gradient at the run's parameters.
        """
        objective = as_objective(objective)
        if (plain := fingerprint(objective)) is not None:
            return plain
        known = self._fingerprints
        if id(objective) not in known:
            leaf = self.theta.requires_grad_(True)
            value = objective(self.field.view(leaf))
            (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True) if value.requires_grad else (None,)
            size = None if gradient is None else float(gradient.double().norm())
            known[id(objective)] = objective, [objective.name, float(value.detach()), size]
        return list(known[id(objective)][1])

    def objective_key(self, objective: Objective) -> str:
        """``fingerprint`` as a short text."""
        return content_key(self.fingerprint(objective))[:20]

    @property
    def objectives(self) -> list[Objective]:
        """Objectives of the run's manifest, and those scored last."""
        scored = [] if self.results.scores is None else self.results.scores.objectives
        return list({o.name: o for o in [*map(from_dict, self.store.manifest.get("objectives", [])), *scored]}.values())

    def remember(self, objectives: Sequence[BaseObjective]) -> list[BaseObjective]:
        """Add objectives to the run's manifest, and return all of it; UserError for unknown words or a used name."""
        known = {o.name: o for o in map(from_dict, self.store.manifest.get("objectives", []))}
        for o in objectives:
            o.lookup(self.model.word_index)
            if o.name in known and fingerprint(known[o.name]) != fingerprint(o):
                raise UserError(f"The run has another objective named {o.name}: rename yours.")
            known[o.name] = o
        self.store.set_meta(objectives=[to_dict(o) for o in known.values()])
        return list(known.values())

    def close(self) -> None:
        """Release the run's folder."""
        self.store.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "" if self.store.path is None else f", {self.store.path}"
        trained = f"{self.steps} steps" if self.steps else "trained elsewhere"
        return f"Run({self.model.kind}, {self.model.samples:,} {self.model.sample_noun}s, {trained}{where})"

    def _repr_html_(self) -> str:
        rows = [(name, value) for name, value in settings_of(self.origin).items() if value is not None]
        figures = [(name, float(value)) for name, value in self.store.metrics.items()]
        return Table(repr(self), ("what", "value"), [*rows, *figures]).html()


def as_weights(given: object, model: Model) -> Tensor:
    """Sample weights (n,) float64; the model's own where None.

    Raises
    ------
    UserError
        Not finite numbers of at least 0, one for each sample, or all of them 0.
    """
    own = model.own_weights
    return torch.from_numpy(
        np.array(own) if given is None else not_negative(weight_numbers(given, len(own), model.data_noun))
    )
