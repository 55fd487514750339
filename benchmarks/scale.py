"""Memory of a whole run against the length of its corpus, whose documents are repeated under other names.

    python benchmarks/scale.py ../shared/data/wikipedia-180k.tsv.gz --times 1 10

Read into a file (``mapped``), counted, trained, scored, saved, reported; the minimum count is multiplied too, so
that vocabulary and distinct pairs stay. For each stage the most anonymous memory (what cannot be dropped and read
again) and the most resident memory, pages of mapped files with it. Steps are few, as memory does not depend on them.
What is recorded already is not run again; a stopped run goes on.
"""

import argparse
import itertools
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from record import RESULTS, Record

import crossloss as cl
from crossloss.text.rows import Columns
from crossloss.text.sources import each_row

STEPS, TEST = 2, "paper-career"


def status(process: int | str = "self") -> dict[str, str]:
    """What the system says of a process, by name."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def resident() -> dict[str, int]:
    """Bytes of this process in memory: those that no file holds, and all."""
    now = status()
    return {name: 1024 * int(now[key].split()[0]) for name, key in (("anonymous", "RssAnon"), ("resident", "VmRSS"))}


class Stages:
    """Peaks and seconds by stage, as the package itself tells them by its progress."""

    def __init__(self, record: Record, key: str) -> None:
        self.record, self.key, self.peaks = record, key, resident()

    @contextmanager
    def watched(self, name: str) -> Iterator[Callable[[int, int], None]]:
        peaks, stop, start = resident(), threading.Event(), time.perf_counter()

        def watch() -> None:
            while not stop.wait(0.02):
                now = resident()
                peaks.update({what: max(peaks[what], now[what]) for what in peaks})

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield lambda done, total: None
        finally:
            stop.set()
            thread.join()
        stage = name.split(" (")[0].replace(" ", "_")
        self.record.put(f"{self.key}.{stage}.seconds", time.perf_counter() - start)
        for what, peak in peaks.items():
            self.record.put(f"{self.key}.{stage}.{what}_bytes", peak)


def repeated(corpus: Path, times: int, file: Path) -> Path:
    """The corpus so many times, each time with other names of its documents and samples."""
    if not file.exists():
        aside = file.with_suffix(".partial")
        with aside.open("w", encoding="utf-8") as out:
            out.write("id\tdocument\ttext\n")
            for copy in range(times):
                for row in each_row(corpus, Columns(""))[0]:
                    out.write(f"{row.id}~{copy}\t{row.document}~{copy}\t{row.text}\n")
        aside.replace(file)
    return file


def child(given: argparse.Namespace, times: int) -> None:
    """One corpus, from its file to its scores."""
    key = f"{given.corpus.name.split('.')[0]}.times{times}"
    record, kept = Record(given.out), given.kept / key
    kept.mkdir(parents=True, exist_ok=True)
    source = repeated(given.corpus, times, kept / "corpus.tsv")
    test = cl.objectives.weat(TEST)
    stages = Stages(record, key)
    with stages.watched("whole"):
        with stages.watched("reading"):
            corpus = cl.read(source, mapped=kept / "corpus.safetensors")
        record.put(f"{key}.sentences", len(corpus))
        record.put(f"{key}.tokens", len(corpus.tokens))
        settings = {"min_count": given.min_count * times, "max_words": 0, "dimension": given.dimension}
        model = cl.SkipGram(corpus, keep_words=test.words, negative_columns=given.columns, **settings)
        with cl.progress(stages.watched):
            run = cl.train(model, steps=STEPS, out=kept / "run", memory="6GB")
            scores = cl.score(run, [test])
        with stages.watched("saving"):
            scores.save()
        with stages.watched("report"):
            cl.report(run)
    record.put(f"{key}.words", len(model.vocabulary.words))
    record.put(f"{key}.pairs", len(model.counts.pairs))
    record.put(f"{key}.elements", model.counts.matrix.nnz)
    record.put(f"{key}.estimated_bytes", model.footprint(run.optimiser).peak(1, STEPS, 6_000_000_000))
    record.put(f"{key}.peak_resident_bytes", 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    record.put(f"{key}.strongest", [s.text[:80] for s in scores.top(3)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--min-count", type=int, default=8)
    parser.add_argument("--dimension", type=int, default=50)
    parser.add_argument("--columns", type=int, default=1024, help="drawn negatives; 0: all")
    parser.add_argument("--kept", type=Path, default=Path("runs/scale"))
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given, given.child)
        return
    name = given.corpus.name.split(".")[0]
    for times in given.times:
        if f"{name}.times{times}.strongest" not in Record(given.out).figures:
            subprocess.run([sys.executable, *sys.argv, "--child", str(times)], check=True)
    record = Record(given.out)
    for small, large in itertools.pairwise(given.times):
        for stage in ("reading", "counting_pairs", "training", "scoring", "saving", "report", "whole"):
            for what in ("anonymous", "resident"):
                one, many = (record.figures.get(f"{name}.times{t}.{stage}.{what}_bytes") for t in (small, large))
                if one and many:  # a stage that a stopped call had finished is not in the record
                    record.put(f"{name}.{large}_over_{small}.{stage}.{what}", many / one)


if __name__ == "__main__":
    main()
