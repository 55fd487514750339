"""By how much a word lies nearer to some words than to others."""

from crossloss.objectives.association import MeanCosineDifference
from crossloss.objectives.fields import Word, Words
from crossloss.objectives.registry import register


@register("margin", "WORD/NEAR,.../FAR,...", "word", "near", "far")
class Margin(MeanCosineDifference):
    """An association with neighbours for attributes: mean cosine to the near words less that to the far ones, -2 to 2.

    UserError for an empty set, or a word on two sides.

    Parameters
    ----------
    word : str
    near, far : sequences of str
    name : str

    Examples
    --------
    >>> margin = cl.objectives.margin("math", near=["he", "him"], far=["she", "her"])
    >>> print(float(margin(run.view)))
    """

    word: Word
    near: Words
    far: Words
    name: str = ""


margin = Margin
