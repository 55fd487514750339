"""Does a correction of many words carry over to others? The spread of k words along a direction, judged on 300 others.

    python benchmarks/wide.py ../shared/data/wikipedia-20k.tsv.gz

``direct_bias`` of k random words, to half of its value, by swapped sentences (4 starts) and judged on starts that
nothing was fitted to; then one step of weights that reaches half in first order for 60 words, free in every sentence,
and restricted to the r leading singular directions of the words' scores: what the scores of many words share.
"""

import argparse
from pathlib import Path

import numpy as np
from record import RESULTS, Record

import crossloss as cl

TESTS = ("paper-career", "paper-math", "paper-art")
PAIRS = [
    ("he", "she"), ("him", "her"), ("man", "woman"), ("men", "women"), ("father", "mother"), ("son", "daughter"),
    ("brother", "sister"), ("king", "queen"), ("male", "female"), ("boy", "girl"), ("husband", "wife"),
]  # fmt: skip
SEEDS = (201, 202, 203, 204)
OTHERS, SHARED, LEFT = 300, 60, 0.5
"""Words that judge; words whose scores are decomposed; the part of the value that a plan is to leave."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--min-count", type=int, default=50)
    parser.add_argument("--words", type=int, nargs="*", default=(8, 30, 100))
    parser.add_argument("--ranks", type=int, nargs="*", default=(0, 1, 3, 10), help="0: free")
    parser.add_argument("--out", type=Path, default=RESULTS / "wide.json")
    given = parser.parse_args()
    record, tests = Record(given.out), [cl.objectives.weat(name) for name in TESTS]
    text = cl.with_swaps(cl.read(given.corpus), ["gender", "names"])
    kept = [word for test in tests for word in test.words]
    run = cl.train(cl.SkipGram(text, min_count=given.min_count, keep_words=kept))
    index = run.model.word_index
    pairs = [pair for pair in PAIRS if all(word in index for word in pair)]
    taken = {word for pair in pairs for word in pair} | {"his", "hers"} | set(kept)
    able = [word for word in run.model.vocabulary.words if word not in taken and len(word) > 2]
    order = np.random.default_rng(0).permutation(len(able))

    def spread(chosen: slice, name: str) -> cl.objectives.DirectBias:
        return cl.objectives.direct_bias([able[i] for i in order[chosen]], pairs, c=2, name=name)

    rest = spread(slice(-OTHERS, None), "others")
    untouched = [run.retrain(seed=seed).view for seed in SEEDS]

    def judge(label: str, weights: np.ndarray, fitted: cl.objectives.DirectBias) -> None:
        after = [run.retrain(weights, seed=seed).view for seed in SEEDS]
        for name, o in {"fitted": fitted, "others": rest, **dict(zip(TESTS, tests, strict=True))}.items():
            for side, views in (("before", untouched), ("after", after)):
                values = [float(o(view)) for view in views]
                record.put(f"{label}.{name}.{side}", float(np.mean(values)))
                record.put(f"{label}.{name}.{side}.sd", float(np.std(values, ddof=1)))
        record.put(f"{label}.moved", float(np.abs(weights - run.weights).sum() / run.weights.sum()))

    for k in given.words:
        if f"swap-{k}.moved" not in record.figures:
            fitted = spread(slice(0, k), "fitted")
            target = LEFT * float(fitted(run.view))
            plan = cl.plan(cl.score(run, [fitted]), target, method="swap", starts=4, rounds=6)
            judge(f"swap-{k}", plan.weights, fitted)
    if not given.ranks:
        return
    words = [cl.objectives.projection([able[i]], pairs, name=f"word{i}") for i in order[:SHARED]]
    scores = cl.score(run, words).samples * run.weights
    fitted = spread(slice(0, SHARED), "fitted")
    slope = (2 / SHARED * np.array([float(o(run.view)) for o in words])) @ scores
    shared = np.linalg.svd(scores, full_matrices=False)[2]
    for rank in given.ranks:
        along = slope if rank == 0 else shared[:rank].T @ (shared[:rank] @ slope)
        step = along * (LEFT - 1) * float(fitted(run.view)) / (slope @ along)
        judge(f"rank-{rank or 'free'}", np.clip(1 + step, 0, 2) * run.weights, fitted)


if __name__ == "__main__":
    main()
