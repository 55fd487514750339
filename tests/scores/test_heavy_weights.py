"""A run of sample weights far from the corpus's own: its scores are the derivatives of training it again."""

import numpy as np
import pytest

import crossloss as cl
from crossloss.objectives.weat import Weat
from dense import random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(16)]
TEST = Weat("test", *(tuple(WORDS[i : i + 4]) for i in (0, 4, 8, 12)))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 10, "lr": 0.5, "dtype": "float64"}


@pytest.mark.parametrize("heavy", [1.25, 2.0, 3.0])
def test_scores_are_finite_differences_of_training_again(heavy):
    corpus = cl.from_sentences(random_sentences(5))
    weights = np.ones(len(corpus))
    weights[::2] = heavy
    run = train_on(corpus, weights=weights, **SETTINGS)
    scores = cl.score(run, [TEST]).of()
    for i in (*np.argsort(-np.abs(scores))[:3], 0, 1):
        ends = []
        for change in (1e-4, -1e-4):
            moved = weights.copy()
            moved[i] += change
            ends.append(float(TEST(run.retrain(moved).view)))
        assert (ends[0] - ends[1]) / 2e-4 == pytest.approx(scores[i], rel=1e-4, abs=1e-8)
