"""Mean average cosine distance (Manzini et al. 2019)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.bounds import Bounds
from crossloss.objectives.words import WordObjective, WordView, given_name, listed, naming, several


@dataclass(frozen=True)
class Mac(WordObjective):
    """Mean over targets and attribute sets of the mean of 1 - cos(target, attribute), 0 to 2 (Manzini et al. 2019)."""

    name: str
    targets: tuple[str, ...]
    attributes: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        with naming(self.name):
            self._clean(targets=several(self.targets, "targets"), attributes=several_sets(self.attributes))
        both = [w for words in self.attributes for w in words if w in self.targets]
        if both or not self.attributes:
            what = f"{both[0]!r} is target and attribute" if both else "there is no set of attributes"
            raise UserError(f"{self.name}: {what}: give targets, and other words as attributes.")

    @property
    def sets(self) -> dict[str, tuple[str, ...]]:
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
    def measure(self) -> str:
        """What the number is."""
        return "mean cosine distance"

    def reading(self) -> str:
        """What the value means."""
        return (
            f"Never negative: below 1 {listed(self.targets)} lie near the attributes, at 1 at right angles, above 1 "
            "away from them; one minus a mean cosine."
        )


def mac(targets: str | Sequence[str], attributes: Sequence[Sequence[str]], name: str = "") -> Mac:
    """Mean average cosine distance of targets to sets of attributes.

    Raises
    ------
    UserError
        An empty set, or a word that is target and attribute.
    """
    words, sets = several(targets, "targets"), several_sets(attributes)
    return Mac(name or given_name("mac", words, *sets[:1]), words, sets)


def several_sets(attributes: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Sets of words as the vocabulary has them.

    Raises
    ------
    UserError
        Not a list of sets, or as ``several``.
    """
    if not isinstance(attributes, list | tuple) or any(isinstance(group, str) for group in attributes):
        raise UserError("attributes must be a list of sets of words, each a list: [[...], [...]].")
    return tuple(several(group, "a set of attributes") for group in attributes)
