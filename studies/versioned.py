"""Both versions of every sentence as one corpus: a model of the earlier ones and one of the later differ in weights."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

import crossloss as cl
from crossloss.text.tokens import WITH_NUMBERS
from crossloss.text.versions import Versions

Side = Literal["before", "after"]


@dataclass(frozen=True, eq=False)
class VersionedCorpus:
    """Both versions of every sentence as samples of one corpus: the sides differ in weights only.

    The corpus's own weights are the mean of the two sides (1/2 for a version, 1 for what both have), so vocabulary,
    expected counts, noise and step sizes are one for both, and going from one side to the other is applying edits.
    """

    corpus: cl.Corpus  # all earlier versions, all later ones, the sentences of one version, the background
    pairs: int  # m
    own: int  # samples that are not background

    @property
    def before(self) -> np.ndarray:
        """Samples of the earlier versions, (m,)."""
        return np.arange(self.pairs)

    @property
    def after(self) -> np.ndarray:
        """Samples of the later versions, (m,)."""
        return np.arange(self.pairs, 2 * self.pairs)

    def weights(self, side: Side) -> np.ndarray:
        """Weights (n,) of one side: 1 for its versions and for what both have, 0 for the others."""
        weights = np.ones(len(self.corpus))
        weights[self.after if side == "before" else self.before] = 0.0
        return weights


def combine_versions(versions: Versions, background: cl.Corpus | None = None) -> VersionedCorpus:
    """Make one corpus of both sides, with a background added to both alike; numbers are one word.

    Sample ids are 1.before, 1.after, same:1, ... and, behind "background:", those of the background.
    """
    m = len(versions.before)
    texts = [*versions.before, *versions.after, *versions.same]
    ids = [f"{i + 1}.{side}" for side in get_args(Side) for i in range(m)]
    ids += [f"same:{i + 1}" for i in range(len(versions.same))]
    own, documents = len(texts), [""] * len(texts)
    if background is not None:
        texts += background.texts
        ids += [f"background:{name}" for name in background.ids]
        documents += background.documents
    weights = np.repeat([0.5, 1.0], [2 * m, len(texts) - 2 * m])
    return VersionedCorpus(cl.Corpus(ids, documents, texts, weights, WITH_NUMBERS, versions.source), m, own)
