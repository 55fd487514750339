"""The whole chain on a large corpus, as a user starts it: wall time, memory, and what retraining says.

    python benchmarks/whole.py ../shared/data/wikipedia-600k.tsv.bz2 --kept ../runs/whole --columns 1024

It runs `crossloss run` with four tests and follows the process: its seconds while it was not stopped, and the most
memory that no file holds, and in all, with pages of mapped files. A call that was stopped goes on; seconds add up. The
figures of the run (RUN/metrics.json) are recorded at the end of every call.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from record import RESULTS, Record

TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
EVERY = 1.0
"""Seconds from look to look at the process."""


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def follow(process: "subprocess.Popen[bytes]", record: Record, key: str) -> None:
    """Add up the seconds in which the process was not stopped, and keep its peaks."""
    names = {"anonymous_bytes": "RssAnon", "resident_bytes": "VmRSS"}
    peaks = {name: record.figures.get(f"{key}.peak_{name}", 0) for name in names}
    seconds, before, noted = record.figures.get(f"{key}.seconds", 0.0), time.perf_counter(), time.perf_counter()
    while process.poll() is None:
        time.sleep(EVERY)
        now, found = time.perf_counter(), status(process.pid)
        if not found.get("State", "").startswith(("T", "Z")):
            seconds += now - before
        before = now
        for name, field in names.items():
            if field in found:
                peaks[name] = max(peaks[name], 1024 * int(found[field].split()[0]))
        if now - noted > 300 or process.poll() is not None:
            noted = now
            record.put(f"{key}.seconds", seconds)
            for name, peak in peaks.items():
                record.put(f"{key}.peak_{name}", peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder of the run and of the corpus's words")
    parser.add_argument("--columns", type=int, default=1024, help="drawn negatives")
    parser.add_argument("--dimension", type=int, default=100)
    parser.add_argument("--memory", default="6GB")
    parser.add_argument("--validate", type=int, default=10, help="subsets")
    parser.add_argument("--count", type=int, default=2, help="strongest sentences retrained without, of each side")
    parser.add_argument("--out", type=Path, default=RESULTS / "whole.json")
    given = parser.parse_args()
    given.kept.mkdir(parents=True, exist_ok=True)
    name, run, record = given.corpus.name.split(".")[0], given.kept / "run", Record(given.out)
    settings = {
        "out": run, "mapped": given.kept / "corpus.safetensors", "memory": given.memory, "max-words": 0,
        "dimension": given.dimension, "negative-columns": given.columns, "validate": given.validate,
        "count": given.count,
    }  # fmt: skip
    options = [part for option, value in settings.items() for part in (f"--{option}", str(value))]
    tests = [part for test in TESTS for part in ("--objective", test)]
    command = [sys.executable, "-m", "crossloss", "run", str(given.corpus), *tests, *options]
    with (given.kept / "said.txt").open("ab") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            follow(process, record, name)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
    if (run / "metrics.json").exists():
        record.put(f"{name}.metrics", json.loads((run / "metrics.json").read_text()))
    record.put(f"{name}.finished", process.returncode == 0)


if __name__ == "__main__":
    main()
