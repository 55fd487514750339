r"""The published method beside ours: seconds for a scored sentence and objective, share of sentences scored, fidelity.

    crossloss run wikipedia-180k.tsv.gz --objective paper-career ... --min-count 100 --max-words 0 --validate 30 \
      --out RUN
    OMP_NUM_THREADS=1 python benchmarks/published/published.py RUN

RUN keeps the retrainings of 30 subsets of 10 %, so that only the published scores are computed. Times are of its dense
backward pass on 100 sentences (and as many Hessian products) at this vocabulary, and on 20 at V 25,094, d 100.
"""

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
from method import AT_MOST, REPEATS, Sentences, gradient, influence, lissa  # noqa: E402
from record import RESULTS, Record  # noqa: E402

import crossloss as cl  # noqa: E402
from crossloss.estimators.gradient import objective_gradients  # noqa: E402
from crossloss.run.retrainer import Retrainer, changes, without  # noqa: E402
from crossloss.utils.statistics import fidelity  # noqa: E402
from crossloss.validation.subsets import random_subsets  # noqa: E402

TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
LARGE_WORDS, LARGE_DIMENSION = 25_094, 100


def seconds_a_pass(theta: torch.Tensor, sentences: list, h: torch.Tensor) -> tuple[float, float]:
    """Mean seconds of one score (a dense backward pass and h . grad) and of one Hessian product of LiSSA."""
    u, c = (side.clone().requires_grad_(True) for side in theta)
    start = time.perf_counter()
    for sentence in sentences:
        sum(float((part * g).sum()) for part, g in zip(h, gradient(u, c, sentence), strict=True))
    score = (time.perf_counter() - start) / len(sentences)
    start = time.perf_counter()
    for sentence in sentences:
        g = gradient(u, c, sentence, twice=True)
        torch.autograd.grad(sum((part * of).sum() for part, of in zip(h, g, strict=True)), (u, c))
    return score, (time.perf_counter() - start) / len(sentences)


def times(record: Record, key: str, theta: torch.Tensor, sentences: list, share: float, samples: int) -> None:
    """Figures of the dense passes; the whole for all sentences that have a test word, of one objective."""
    score, product = seconds_a_pass(theta, sentences, torch.ones_like(theta))
    scored = share * samples
    whole = score * scored + product * REPEATS * min(AT_MOST, scored)
    record.put(f"{key}.timed sentences", len(sentences))
    record.put(f"{key}.seconds a backward pass", score)
    record.put(f"{key}.seconds a Hessian product", product)
    record.put(f"{key}.seconds a scored sentence and objective", whole / scored)
    record.put(f"{key}.hours an objective", whole / 3600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS / "published.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Record(given.out)
    run = cl.load(given.run)
    field, tests = run.field, [cl.objectives.weat(name) for name in TESTS]
    sentences = Sentences(field.counts.matrix.tocsr(), field.counts.pairs)
    theta = run.trajectory.theta.view(2, field.size, field.dimension)
    slopes = objective_gradients(field, run.trajectory.theta, tests).view(len(tests), *theta.shape)

    found, scored = np.zeros((len(tests), len(run.weights))), []
    for j, test in enumerate(tests):
        words = [run.model.vocabulary.index[w] for w in test.words if w in run.model.vocabulary.index]
        mine = sentences.with_words(words)
        sample = np.sort(np.random.default_rng(0).permutation(mine)[:AT_MOST])
        h = lissa(theta, sentences, sample, slopes[j : j + 1])
        found[j, mine] = influence(theta, sentences, h)[0][mine]
        scored.append(mine)
        record.put(f"{test.name}.share scored", len(mine) / len(run.weights))
    check(theta, sentences, h[0], influence(theta, sentences, h)[0], mine[:50])
    share = float(np.mean([len(mine) for mine in scored])) / len(run.weights)
    some = [sentences[i] for i in np.random.default_rng(0).permutation(scored[0])[:100]]
    times(record, f"v{field.size}-d{field.dimension}", theta, some, share, len(run.weights))
    large = 0.1 * torch.randn(2, LARGE_WORDS, LARGE_DIMENSION, generator=torch.Generator().manual_seed(0))
    times(record, f"v{LARGE_WORDS}-d{LARGE_DIMENSION}", large, some[:20], share, len(run.weights))

    scores = cl.score(run, tests)
    drawn = random_subsets(run.weights, share=0.1, count=30, seed=0)
    retrainer = Retrainer(run, tests)
    retrained = [retrainer(without(run.weights, removed)) for removed in drawn]
    for test, effects in zip(tests, found, strict=True):
        change = changes(retrained, test.name, scores.values[test.name])
        for name, predicted in (
            ("published", [effects[removed].sum() for removed in drawn]),
            ("unrolled", [scores.group(removed, test) for removed in drawn]),
        ):
            agreement = asdict(fidelity(np.array(predicted), change))
            for figure in ("pearson", "pearson_low", "pearson_high", "spearman", "slope"):
                record.put(f"{test.name}.{name}.{figure}", agreement[figure])


def check(theta: torch.Tensor, sentences: Sentences, h: torch.Tensor, found: np.ndarray, some: np.ndarray) -> None:
    """The rows' arithmetic is the dense backward pass."""
    u, c = (side.double().requires_grad_(True) for side in theta)
    for i in some:
        dense = gradient(u, c, tuple(x.double() if x.is_floating_point() else x for x in sentences[i]))
        expected = sum(float((part.double() * g).sum()) for part, g in zip(h, dense, strict=True))
        assert abs(expected - found[i]) <= 1e-5 * np.abs(found[some]).max(), (i, expected, found[i])


if __name__ == "__main__":
    main()
