"""What fixes a skip-gram field beside its corpus: the same names in Python, on the command line and in the manifest."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crossloss.core import UserError
from crossloss.optimisers import HeavyBall, MomentumWarmup

PRIOR = 10.0
"""Pseudo-counts of the prior where none are given, of a corpus that is not small."""
EXACT_WORDS, DRAWN = 30_000, 2048
"""Most words whose negatives are all taken where nothing is said of them, and how many are drawn of more words."""


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Validated values; UserError for one out of range or an unknown name."""
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise UserError(f"Setting {name}: {first['msg'].lower()} (given: {first['input']!r}).") from error


class Settings(_Values):
    """Settings of a skip-gram field; every one changes the result."""

    min_count: int = Field(5, ge=1, description="leave out words that occur less often")
    max_words: int = Field(5000, ge=0, description="most frequent words kept, beside the tests' words; 0: all")
    subsample: float = Field(1e-3, ge=0, description="word2vec's subsampling threshold, in expectation; 0: none")
    window: int = Field(5, ge=1, le=100, description="words on either side that count as context")
    negatives: float = Field(5.0, gt=0, description="expected negatives for each observed pair")
    negative_columns: int | None = Field(
        None,
        ge=0,
        description="negatives drawn for each word and step; 0: all, exactly (default: all of up to "
        f"{EXACT_WORDS} words, {DRAWN} of more)",
    )
    negative_seed: int = Field(0, ge=0, description="of the drawn negatives")
    negative_control: Literal["none", "linear", "quadratic"] = Field(
        "linear", description="none, linear or quadratic: the surrogate that takes variance out of the drawn negatives"
    )
    exponent: float = Field(0.75, ge=0, le=2, description="of the noise distribution over contexts")
    prior: float | None = Field(
        None,
        ge=0,
        description=f"pseudo-counts of pairs that hold each vector near zero; 0: none (default: {PRIOR:g}, less where "
        "words have few pairs)",
    )
    dimension: int = Field(50, ge=1, le=4096, description="length of a word vector")
    dtype: Literal["float32", "float64"] = Field("float32", description="of all tensors")
    device: str = Field("cpu", description="torch device: cpu, cuda, cuda:1, ...")

    @classmethod
    def known(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Values of a manifest; drawn negatives without a ``negative_control`` have none."""
        return ({"negative_control": "none"} if stored.get("negative_columns") else {}) | dict(stored)

    def stored(self) -> dict[str, Any]:
        """Values for a manifest; a ``negative_control`` that does nothing is left out, as runs before it have none."""
        without = self.exact or self.negative_control == "none"
        values = self.model_dump(exclude={"negative_control"} if without else None)
        return values | ({"negative_columns": 0} if self.exact else {})

    @property
    def exact(self) -> bool:
        """Whether all negatives are taken, whatever the corpus."""
        return self.negative_columns == 0 or (self.negative_columns is None and 0 < self.max_words <= EXACT_WORDS)

    def drawn(self, words: int) -> int:
        """Negatives drawn for each word and step of a vocabulary of so many words; 0 where all are taken."""
        if self.negative_columns is not None:
            return self.negative_columns
        return DRAWN if words > EXACT_WORDS and not self.exact else 0

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch has it."""
        return torch.float64 if self.dtype == "float64" else torch.float32


class Recipe(_Values):
    """How the command line trains: the settings of a run that are not the field's."""

    steps: int = Field(50, ge=1, description="full-batch training steps")
    lr: float = Field(4.0, gt=0, description="learning rate")
    momentum: float = Field(0.8, ge=0, lt=1, description="of the heavy ball; rises to it from .5 in 20 steps")
    seed: int = Field(0, ge=0, description="of the initial vectors")

    @property
    def optimiser(self) -> HeavyBall:
        """Heavy ball with these settings."""
        return HeavyBall(self.lr, MomentumWarmup(self.momentum))


def stored_settings(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings and recipe of the run that a plan is of, flat."""
    rule = notes.get("optimiser") or {}
    recipe = {"lr": rule.get("scale"), "momentum": rule.get("momentum", {}).get("last")}
    recipe |= {"steps": notes.get("steps") or None, "seed": notes.get("seed")}
    return Settings.known(notes.get("field", {}).get("settings", {})) | {
        k: v for k, v in recipe.items() if v is not None
    }


def make_settings(**values: Any) -> Settings:
    """Validated settings of the field; UserError for a value out of range, an unknown name or an absent device."""
    elsewhere = [name for name in values if name in Recipe.model_fields]
    if elsewhere:
        raise UserError(
            f"{', '.join(elsewhere)} belongs to the training: cl.train(field, cl.HeavyBall(4.0), steps=50, seed=0)."
        )
    settings = Settings.checked(values)
    try:
        torch.empty(1, device=settings.device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"Device {settings.device!r} is not available here; use the device cpu.") from error
    return settings


def split_settings(**values: Any) -> tuple[dict[str, Any], Recipe]:
    """Settings of a command line: those of the field, and the recipe. UserError as ``make_settings``."""
    recipe = {name: values.pop(name) for name in Recipe.model_fields if name in values}
    return values, Recipe.checked(recipe)
