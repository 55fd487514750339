"""One setting of one package on one problem, in its own venv and on one core: ``run.py`` starts it.

    VENV/bin/python worker.py PROBLEM PACKAGE SETTING OUT.pt [--repeats 5]

Times everything from tensors and a trained module in memory to the matrix of scores, data loading and set-up included,
and keeps the least of the repeats: by the clock, and by the seconds that the process ran, which other work on the
machine hardly touches. The latter end at --limit, with SIGXCPU.
"""

import argparse
import importlib
import inspect
import os
import resource
import time
from types import ModuleType
from typing import Any

import torch
from tasks import load


def lines(function: Any, module: ModuleType) -> int:
    """Lines of code that a user writes: of the function and what it USES, without docstrings and empty lines."""
    written = [getattr(function, "func", function), *getattr(module, "USES", ())]
    source = [line.strip() for part in written for line in inspect.getsource(part).splitlines()]
    return sum(bool(line) and not line.startswith(("def with_", '"""', "#")) for line in source)


def memory() -> float:
    """Most memory held so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problem")
    parser.add_argument("package")
    parser.add_argument("setting")
    parser.add_argument("out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=int, default=resource.RLIM_INFINITY)
    given = parser.parse_args()
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CPU, (given.limit, resource.RLIM_INFINITY))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    module = importlib.import_module(f"use_{given.package}")
    function = module.SETTINGS[given.problem][given.setting]
    problem, before, seconds, of_core = load(given.problem), memory(), [], []
    for _ in range(given.repeats):
        torch.manual_seed(0)
        start, ran = time.perf_counter(), time.process_time()
        scores = function(problem)
        seconds.append(time.perf_counter() - start)
        of_core.append(time.process_time() - ran)
    kept = {
        "scores": torch.as_tensor(scores).detach().double(), "seconds": min(seconds), "core seconds": min(of_core),
        "repeats": len(seconds), "memory": memory() - before, "lines": lines(function, module),
    }  # fmt: skip
    torch.save(kept, given.out)


if __name__ == "__main__":
    main()
