"""What fixes a run beside its corpus: the same words in Python, on the command line and in the manifest."""

import re
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crossloss.core import UserError
from crossloss.models.skipgram.field import PRIOR


class Settings(BaseModel):
    """Settings of a skip-gram run; every one changes the result."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_count: int = Field(5, ge=1, description="leave out words that occur less often")
    max_words: int = Field(5000, ge=0, description="most frequent words kept, beside the tests' words; 0: all")
    subsample: float = Field(1e-3, ge=0, description="word2vec's subsampling threshold, in expectation; 0: none")
    window: int = Field(5, ge=1, le=100, description="words on either side that count as context")
    negatives: float = Field(5.0, gt=0, description="expected negatives for each observed pair")
    negative_columns: int = Field(0, ge=0, description="negatives drawn for each word and step; 0: all, exactly")
    exponent: float = Field(0.75, ge=0, le=2, description="of the noise distribution over contexts")
    prior: float | None = Field(
        None,
        ge=0,
        description=f"pseudo-counts of pairs that hold each vector near zero; 0: none (default: {PRIOR:g}, less where "
        "words have few pairs)",
    )
    dimension: int = Field(50, ge=1, le=4096, description="length of a word vector")
    steps: int = Field(50, ge=1, description="full-batch training steps")
    lr: float = Field(4.0, gt=0, description="learning rate")
    momentum: float = Field(0.8, ge=0, lt=1, description="of the heavy ball; rises to it from .5 in 20 steps")
    seed: int = Field(0, ge=0, description="of the initial vectors")
    dtype: Literal["float32", "float64"] = Field("float32", description="of all tensors")
    device: str = Field("cpu", description="torch device: cpu, cuda, cuda:1, ...")

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch has it."""
        return torch.float64 if self.dtype == "float64" else torch.float32

    @property
    def counting(self) -> dict[str, Any]:
        """The part that the vocabulary and the pair counts depend on."""
        return {name: getattr(self, name) for name in ("min_count", "max_words", "subsample", "window")}


def make_settings(**values: Any) -> Settings:
    """Validated settings.

    Raises
    ------
    UserError
        A value is out of range or a name is unknown.
    """
    try:
        settings = Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UserError(f"Setting {name}: {first['msg'].lower()} (given: {first['input']!r}).") from error
    try:
        torch.empty(1, device=settings.device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"Device {settings.device!r} is not available here; use --device cpu.") from error
    return settings


def parse_bytes(text: str) -> int:
    """Bytes in a text like 6GB, 500MB or 2GiB.

    Raises
    ------
    UserError
        The text is no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*", text)
    if not match:
        raise UserError(f"{text!r} is no size of memory: write it like 6GB or 500MB.")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " KMGT".index(match[2].upper() or " "))
