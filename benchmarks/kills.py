"""Kill a run at random moments, give the same command again, and compare every byte with an undisturbed run.

python benchmarks/kills.py --count 100 --seed 0 writes benchmarks/results/kills-SEED.json as it goes and goes on from
there. Each trial is one folder: killed (SIGKILL) once, in half of the trials again while it resumes, then left to
finish. Figures of time and memory are left out of the comparison.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import safetensors.numpy
import torch
from record import RESULTS, environment
from trained import train_on

import crossloss as cl
from crossloss.objectives.weat import Weat
from crossloss.utils.files import LEDGER
from dense import random_sentences

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
TEST = Weat("mine", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 12, "steps": 60, "lr": 0.5}
OWN = ("seconds", "peak_memory")


def work(corpus: Path, out: Path) -> None:
    """What the command run does, but for the page at its end."""
    with train_on(cl.read(corpus), keep_words=TEST.words, out=out, **SETTINGS) as run:
        run.remember([TEST])
        cl.measure(run, [TEST])
        scores = cl.score(run, [TEST])
        cl.plan(scores, {"mine": 0.0}).save(run)
        cl.validate(run, [TEST], subsets=4, seeds=2, removals=1, strongest=0)
        scores.save()


def start(folder: Path, out: Path) -> int:
    """The work in a forked process."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work(folder / "c.txt", out)
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def finish(folder: Path, out: Path) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(start(folder, out), 0)[1])
    assert code == 0, f"exit code {code}"


def kill(folder: Path, out: Path, after: float) -> bool:
    """Whether the process was still there to be killed."""
    child = start(folder, out)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_time(v) for k, v in value.items() if not any(own in k for own in OWN)}
    return [without_time(v) for v in value] if isinstance(value, list) else value


def contents(out: Path) -> dict[str, bytes]:
    """Every file, without figures of time and memory."""
    found = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        if path.name in (".lock", LEDGER):
            continue
        raw = path.read_bytes()
        if path.suffix == ".json":
            raw = json.dumps(without_time(json.loads(raw)), sort_keys=True).encode()
        elif path.name.startswith("plan-rounds"):
            tensors = safetensors.numpy.load(raw)
            raw = safetensors.numpy.save({name: x for name, x in tensors.items() if name not in OWN})
        found[str(path.relative_to(out))] = raw
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)  # a fork with threads hangs
    path = given.out or RESULTS / f"kills-{given.seed}.json"
    trials: list[dict[str, Any]] = json.loads(path.read_text())["trials"] if path.exists() else []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "c.txt").write_text("\n".join(random_sentences(5, sentences=400)) + "\n")
        begun = time.monotonic()
        finish(folder, folder / "whole")
        took = time.monotonic() - begun
        expected = contents(folder / "whole")
        finish(folder, folder / "again")
        assert contents(folder / "again") == expected, "two undisturbed runs differ"
        for number in range(len(trials), given.count):
            rng = Random(f"{given.seed}:{number}")
            out, after, stages = folder / f"{number}", [], []
            for _ in range(rng.choice([1, 2])):
                while True:
                    moment = rng.uniform(0, took)
                    if kill(folder, out, moment):
                        break
                after.append(round(moment, 3))
                manifest = out / "manifest.json"
                stages.append(sorted(json.loads(manifest.read_text())["stages"])[-1:] if manifest.exists() else [])
            finish(folder, out)
            found = contents(out)
            different = sorted(n for n in expected | found if expected.get(n) != found.get(n))
            trials.append({"killed_after": after, "last_stage": stages, "equal": not different, "different": different})
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = {"environment": environment(), "seed": given.seed, "undisturbed_seconds": took, "trials": trials}
            path.write_text(json.dumps(kept, indent=1) + "\n")
            if different:
                print(number, after, different, flush=True)
    kills = sum(len(trial["killed_after"]) for trial in trials)
    equal = sum(trial["equal"] for trial in trials)
    print(f"{len(trials)} runs, {kills} kills, {equal} equal results")
    sys.exit(equal < len(trials))


if __name__ == "__main__":
    main()
