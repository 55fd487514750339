"""Skip-gram on a corpus: vocabulary, pair counts and settings, from which the training field is built."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossloss.core import Accumulator, Optimiser, UserError
from crossloss.models.base import Model
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.estimate import footprint
from crossloss.models.skipgram.explain import Explanation, explain_text
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.influence import PairInfluence, project
from crossloss.models.skipgram.kernels import Kernels, unmeasured
from crossloss.models.skipgram.negatives import DrawnNegatives
from crossloss.models.skipgram.quality import quality
from crossloss.models.skipgram.settings import Recipe, Settings, make_settings
from crossloss.objectives.fields import normalise_all
from crossloss.optimisers import preconditioned
from crossloss.text.mapped import open_corpus
from crossloss.text.pairs import PairCounts, count_pairs
from crossloss.text.read import Corpus
from crossloss.text.streamed import stream_pairs
from crossloss.text.tokens import normal
from crossloss.text.vocabulary import Vocabulary, build_vocabulary, known_words
from crossloss.utils import files
from crossloss.utils.inputs import row_numbers
from crossloss.utils.mapping import map_arrays
from crossloss.utils.memory import Footprint
from crossloss.utils.progress import track

COLLAPSED = 0.5
"""Part of their initial length below which a prior has drawn all vectors to zero; training makes them longer."""
DEFAULT = Recipe.checked({})
COUNTING = ("min_count", "max_words", "subsample", "window")
"""Settings that the vocabulary and the pair counts depend on."""
MAPPED = "corpus.safetensors"
"""File of a run folder with the words and texts of a corpus that is mapped."""
PARTS = ("samples.parquet", "vocabulary.json", "pairs.safetensors")
"""Files of a run folder that hold corpus, vocabulary and counts."""


class SkipGram(Model):
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

    kind, sample_noun, data_noun = "skip-gram", "sentence", "the corpus"
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
    def samples(self) -> int:
        """Sentences, candidates too."""
        return len(self.corpus)

    @property
    def device(self) -> torch.device:
        """Where parameters are."""
        return torch.device(self.settings.device)

    @property
    def own_weights(self) -> np.ndarray:
        """1 for a sentence, 0 for a candidate, (n,) float64."""
        return self.corpus.weights

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
            vocabulary, counts = self._count(folder)
        if self._field is None:
            corpus, matrix = self.corpus, counts.matrix
            # Shared from here on: scores and plans go by their order.
            for array in (corpus.weights, corpus.tokens, corpus.indptr, vocabulary.counts, vocabulary.keep,
                          counts.pairs, matrix.data, matrix.indices, matrix.indptr):  # fmt: skip
                array.flags.writeable = False
            kind = DrawnNegatives if self.settings.negative_columns else SkipGramField
            self._field = kind(counts, vocabulary, corpus.weights, self.settings, kernels=self._kernels)
        return self._field

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

    def _count(self, folder: Path | None) -> tuple[Vocabulary, PairCounts]:
        """Vocabulary and counts: at hand, of the folder, or counted now; after it the folder has all its files."""
        s, vocabulary, counts = self.settings, self._vocabulary, self._counts
        if folder is None or not all((folder / name).exists() for name in PARTS):
            if vocabulary is None:
                limits: dict[str, Any] = {"min_count": s.min_count, "max_words": s.max_words or None}
                vocabulary = build_vocabulary(self.corpus, keep_words=self.keep_words, subsample=s.subsample, **limits)
            if counts is None:
                with track("counting pairs") as progress:
                    if folder is None:
                        counts = count_pairs(self.corpus, vocabulary, window=s.window, progress=progress)
                    else:
                        file = folder / "pairs.safetensors"
                        stream_pairs(self.corpus, vocabulary, window=s.window, file=file, progress=progress)
            elif folder is not None:
                files.write_arrays(folder / "pairs.safetensors", counts.to_tensors())
            if folder is not None:
                files.write_json(folder / "vocabulary.json", vocabulary.to_json())
                if self.corpus.file is not None:
                    files.link(folder / MAPPED, self.corpus.file)
                files.write_tables(folder / "samples.parquet", self.corpus.tables())  # the last: all are there now
        if folder is not None and counts is None:
            vocabulary, counts = _stored(folder)
            self._mapped = True
        assert vocabulary is not None
        assert counts is not None
        self._vocabulary, self._counts = vocabulary, counts
        return vocabulary, counts

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
        if (folder / MAPPED).exists():
            corpus = open_corpus(folder / MAPPED)
        else:
            corpus = Corpus.from_table(files.read_table(folder / "samples.parquet"))
        given: dict[str, Any] = {}
        if "vectors" in identity:
            given["vectors"] = files.read_tensors(folder / "start.safetensors")["theta"]
            given["vocabulary"], _ = _stored(folder)
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

    def prepare(self, optimiser: Optimiser) -> Optimiser:
        """Divide a heavy ball's learning rate by the frequency of each word (``SkipGramField.step_scale``)."""
        return preconditioned(optimiser, self.build().step_scale())

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

    def benchmarks(self, view: Embeddings) -> dict[str, float]:
        """WordSim-353 and SimLex-999, Spearman, where they can be measured."""
        measured = quality(view.words, view.vectors.cpu().numpy())
        figures = {"wordsim353": measured.wordsim353, "simlex999": measured.simlex999}
        return {name: value for name, value in figures.items() if value is not None}

    def tensors(self, view: Embeddings) -> dict[str, Tensor]:
        """Both matrices, (V, d) each."""
        return {"vectors": view.vectors, "contexts": view.contexts}

    @property
    def word_index(self) -> Mapping[str, int]:
        """Row of every word."""
        return self.vocabulary.index

    def with_words(self, words: Iterable[str]) -> np.ndarray:
        """Sentences (n,) bool with one of these words."""
        index, found = self.vocabulary.index, np.zeros(len(self.corpus), dtype=bool)
        wanted = np.zeros(len(index), dtype=bool)
        wanted[[index[word] for word in words if word in index]] = True
        for block, known, sample in known_words(self.corpus, self.vocabulary):
            found[block.start + sample[wanted[known]]] = True
        return found

    def columns(self) -> dict[str, Sequence[Any]]:
        """Id, document and text."""
        return {"id": self.corpus.ids, "document": self.corpus.documents, "text": self.corpus.texts}

    def show(self, sample: int) -> str:
        """The sentence."""
        return self.corpus.texts[sample]

    def candidates(self, weights: np.ndarray) -> np.ndarray:
        """The corpus's candidates, whatever was left out of training."""
        return np.asarray(self.corpus.weights == 0)

    def explain(self, atoms: np.ndarray, sample: str | int, weights: np.ndarray) -> Explanation:
        """A sentence by its number, or any text, taken apart into word pairs."""
        texts = self.corpus.texts
        if isinstance(sample, str):
            text, number = sample, next((i for i, t in enumerate(texts) if t == sample and weights[i] > 0), None)
        else:
            (row,) = row_numbers([sample], len(texts), "The number of the sentence").tolist()
            text, number = texts[row], row if weights[row] > 0 else None
        explained = explain_text(self, atoms, text)
        if len(explained.spans) < 2:
            raise UserError("The sentence has fewer than two words of the vocabulary, so it has no pairs.")
        return explained if number is None else replace(explained, sample=number, weight=float(weights[number]))

    def atoms(self, influence: Accumulator) -> np.ndarray:
        """Derivative by the count of each pair in both orders, (k, m) float32."""
        assert isinstance(influence, PairInfluence)
        return influence.unordered().astype(np.float32)

    def project(self, atoms: np.ndarray) -> np.ndarray:
        """Scores (k, n): each sentence's counts times the pairs' values."""
        return project(self.counts, atoms.astype(np.float64))

    def figures(self) -> Mapping[str, float]:
        """The prior that was taken."""
        return {"train.prior": self.build().prior}


def require_skipgram(model: Model, what: str) -> SkipGram:
    """The model, for what works on the words of a corpus only; UserError for another one."""
    if not isinstance(model, SkipGram):
        raise UserError(
            f"{what} works on the words of a corpus: it needs a run of cl.SkipGram, not a {model.kind} one."
        )
    return model


def _stored(folder: Path) -> tuple[Vocabulary, PairCounts]:
    """Vocabulary and counts of a run folder, the counts mapped."""
    vocabulary = Vocabulary.from_json(files.read_json(folder / "vocabulary.json"))
    return vocabulary, PairCounts.from_tensors(map_arrays(folder / "pairs.safetensors"))
