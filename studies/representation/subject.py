"""What the study is about: a model, how it is trained from a seed, and what is asked of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import crossloss as cl


@dataclass(frozen=True)
class Subject:
    """A model and its questions.

    Attributes
    ----------
    model : str
        "bert" or "minilm", as figures name it.
    title : str
    notes : tuple of str
        How it is trained.
    trainer : callable
        seed -> a transformers Trainer that has not trained: of its initial parameters and of the order of the rows.
    objectives : dict
        By label; a plan is made for the first.
    variants : dict
        The first with other poolings, layers and templates, by what is chosen.
    quality : callable
        view -> accuracy and others that a plan should keep.
    target : callable
        (value, value before the training) -> where a plan should bring the first objective.
    embed : callable
        (view, texts) -> (m, d) tensor, for the baseline embedding-cosine.
    show : callable
        (scores, label, rows) -> texts of some rows with what moved marked.
    shares : tuple of float
        Parts of the rows that are left out.
    losses : callable or None
        As of ``record``.
    pretrained : bool
        Whether all seeds have the same value before the training.
    """

    model: str
    title: str
    notes: Sequence[str]
    trainer: Callable[[int], Any]
    objectives: Mapping[str, Any]
    variants: Mapping[str, Any]
    quality: Callable[[Any], dict[str, float]]
    target: Callable[[float, float], float]
    embed: Callable[[Any, list[str]], Any]
    show: Callable[[cl.Scores, str, Sequence[int]], list[str]]
    shares: Sequence[float]
    losses: Callable[..., Any] | None = None
    pretrained: bool = False

    def label(self, name: str) -> str:
        """Of the objective of this name."""
        return next(label for label, objective in self.objectives.items() if objective.name == name)


def gender_career() -> dict[str, Sequence[str]]:
    """Words of WEAT 6 with the terms of WEAT 7 for its names: those of seat6b."""
    career, terms = cl.objectives.weat("weat6"), cl.objectives.weat("weat7")
    return {"X": terms.A, "Y": terms.B, "A": career.A, "B": career.B}


def variants(tokenizer: Any, layers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """SEAT of gender and career by what is chosen: every pooling of the last of ``layers``, the mean of the others.

    ``layers`` are arguments of ``cl.objectives.seat``, by what the table calls them.
    """
    *others, last = layers.items()
    made = {
        f"pooling {pooling}, {last[0]}": cl.objectives.seat("seat6b", tokenizer, pooling=pooling, **last[1])
        for pooling in ("mean", "word", "first-piece", "cls")
    }
    made |= {f"pooling mean, {name}": cl.objectives.seat("seat6b", tokenizer, **given) for name, given in others}
    words = gender_career()
    frames = {"words alone": "{}", "only “This is W.”": "This is {}.", "only “W is here.”": "{} is here."}
    for name, frame in frames.items():
        given = {side: [frame.format(word) for word in of] for side, of in words.items()}
        made[f"pooling mean, {last[0]}, {name}"] = cl.objectives.seat(given, tokenizer, name=name, **last[1])
    made[f"pooling mean, {last[0]}, ddof 0"] = cl.objectives.seat("seat6b", tokenizer, ddof=0, **last[1])
    made[f"pooling mean, {last[0]}, names for terms"] = cl.objectives.seat("seat6", tokenizer, **last[1])
    return made


def half(value: float, before: float) -> float:
    """Halfway between the value and 0."""
    return value / 2


def half_back(value: float, before: float) -> float:
    """Halfway back to the value before the training."""
    return (value + before) / 2
