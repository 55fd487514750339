"""Two processes against one, a thread each: seconds of a pass, what goes over the wire, and what a death does.

    python benchmarks/distributed.py ../shared/data/wikipedia-180k.tsv.gz --kept runs/distributed

Passes are timed in processes that torchrun starts, by the clock and by the seconds that the slowest process ran, which
other work on the machine disturbs less. Bytes are those that the loopback interface counted, so nothing else
may talk over it, beside the model's: an all-reduce of S bytes among n processes sends 2 (n - 1) S. ``killed`` stops one
of three processes with SIGKILL during training, waits for the others, and gives the command again. ``model`` sets the
seconds beside the cost model's (cost_model.py): its seconds of one core over the processes, and the
time of the sum at the speed and with the start-up that sums of two sizes had.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cost_model import TERMS, features
from record import RESULTS, Record

import crossloss as cl
from crossloss.utils import distributed

CASES: dict[str, dict[str, Any]] = {
    "v4337": {"min_count": 100, "max_words": 0, "dimension": 50},
    "v25094": {"min_count": 8, "max_words": 0, "dimension": 50},
    "v25094-drawn": {"min_count": 8, "max_words": 0, "dimension": 50, "negative_columns": 1024},
}
EXACT = ("v4337", "v25094")
WHAT = [*CASES, "killed", "model"]
TEST = "paper-career"
REPEATS, DIRECTIONS = 5, (1, 4)
LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")


def torchrun(count: int, *command: str) -> list[str]:
    """A command in ``count`` processes of one thread."""
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), *command]


def one_thread() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def worker(folder: Path, out: Path, key: str) -> None:
    """Time the passes of a stored run in this process, together with the others; the first one records."""
    with distributed.joined():
        run = cl.load(folder)
        field, theta, w = run.field, run.trajectory.theta, run.trajectory.weights
        figures: dict[str, float] = {"words": field.size, "ordered_pairs": len(field.tiling)}

        def timed(name: str, work: Callable[[], object]) -> None:
            work()
            distributed.wait()
            sent, seconds, of_core = int(LOOPBACK.read_text()), [], []
            for _ in range(REPEATS):
                start, ran = time.perf_counter(), time.process_time()
                work()
                seconds.append(time.perf_counter() - start)
                of_core.append(time.process_time() - ran)
            distributed.wait()
            figures[f"{name}.bytes"] = (int(LOOPBACK.read_text()) - sent) / REPEATS
            distributed.wait()
            figures[f"{name}.seconds"] = min(seconds)
            every = torch.zeros(distributed.count(), dtype=torch.float64)
            every[distributed.rank()] = min(of_core)
            figures[f"{name}.core_seconds"] = float(distributed.add_(every).max())
            distributed.wait()

        timed("gradient", lambda: field.gradient(theta, w, 0))
        for k in DIRECTIONS:
            a, into = torch.ones(k, field.parameters), field.accumulator(k)
            timed(f"pullback_{k}", lambda a=a, into=into: field.at(theta, w, 0).pullback(a, into))
        buffer = torch.zeros(field.parameters)
        timed("sum", lambda: distributed.add_(buffer))
        timed("reweight", lambda: field.ratios(w.clone()))
        if distributed.first():
            record, n = Record(out), distributed.count()
            size = 4 * field.parameters
            figures["sum.bytes_reduced"] = size
            for name, directions in (("gradient", 1), *((f"pullback_{k}", k) for k in DIRECTIONS)):
                figures[f"{name}.model_bytes"] = 2 * (n - 1) * size * directions
            for name, figure in figures.items():
                record.put(f"{key}.n{n}.{name}", figure)
        run.close()


def passes(record: Record, corpus: str, case: str, kept: Path) -> None:
    folder = kept / case
    if not folder.exists():
        words = cl.objectives.weat(TEST).words
        cl.train(cl.SkipGram(cl.read(corpus), keep_words=words, **CASES[case]), steps=1, out=folder).close()
    for count in (1, 2):
        command = torchrun(count, __file__, corpus, "--worker", str(folder), "--out", str(record.path), "--case", case)
        subprocess.run(command, env=one_thread(), check=True)
    again = Record(record.path)
    for name in ("gradient", *(f"pullback_{k}" for k in DIRECTIONS)):
        for clock in ("seconds", "core_seconds"):
            one, two = (again.figures[f"{case}.n{n}.{name}.{clock}"] for n in (1, 2))
            again.put(f"{case}.{name}.speedup.{clock}", one / two)
    record.figures = again.figures


def train_command(corpus: str, out: Path) -> list[str]:
    settings = ["--min-count", "100", "--max-words", "0", "--objective", TEST]
    return torchrun(3, "-m", "crossloss", "train", corpus, "--out", str(out), *settings)


def digest(out: Path) -> str:
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


def killed(record: Record, corpus: str, kept: Path) -> None:
    """Kill one of three amid training; how long until the others said so and ended, and whether the rest is right."""
    whole, broken = kept / "whole", kept / "broken"
    subprocess.run(train_command(corpus, whole), env=one_thread(), check=True, capture_output=True)
    agent = subprocess.Popen(train_command(corpus, broken), env=one_thread(), stderr=subprocess.PIPE, text=True)
    while len(list(broken.glob("states/*.safetensors"))) < 15:
        time.sleep(0.05)
        assert agent.poll() is None
    children = subprocess.run(
        ["pgrep", "-P", str(agent.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    workers = [pid for pid in children if b"train" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    start = time.perf_counter()
    os.kill(int(workers[1]), signal.SIGKILL)
    while any(_runs(pid) for pid in workers):
        time.sleep(0.01)
    record.put("killed.seconds_until_all_ended", time.perf_counter() - start)
    said = agent.communicate()[1]
    record.put("killed.told", said.count("lost another one") + said.count("Stopped."))
    record.put("killed.steps_stored", max(int(path.stem) for path in broken.glob("states/*.safetensors")))
    subprocess.run(train_command(corpus, broken), env=one_thread(), check=True, capture_output=True)
    record.put("killed.same_bytes_after_resume", float(digest(whole) == digest(broken)))


def _runs(pid: str) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def model(record: Record) -> None:
    """What the cost model says of the passes measured here, and by how much it is off."""
    known = Record(RESULTS / "cost-model.json").figures
    terms = {name: np.array([known[f"model.{name}.{term}"] for term in TERMS[name]]) for name in TERMS}
    sizes, seconds = (
        [record.figures[f"{case}.n2.{name}"] for case in EXACT] for name in ("sum.bytes_reduced", "sum.seconds")
    )
    speed = (sizes[1] - sizes[0]) / (seconds[1] - seconds[0])
    start = max(seconds[0] - sizes[0] / speed, 0.0)
    record.put("model.sum.bytes_per_second", speed)
    record.put("model.sum.start_seconds", start)
    for case in EXACT:
        pairs = record.figures[f"{case}.n1.ordered_pairs"]
        words, dimension = record.figures[f"{case}.n1.words"], CASES[case]["dimension"]
        for name, k in (("gradient", 0), *((f"pullback_{k}", k) for k in DIRECTIONS)):
            row = features(words, dimension, k, pairs)
            for n in (1, 2):
                own = float(row @ terms["pullback" if k else "gradient"]) / n
                sent = (n > 1) * (start + max(k, 1) * record.figures[f"{case}.n2.sum.bytes_reduced"] / speed)
                record.put(f"model.{case}.n{n}.{name}.seconds", own + sent)
                measured = record.figures[f"{case}.n{n}.{name}.core_seconds"]
                record.put(f"model.{case}.n{n}.{name}.off", (own + sent) / measured - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--case", choices=WHAT, nargs="+", default=WHAT)
    parser.add_argument("--kept", type=Path, default=Path("runs/distributed"))
    parser.add_argument("--out", type=Path, default=RESULTS / "distributed.json")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, given.out, given.case[0])
        return
    given.kept.mkdir(parents=True, exist_ok=True)
    record = Record(given.out)
    for case in given.case:
        if case == "killed":
            if "killed.same_bytes_after_resume" not in record.figures:
                killed(record, given.corpus, given.kept)
        elif case == "model":
            model(record)
        elif f"{case}.gradient.speedup.seconds" not in record.figures:
            passes(record, given.corpus, case, given.kept)


if __name__ == "__main__":
    main()
