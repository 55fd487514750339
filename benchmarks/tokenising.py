"""Seconds to read, tokenise and count wikipedia-180k, of this tree and of another, in turn.

    git archive COMMIT src | tar x -C BEFORE
    python benchmarks/tokenising.py ../shared/data/wikipedia-180k.tsv.gz --before BEFORE/src

Each time in a process of its own, one thread; the smallest and the median of each go into results/tokenising.json.
Tokenising is of texts in memory; counting is of pairs within 10 words of a vocabulary of words that occur 8 times.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from record import RESULTS, environment

SOURCE = Path(__file__).parents[1] / "src"


def child(path: str) -> None:
    import crossloss as cl
    from crossloss.text.pairs import count_pairs
    from crossloss.text.read import Corpus
    from crossloss.text.vocabulary import build_vocabulary

    times = [time.perf_counter()]
    corpus = cl.read(path)
    times.append(time.perf_counter())
    again = Corpus(corpus.ids, corpus.documents, corpus.texts, corpus.weights)
    assert len(again.tokens) == len(corpus.tokens)
    times.append(time.perf_counter())
    count_pairs(corpus, build_vocabulary(corpus, min_count=8), window=10)
    times.append(time.perf_counter())
    read, tokenise, count = (end - start for start, end in pairwise(times))
    figures = {"read": read, "tokenise": tokenise, "count": count, "tokenise_and_count": tokenise + count}
    print(json.dumps(figures | {"tokens": len(corpus.tokens), "types": len(corpus.types), "from": cl.__file__}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--before", type=Path, required=True, help="the folder src of the other tree")
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.corpus)
        return
    trees = {"before": given.before.resolve(), "now": SOURCE}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    for _ in range(given.times):
        for name, source in trees.items():
            command = [sys.executable, __file__, given.corpus, "--before", str(source), "--child"]
            alone = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
            out = subprocess.run(command, check=True, capture_output=True, text=True, env=alone).stdout
            run = json.loads(out)
            assert run.pop("from").startswith(str(source)), "another tree was imported"
            runs[name].append(run)
    result = {}
    for name, figures in runs.items():
        result[name] = {
            key: {"min": min(values), "median": statistics.median(values)}
            for key in figures[0]
            if (values := [run[key] for run in figures])
        }
    (RESULTS / "tokenising.json").write_text(
        json.dumps({"environment": environment(), "times": given.times, "seconds": result}, indent=1) + "\n"
    )
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
