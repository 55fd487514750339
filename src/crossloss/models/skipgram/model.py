"""Skip-gram on a corpus: vocabulary, pair counts and settings, from which the training field is built."""

import copy
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossloss.core import Optimiser, UserError
from crossloss.models.base import Model
from crossloss.models.skipgram.counting import count_corpus, stored_corpus, stored_counts
from crossloss.models.skipgram.estimate import footprint
from crossloss.models.skipgram.field import GROWTH, SkipGramField
from crossloss.models.skipgram.kernels import Kernels, unmeasured
from crossloss.models.skipgram.negatives import DrawnNegatives
from crossloss.models.skipgram.sentences import Sentences
from crossloss.models.skipgram.settings import Recipe, Settings, make_settings
from crossloss.objectives.fields import normalise_all
from crossloss.optimisers import preconditioned
from crossloss.text.pairs import PairCounts
from crossloss.text.read import Corpus
from crossloss.text.tokens import normal
from crossloss.text.vocabulary import Vocabulary
from crossloss.utils import files
from crossloss.utils.memory import Footprint

COLLAPSED = 0.5
"""Part of their initial length below which a prior has drawn all vectors to zero; training makes them longer."""
DEFAULT = Recipe.checked({})
COUNTING = ("min_count", "max_words", "subsample", "window")
"""Settings that the vocabulary and the pair counts depend on."""


class SkipGram(Sentences):
    """Exact skip-gram with negative sampling on a corpus (word2vec in expectation: see docs/design.md).

    Parameters
    ----------
    corpus : Corpus
        Of ``cl.read`` or ``cl.from_sentences``.
    keep_words : iterable of str
        Words kept whatever their count: those of the objectives.
    vectors : (p,) tensor, optional
        Word and context vectors to start from, those of a model trained elsewhere (``cl.from_gensim``).
    vocabulary : Vocabulary, optional
        Of that model.
    **settings
        See ``Settings``: dimension, window, negatives, prior, min_count, max_words, ...

    Raises
    ------
    UserError
        Bad settings or words, no corpus.

    Examples
    --------
    >>> field = cl.SkipGram(cl.read("corpus.txt"), keep_words=weat.words, dimension=50)
    >>> run = cl.train(field)
    """

    default_steps = DEFAULT.steps

    def __init__(
        self,
        corpus: Corpus,
        *,
        keep_words: Iterable[str] = (),
        vectors: Tensor | None = None,
        vocabulary: Vocabulary | None = None,
        **settings: Any,
    ) -> None:
        if not isinstance(corpus, Corpus):
            raise UserError(f"SkipGram takes a corpus, not a {type(corpus).__name__}: cl.read(FILE).")
        self.corpus, self.settings = corpus, make_settings(**settings)
        words = normalise_all(keep_words, "keep_words", least=0, unique=False)
        self.keep_words = tuple(sorted({normal(word, corpus.form) for word in words}))
        self.vectors = None if vectors is None else self._as_vectors(vectors)
        self._vocabulary = vocabulary
        self._counts: PairCounts | None = None
        self._field: SkipGramField | None = None
        self._kernels: Kernels | None = None
        self._mapped = False

    def changed(self, **settings: Any) -> "SkipGram":
        """The same corpus, words and given vectors with other settings; equal pair counts are shared.

        Raises
        ------
        UserError
            As the class; given vectors of which a setting would change words or dimension.
        """
        other, old = copy.copy(self), self.settings
        other.settings, other._field = make_settings(**(old.model_dump() | settings)), None
        other._kernels = None
        if self.vectors is not None:
            for name in ("dimension", "min_count", "max_words", "subsample"):
                if getattr(other.settings, name) != getattr(old, name):
                    raise UserError(
                        f"The {name} of given vectors is theirs: leave it out, or start anew with cl.SkipGram(corpus)."
                    )
            other.vectors = other._as_vectors(self.vectors)
        if any(getattr(other.settings, name) != getattr(old, name) for name in COUNTING):
            other._counts, other._mapped = None, False
            other._vocabulary = None if self.vectors is None else self._vocabulary
        return other

    def with_vectors(self, vectors: Tensor) -> "SkipGram":
        """The same model that starts from these word and context vectors, (p,)."""
        other = copy.copy(self)
        other.vectors = self._as_vectors(vectors)
        return other

    def _as_vectors(self, vectors: Any) -> Tensor:
        """A flat copy in the field's dtype."""
        flat = torch.as_tensor(vectors).detach().reshape(-1)
        if not bool(torch.isfinite(flat).all()):
            raise UserError("The given vectors are not finite: train that model again with a smaller learning rate.")
        return flat.to("cpu", self.settings.torch_dtype, copy=True)

    @property
    def device(self) -> torch.device:
        """Where parameters are."""
        return torch.device(self.settings.device)

    @property
    def vocabulary(self) -> Vocabulary:
        """Words by row; counted when first asked for."""
        return self.build().vocabulary

    @property
    def counts(self) -> PairCounts:
        """Expected pair counts of every sentence; counted when first asked for."""
        return self.build().counts

    def build(self, folder: Path | None = None) -> SkipGramField:
        """Count pairs, in files of ``folder`` where it is given, and make the field; once."""
        if self._field is None or folder is not None:
            mapped = folder is not None and self._counts is None
            self._vocabulary, self._counts = vocabulary, counts = count_corpus(
                self.corpus, self.settings, self.keep_words, folder, self._vocabulary, self._counts
            )
            self._mapped |= mapped
        if self._field is None:
            corpus, matrix = self.corpus, counts.matrix
            # Shared from here on: scores and plans go by their order.
            for array in (corpus.weights, corpus.tokens, corpus.indptr, vocabulary.counts, vocabulary.keep,
                          counts.pairs, matrix.data, matrix.indices, matrix.indptr):  # fmt: skip
                array.flags.writeable = False
            kind = DrawnNegatives if self._drawn(len(vocabulary.words)) else SkipGramField
            self._field = kind(counts, vocabulary, corpus.weights, self.settings, kernels=self._kernels)
        return self._field

    def _drawn(self, words: int) -> int:
        """Negatives drawn for each word and step, said where nobody asked for them; 0: all."""
        drawn = self.settings.drawn(words)
        if drawn and self.settings.negative_columns is None:
            warnings.warn(
                f"A vocabulary of {words:,} words: {drawn:,} negatives are drawn for each word and step. Give "
                "negative_columns= as many as you want, or 0 for all of them, exactly.",
                stacklevel=4,
            )
        return drawn

    def recall(self, kernels: Mapping[str, Any]) -> None:
        """Compute by the products and tiles that a run began with; empty: what all had before there was a choice."""
        known = Kernels.known(kernels) if kernels else unmeasured(self.device)
        if self._field is not None and self._field.kernels != known:
            self._field = None
        self._kernels = known

    @property
    def kernels(self) -> dict[str, Any]:
        """The products and tiles of the field."""
        return self.build().kernels.stored()

    def started(self, theta: Tensor) -> SkipGramField:
        """The field whose view shows where each word began."""
        return self.build().started(theta)

    def identity(self, steps: int = 1, seed: int | None = None) -> dict[str, Any]:
        """Corpus, words, settings, and the vectors to start from."""
        known: dict[str, Any] = {
            "model": self.kind,
            "corpus": self.corpus.digest,
            "keep_words": list(self.keep_words),
            "settings": self.settings.stored(),
        }
        if self.vectors is not None:
            self._check_seed(seed)
            known["vectors"] = files.digest(self.vectors.numpy())
        return known

    @classmethod
    def from_folder(cls, folder: Path, identity: Mapping[str, Any]) -> "SkipGram":
        """The model of a run folder."""
        corpus, given = stored_corpus(folder), dict[str, Any]()
        if "vectors" in identity:
            given["vectors"] = files.read_tensors(folder / "start.safetensors")["theta"]
            given["vocabulary"], _ = stored_counts(folder)
        return cls(corpus, keep_words=identity["keep_words"], **given, **Settings.known(identity["settings"]))

    def footprint(self, optimiser: Optimiser | None) -> Footprint:
        """Bytes of a run."""
        elements = 0 if self._mapped else self.counts.matrix.nnz
        words, pairs = len(self.vocabulary.words), len(self.counts.pairs)
        return footprint(self.settings, self.corpus, words=words, pairs=pairs, elements=elements)

    @property
    def has_starts(self) -> bool:
        """Whether vectors are drawn from a seed."""
        return self.vectors is None

    @property
    def first_seed(self) -> int | None:
        """0; None where the vectors are given."""
        return None if self.vectors is not None else 0

    def start(self, seed: int | None) -> Tensor:
        """Initial vectors (p,) drawn from the seed and each word, or those given."""
        self._check_seed(seed)
        field = self.build()
        if self.vectors is None:
            return field.initial(0 if seed is None else seed)
        if self.vectors.numel() != field.parameters:
            raise UserError(
                f"The given vectors are {self.vectors.numel():,} numbers, and {field.size:,} words with contexts of "
                f"dimension {field.dimension} are {field.parameters:,}: give vectors with their vocabulary."
            )
        return self.vectors.to(field.device)

    def _check_seed(self, seed: int | None) -> None:
        """Refuse a start that is not there."""
        if self.vectors is not None and seed is not None:
            raise UserError(
                "This model starts from given vectors and has no other starts: leave the seed out, or train its corpus "
                "from the beginning, cl.train(cl.SkipGram(corpus))."
            )
        if self.vectors is None and seed is None:
            raise UserError(
                "A corpus brings no trained vectors: pass cl.from_gensim(model, corpus) or cl.from_word2vec(file, "
                "corpus), or train it here, cl.train(field)."
            )

    def optimiser(self) -> Optimiser:
        """Heavy ball, lr 4, momentum rising to .8."""
        return DEFAULT.optimiser

    def prepare(self, optimiser: Optimiser, weights: Tensor) -> Optimiser:
        """Divide a heavy ball's learning rate by the frequency of each word (``SkipGramField.step_scale``)."""
        return preconditioned(optimiser, self.build().step_scale(weights))

    def check_start(self, theta: Tensor, weights: Tensor) -> None:
        """Warn where steps depend on the weights, which scores do not see."""
        if self.build().rows_following(weights):
            warnings.warn(
                f"The weights make words more than {GROWTH:g} times as frequent as the corpus does. Steps along them "
                "follow the weights, which scores take for constant: check them by cl.validate.",
                stacklevel=4,
            )

    def check_end(self, initial: Tensor, theta: Tensor, weights: Tensor) -> None:
        """Refuse a loss above its start, and a prior that drew all vectors to zero."""
        field = self.build()
        loss = field.loss(theta, weights)
        if not loss <= field.loss(initial, weights):
            raise UserError(f"Training diverged: the loss ends at {loss:.3g}, above its start; choose a smaller lr=.")
        if theta.norm() < COLLAPSED * initial.norm():
            raise UserError(
                f"The prior of {field.prior:g} outweighs this corpus, whose vectors it draws to zero: give a smaller "
                "prior= (0: none), or more text."
            )

    def loss(self, theta: Tensor, weights: Tensor) -> float:
        """Training loss, nats per pair."""
        return self.build().loss(theta, weights)

    def figures(self) -> Mapping[str, float]:
        """The prior that was taken, and how many negatives were drawn for each word and step (0: all taken)."""
        field = self.build()
        return {"train.prior": field.prior, "train.negative_columns": self.settings.drawn(field.size)}


def require_skipgram(model: Model, what: str) -> SkipGram:
    """The model, for what works on the words of a corpus only; UserError for another one."""
    if not isinstance(model, SkipGram):
        raise UserError(
            f"{what} works on the words of a corpus: it needs a run of cl.SkipGram, not a {model.kind} one."
        )
    return model
