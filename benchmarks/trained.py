"""A corpus trained in one call: settings of the field and of the training side by side, as a command line has them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import crossloss as cl
from crossloss.models.skipgram.settings import split_settings


def train_on(
    corpus: cl.Corpus,
    *,
    keep_words: Iterable[str] = (),
    out: Path | None = None,
    memory: str = "4GB",
    **settings: Any,
) -> cl.Run:
    """The run of a skip-gram field: dimension, window, prior, ... with lr, momentum, steps and seed."""
    field, recipe = split_settings(**settings)
    model = cl.SkipGram(corpus, keep_words=keep_words, **field)
    return cl.train(model, recipe.optimiser, steps=recipe.steps, seed=recipe.seed, out=out, memory=memory)
