"""The whole chain on a large corpus, as a user types it: wall time, memory, and what retraining says.

    python benchmarks/whole.py ../shared/data/wikipedia-600k.tsv.bz2 --kept ../runs/whole

`crossloss run` with four tests trains, scores, plans and retrains; `crossloss validate` retrains without ten subsets.
Of each the seconds in which the process was not stopped, and the most memory that no file holds, and in all, with pages
of mapped files. A call that was stopped goes on, and seconds add up. RUN/metrics.json is recorded at the end.
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
    """Add up the seconds in which the process was not stopped, and keep its peaks; noted every five minutes."""
    fields = {f"{key}.peak_anonymous_bytes": "RssAnon", f"{key}.peak_resident_bytes": "VmRSS"}
    figures = {name: record.figures.get(name, 0) for name in (f"{key}.seconds", *fields)}
    before = noted = time.perf_counter()
    while process.poll() is None:
        time.sleep(EVERY)
        now, found = time.perf_counter(), status(process.pid)
        if not found["State"].startswith(("T", "Z")):
            figures[f"{key}.seconds"] += now - before
        for name, field in fields.items():
            figures[name] = max(figures[name], 1024 * int(found.get(field, "0").split()[0]))
        before = now
        if now - noted > 300:
            noted = now
            note(record, figures)
    note(record, figures)


def note(record: Record, figures: dict[str, float]) -> None:
    for name, value in figures.items():
        record.put(name, value)


def called(arguments: list[str], said: Path, record: Record, key: str) -> bool:
    """Call a command of crossloss, unless it is done; whether it is now."""
    if record.figures.get(f"{key}.finished"):
        return True
    with said.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-m", "crossloss", *arguments], stdout=out, stderr=out)
        try:
            follow(process, record, key)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
    record.put(f"{key}.finished", process.returncode == 0)
    return process.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder of the run and of the corpus's words")
    parser.add_argument("--columns", type=int, default=1024, help="drawn negatives")
    parser.add_argument("--dimension", type=int, default=100)
    parser.add_argument("--memory", default="6GB")
    parser.add_argument("--starts", type=int, default=3, help="that each value is measured from")
    parser.add_argument("--subsets", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "whole.json")
    given = parser.parse_args()
    given.kept.mkdir(parents=True, exist_ok=True)
    name, run, record = given.corpus.name.split(".")[0], given.kept / "run", Record(given.out)
    settings = {
        "out": run, "mapped": given.kept / "corpus.safetensors", "memory": given.memory, "max-words": 0,
        "dimension": given.dimension, "negative-columns": given.columns, "starts": given.starts,
    }  # fmt: skip
    options = [part for option, value in settings.items() for part in (f"--{option}", str(value))]
    tests = [part for test in TESTS for part in ("--objective", test)]
    once = {"subsets": given.subsets, "starts": 0, "removals": 0, "count": 0}
    checks = [part for option, value in once.items() for part in (f"--{option}", str(value))]
    said = given.kept / "said.txt"
    if called(["run", str(given.corpus), *tests, *options], said, record, f"{name}.run"):
        called(["validate", str(run), *checks], said, record, f"{name}.validate")
    if (run / "metrics.json").exists():
        record.put(f"{name}.metrics", json.loads((run / "metrics.json").read_text()))


if __name__ == "__main__":
    main()
