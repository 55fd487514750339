"""Mean average cosine distance (Manzini et al. 2019)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import PlainValidator
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.fields import Words
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView
from crossloss.objectives.words import name_from_words, normalise_all


def _sets(attributes: Any) -> tuple[tuple[str, ...], ...]:
    if not isinstance(attributes, list | tuple) or any(isinstance(words, str) for words in attributes):
        raise UserError("attributes must be a list of sets of words, each a list: [[...], [...]].")
    if not attributes:
        raise UserError("there is no set of attributes: give targets, and other words as attributes.")
    return tuple(normalise_all(words, "a set of attributes") for words in attributes)


@register("mac", "TARGET,.../ATTRIBUTE,...(/...)", "targets", "attributes")
class Mac(WordObjective):
    """Mean over targets and attribute sets of the mean of 1 - cos(target, attribute), 0 to 2 (Manzini et al. 2019).

    UserError for an empty set, or a word that is target and attribute.

    Examples
    --------
    >>> mac = cl.objectives.mac(["he", "she"], [["math", "algebra"], ["poetry", "art"]])
    >>> print(float(mac(run.view)))
    """

    targets: Words
    attributes: Annotated[Sequence[Sequence[str]], PlainValidator(_sets)]
    name: str = ""

    quantity = "mean cosine distance"
    limits = (0.0, 2.0)
    meaning = (
        "Never negative: below 1 {targets} lie near the attributes, at 1 at right angles, above 1 away from them; one "
        "minus a mean cosine."
    )

    def check(self) -> None:
        """Refuse a word that is target and attribute."""
        both = [word for words in self.attributes for word in words if word in self.targets]
        if both:
            raise UserError(f"{both[0]!r} is target and attribute: give targets, and other words as attributes.")

    def default_name(self) -> str:
        """Made of the targets and the first attributes."""
        return name_from_words(self.type, self.targets, self.attributes[0])

    @property
    def sets(self) -> Mapping[str, Sequence[str]]:
        """Targets and the sets of attributes."""
        return {"targets": self.targets} | {f"attributes {i + 1}": words for i, words in enumerate(self.attributes)}

    def __call__(self, view: WordView) -> Tensor:
        """Mean cosine distance, shape (); UserError where a set is absent, or a vector has no direction."""
        targets, *sets = self.units(view).values()
        return 1 - targets.mean(0) @ torch.stack([words.mean(0) for words in sets]).mean(0)


mac = Mac
