"""``cl.train``: a corpus by skip-gram, or a torch field by an optimiser."""

from typing import Any, overload

from crossloss.core import Optimiser, UserError
from crossloss.models.torch import TorchField
from crossloss.run import runs
from crossloss.run.fields import FieldRun, train_field
from crossloss.text.read import Corpus


@overload
def train(what: Corpus, **settings: Any) -> runs.Run: ...
@overload
def train(what: TorchField, optimiser: Optimiser, *, steps: int, **settings: Any) -> FieldRun: ...
def train(what: Corpus | TorchField, *args: Any, **settings: Any) -> runs.Run | FieldRun:
    """Train, and keep what scores need.

    ``train(corpus, weights=, like=, keep_words=, out=, overwrite=, memory=, track=, **settings)`` trains exact
    skip-gram: see ``crossloss.run.runs.train``. ``train(field, optimiser, steps=, weights=, memory=, track=)``
    trains any torch model: see ``crossloss.run.fields.train_field``.

    Raises
    ------
    UserError
        Neither a corpus nor a field; or as said there.
    """
    if isinstance(what, Corpus):
        return runs.train(what, *args, **settings)
    if isinstance(what, TorchField):
        if len(args) != 1 or "steps" not in settings:
            raise UserError("A field is trained by an optimiser: cl.train(field, cl.SGD(lr=.1), steps=200).")
        return train_field(what, *args, **settings)
    raise UserError(f"A {type(what).__name__} cannot be trained: pass cl.read(FILE) or cl.TorchField(...).")
