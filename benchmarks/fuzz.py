"""Fuzz readers, word sets, arguments and run folders: each input is read right or refused in one sentence.

python benchmarks/fuzz.py --count 100000 --seed 0 writes benchmarks/results/fuzz-SEED.json as it goes and goes on from
there; --only N does one input again and shows its traceback.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from record import RESULTS, environment

from fuzzing_runs import TARGETS, chosen

EVERY = 500


def one(seed: int, number: int, folder: Path, name: str) -> str:
    return TARGETS[name][0](chosen(seed, number)[0], folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--target", choices=TARGETS, help="this one only")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    path = given.out or RESULTS / f"fuzz-{given.seed}.json"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if given.only is not None:
            print(one(given.seed, given.only, folder, given.target or chosen(given.seed, given.only)[1]))
            return
        state: dict[str, Any] = {"seed": given.seed, "done": 0, "seconds": 0.0, "inputs": {}, "failures": []}
        if path.exists():
            state = json.loads(path.read_text())["state"]
        start = time.monotonic() - state["seconds"]
        while state["done"] < given.count:
            number = state["done"]
            name = given.target or chosen(given.seed, number)[1]
            counts = state["inputs"].setdefault(name, {"read": 0, "refused": 0, "failed": 0})
            try:
                counts[one(given.seed, number, folder, name)] += 1
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                counts["failed"] += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                told = f"{type(error).__name__}: {str(error)[:300]}"
                place = f"{Path(where.filename).name}:{where.lineno}"
                notes = " ".join(getattr(error, "__notes__", []))[:500]
                state["failures"].append({"input": number, "target": name, "error": told, "at": place, "notes": notes})
                print(number, name, place, told, notes, flush=True)
            state["done"] += 1
            if state["done"] % EVERY == 0 or state["done"] == given.count:
                state["seconds"] = time.monotonic() - start
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({"environment": environment(), "state": state}, indent=1) + "\n")
    print(json.dumps({name: state[name] for name in ("done", "seconds", "inputs")}, indent=1))
    sys.exit(bool(state["failures"]))


if __name__ == "__main__":
    main()
