"""What tables, reports and scores see of skip-gram: sentences and their words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from crossloss.core import Accumulator, UserError
from crossloss.models.base import Model
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.explain import Explanation, explain_text
from crossloss.models.skipgram.influence import PairInfluence, project
from crossloss.models.skipgram.quality import quality
from crossloss.text.pairs import PairCounts
from crossloss.text.read import Corpus
from crossloss.text.vocabulary import Vocabulary, known_words
from crossloss.utils.inputs import row_numbers


class Sentences(Model):
    """The part of ``SkipGram`` that is about its sentences."""

    kind, sample_noun, data_noun = "skip-gram", "sentence", "the corpus"
    corpus: Corpus

    @property
    def vocabulary(self) -> Vocabulary:
        """Words by row."""
        raise NotImplementedError

    @property
    def counts(self) -> PairCounts:
        """Expected pair counts of every sentence."""
        raise NotImplementedError

    @property
    def samples(self) -> int:
        """Sentences, candidates too."""
        return len(self.corpus)

    @property
    def own_weights(self) -> np.ndarray:
        """1 for a sentence, 0 for a candidate, (n,) float64."""
        return self.corpus.weights

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
        explained = explain_text(self.vocabulary, self.counts, atoms, text)
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

    def benchmarks(self, view: Embeddings) -> dict[str, float]:
        """WordSim-353 and SimLex-999, Spearman, where they can be measured."""
        measured = quality(view.words, view.vectors.cpu().numpy())
        figures = {"wordsim353": measured.wordsim353, "simlex999": measured.simlex999}
        return {name: value for name, value in figures.items() if value is not None}

    def tensors(self, view: Embeddings) -> dict[str, Tensor]:
        """Both matrices, (V, d) each."""
        return {"vectors": view.vectors, "contexts": view.contexts}
