"""A corpus trained in one call, with the settings of field and training side by side."""

import crossloss as cl
from crossloss.models.skipgram.settings import split_settings


def train_on(corpus, *, keep_words=(), weights=None, like=None, out=None, overwrite=False, memory="4GB", **settings):
    """The run; ``like`` is a run of the same corpus whose settings and counts hold where nothing else is said."""
    if like is None:
        field, recipe = split_settings(**settings)
        model = cl.SkipGram(corpus, keep_words=keep_words, **field)
        return cl.train(
            model, recipe.optimiser, steps=recipe.steps, seed=recipe.seed,
            weights=weights, out=out, overwrite=overwrite, memory=memory,
        )  # fmt: skip
    named = {name: settings.pop(name) for name in ("steps", "seed") if name in settings}
    _, recipe = split_settings(**{name: settings.pop(name) for name in ("lr", "momentum") if name in settings})
    rule = recipe.optimiser if recipe.model_fields_set else like.given_optimiser
    model = like.model.changed(**settings) if settings else like.model
    return cl.train(
        model, rule, steps=named.get("steps", like.steps), seed=named.get("seed", like.seed),
        weights=weights, out=out, overwrite=overwrite, memory=memory,
    )  # fmt: skip
