"""Mean average cosine distance (Manzini et al. 2019)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import PlainValidator
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.fields import Words
from crossloss.objectives.registry import register
from crossloss.objectives.word_objective import WordObjective, WordView
from crossloss.objectives.words import join_words, name_from_words, normalise_all


def _sets(attributes: Any) -> tuple[tuple[str, ...], ...]:
    if not isinstance(attributes, list | tuple) or any(isinstance(group, str) for group in attributes):
        raise UserError("attributes must be a list of sets of words, each a list: [[...], [...]].")
    return tuple(normalise_all(group, "a set of attributes") for group in attributes)


@register("mac", "TARGET,.../ATTRIBUTE,...[/...]", "targets", "attributes")
class Mac(WordObjective):
    """Mean over targets and attribute sets of the mean of 1 - cos(target, attribute), 0 to 2 (Manzini et al. 2019).

    Raises
    ------
    UserError
        An empty set, or a word that is target and attribute.
    """

    targets: Words
    attributes: Annotated[Sequence[Sequence[str]], PlainValidator(_sets)]
    name: str = ""

    def default_name(self) -> str:
        """Made of the targets and the first attributes."""
        return name_from_words(self.type, self.targets, *self.attributes[:1])

    def check(self) -> None:
        """Refuse a word that is target and attribute, and no attributes."""
        both = [w for words in self.attributes for w in words if w in self.targets]
        if both or not self.attributes:
            what = f"{both[0]!r} is target and attribute" if both else "there is no set of attributes"
            raise UserError(f"{what}: give targets, and other words as attributes.")

    @property
    def sets(self) -> Mapping[str, Sequence[str]]:
        """Targets and the sets of attributes."""
        return {"targets": self.targets} | {f"attributes {i + 1}": words for i, words in enumerate(self.attributes)}

    def __call__(self, view: WordView) -> Tensor:
        """Mean cosine distance, shape ().

        Raises
        ------
        UserError
            All words of a set are absent, or a vector has no direction.
        """
        targets, *sets = self.units(view).values()
        return 1 - targets.mean(0) @ torch.stack([words.mean(0) for words in sets]).mean(0)

    def bounds(self, index: Mapping[str, int]) -> Bounds:
        """Least and greatest value."""
        return 0.0, 2.0

    @property
    def quantity(self) -> str:
        """What the number is."""
        return "mean cosine distance"

    def interpretation(self) -> str:
        """What the value means."""
        return (
            f"Never negative: below 1 {join_words(self.targets)} lie near the attributes, at 1 at right angles, above "
            "1 away from them; one minus a mean cosine."
        )


mac = Mac
