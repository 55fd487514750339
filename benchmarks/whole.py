"""The whole chain on a large corpus: wall time by stage, memory, and what retraining says.

    python benchmarks/whole.py ../shared/data/wikipedia-600k.tsv.bz2 --kept ../runs/whole

Train, measure from three starts, score four tests, retrain without ten random subsets, plan for each test and retrain,
report: in one process, which is followed from outside. Seconds are those of each stage as it was first finished, and
their sum; of memory the most that no file holds, and the most in all, with pages of mapped files. A stopped call goes
on with the stage that it was in.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from record import RESULTS, Record
from scale import status

import crossloss as cl
from crossloss.models.skipgram.settings import Recipe

T = TypeVar("T")

TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
EVERY = 1.0
"""Seconds from look to look at the process."""


def follow(process: "subprocess.Popen[bytes]", record: Record, key: str) -> None:
    """Keep the peaks of the process; noted every five minutes."""
    fields = {f"{key}.peak_anonymous_bytes": "RssAnon", f"{key}.peak_resident_bytes": "VmRSS"}
    peaks, noted = {name: record.figures.get(name, 0) for name in fields}, time.perf_counter()
    while process.poll() is None:
        time.sleep(EVERY)
        found = status(process.pid)
        for name, field in fields.items():
            peaks[name] = max(peaks[name], 1024 * int(found.get(field, "0").split()[0]))
        if time.perf_counter() - noted > 300:
            noted = time.perf_counter()
            note(record, peaks)
    note(record, peaks)


def note(record: Record, figures: dict[str, float]) -> None:
    for name, value in figures.items():
        record.put(name, value)


def child(given: argparse.Namespace, name: str) -> None:
    """What is done; finished stages lie in the run folder and are not done again."""
    record = Record(given.stages)

    def stage(what: str, work: Callable[[], T]) -> T:
        begun = time.perf_counter()
        made = work()
        if f"{name}.{what}.seconds" not in record.figures:
            record.put(f"{name}.{what}.seconds", time.perf_counter() - begun)
        return made

    tests = [cl.objectives.weat(test) for test in TESTS]
    words = [word for test in tests for word in test.words]
    corpus = stage("reading", lambda: cl.read(given.corpus, mapped=given.kept / "corpus.safetensors"))
    model = cl.SkipGram(
        corpus, keep_words=words, max_words=0, dimension=given.dimension, negative_columns=given.columns
    )
    rule = Recipe.checked({"momentum": given.momentum}).optimiser
    with cl.progress():
        out = {"out": given.kept / "run", "memory": given.memory}
        run = stage("counting_and_training", lambda: cl.train(model, rule, steps=given.steps, **out))
        record.put(f"{name}.words", len(model.vocabulary.words))
        record.put(f"{name}.pairs", len(model.counts.pairs))
        record.put(f"{name}.estimated_bytes", run.estimate(len(tests)).memory)
        measured = stage("measuring", lambda: cl.measure(run, tests, starts=given.starts))
        print(*measured.summary(), sep="\n", flush=True)
        scores = stage("scoring", lambda: cl.score(run, tests))
        scores.save()
        found = stage(
            "validating",
            lambda: cl.validate(run, tests, subsets=given.subsets, share=0.1, strongest=0, seeds=0, removals=0),
        )
        print(*found.summary(), sep="\n", flush=True)
        record.put(f"{name}.validation", dict(run.store.metrics))
        for test in tests:
            made = stage(f"plan.{test.name}", lambda test=test: cl.plan(scores, {test.name: 0.0}))
            made.save(run)
            print(*made.summary(), sep="\n", flush=True)
        stage("report", lambda: cl.report(run))
    record.put(f"{name}.metrics", run.store.metrics)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder of the run and of the corpus's words")
    parser.add_argument("--columns", type=int, default=1024, help="drawn negatives")
    parser.add_argument("--dimension", type=int, default=100)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--memory", default="6GB")
    parser.add_argument("--starts", type=int, default=3, help="that each value is measured from")
    parser.add_argument("--subsets", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "whole.json")
    parser.add_argument("--stages", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    name = given.corpus.name.split(".")[0]
    if given.stages:
        child(given, name)
        return
    given.kept.mkdir(parents=True, exist_ok=True)
    record, stages = Record(given.out), given.kept / "stages.json"
    with (given.kept / "said.txt").open("ab") as said:
        command = [sys.executable, *sys.argv, "--stages", str(stages)]
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            follow(process, record, name)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
    done = Record(stages).figures
    note(record, done)
    record.put(f"{name}.seconds", sum(value for key, value in done.items() if key.endswith(".seconds")))
    record.put(f"{name}.finished", process.returncode == 0)


if __name__ == "__main__":
    main()
