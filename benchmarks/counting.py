"""Memory of reading and of counting pairs, held and through files, against the number of sentences.

    python benchmarks/counting.py ../shared/data/wikipedia-180k.tsv.gz

Each is measured in its own process: the most anonymous memory that it had (mapped files apart), less what
Python with torch and this package has.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from record import RESULTS, Record

import crossloss as cl
from crossloss.text.pairs import PairCounts, count_pairs
from crossloss.text.read import Corpus
from crossloss.text.streamed import stream_pairs
from crossloss.text.vocabulary import build_vocabulary
from crossloss.utils.mapping import map_arrays

HOW, PARTS = ("read", "held", "streamed"), (0.25, 1.0)


class Watched:
    """The most anonymous memory of this process while the block runs."""

    def __enter__(self) -> "Watched":
        self.most, self._stop = _anonymous(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.most = max(self.most, _anonymous())

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()


def _anonymous() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def child(path: str, how: str, part: float, out: Path) -> None:
    before = _anonymous()
    with Watched() as reading:
        corpus = cl.read(path)
    if part < 1:
        n = round(part * len(corpus))
        corpus = Corpus(corpus.ids[:n], corpus.documents[:n], corpus.texts[:n], corpus.weights[:n])
        assert corpus.tokens is not None
    record, key = Record(out), f"{how}.part{100 * part:g}"
    record.put(f"{key}.sentences", len(corpus))
    record.put(f"{key}.tokens", len(corpus.tokens))
    if how == "read":
        record.put(f"{key}.peak_bytes", reading.most - before)
        record.put(f"{key}.kept_bytes", _anonymous() - before)
        return
    vocabulary = build_vocabulary(corpus, min_count=8)
    before, start = _anonymous(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Watched() as counting:
        if how == "held":
            counts = count_pairs(corpus, vocabulary, window=10)
        else:
            file = Path(folder) / "pairs.safetensors"
            stream_pairs(corpus, vocabulary, window=10, file=file)
            counts = PairCounts.from_tensors(map_arrays(file))
        seconds = time.perf_counter() - start
    figures = {"elements": counts.matrix.nnz, "pairs": len(counts.pairs), "peak_bytes": counting.most - before}
    for name, figure in (figures | {"kept_bytes": _anonymous() - before, "seconds": seconds}).items():
        record.put(f"{key}.{name}", figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--out", type=Path, default=RESULTS / "counting.json")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.corpus, given.child[0], float(given.child[1]), given.out)
        return
    for how in HOW:
        for part in PARTS if how != "read" else (1.0,):
            if f"{how}.part{100 * part:g}.kept_bytes" not in Record(given.out).figures:
                command = [sys.executable, __file__, given.corpus, "--out", str(given.out)]
                subprocess.run([*command, "--child", how, str(part)], check=True)


if __name__ == "__main__":
    main()
