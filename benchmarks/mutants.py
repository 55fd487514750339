"""Mutation testing: small faults in core, the estimators, the fields and runs, each of which a test must catch.

After `covered.py`. The tests are collected once; each mutant is a forked process that puts the changed code into the
live functions (or, for a constant or a default, imports the package anew) and runs the tests that reach those lines
until one fails: those that failed for other mutants of the file first, then those that run few other lines and take
little time, up to a budget of seconds. Goes on where it stopped.
"""

import argparse
import gc
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import coverage
import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from covered import DATA, ROOT, SECONDS
from mutate import Mutant, mutants
from record import RESULTS, Record

SOURCE = ROOT / "src" / "crossloss"
FILES = [
    *sorted((SOURCE / "core").glob("*.py")),
    *sorted((SOURCE / "estimators").rglob("*.py")),
    *sorted((SOURCE / "models").rglob("*.py")),
    *sorted((SOURCE / "run").glob("*.py")),
]
WORK = ROOT / "runs" / "mutants"
UNKNOWN, NEW = 0.05, 10
"""Seconds, and lines, of a test that was not measured: a new one, which comes early."""
CALL = 0.05
"""Seconds that any test is counted to take beside its own, when tests are ordered."""
LEAST = 20
"""Mutants of a file that are run, however small a share is asked for."""
KILLED, TIMEOUT, SURVIVED, UNREACHED = OUTCOMES = ("killed", "timeout", "survived", "unreached")


class Mutating:
    """A pytest plugin: in place of a run of the tests, one for each mutant."""

    def __init__(self, files: list[Path], share: float, budget: float, again: bool) -> None:
        self.files, self.share, self.budget, self.again = files, share, budget, again
        self.seconds: dict[str, float] = json.loads(SECONDS.read_text())
        self.data = coverage.CoverageData(str(DATA))
        self.data.read()
        self.breadth = Counter(
            context
            for file in self.data.measured_files()
            for contexts in self.data.contexts_by_lineno(file).values()
            for context in contexts
        )
        self.killers: list[str] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        for file in self.files:
            self.killers = []
            self._file(file)
        return True

    def _file(self, file: Path) -> None:
        every = mutants(file)
        drawn = sorted(every, key=lambda mutant: hashlib.sha256(mutant.key.encode()).digest())
        drawn = drawn[: max(LEAST, round(self.share * len(every)))]
        log = WORK / f"{'-'.join(file.relative_to(SOURCE).with_suffix('').parts)}.json"
        done = json.loads(log.read_text()) if log.exists() else {}
        live = _functions(file)
        for mutant in drawn:
            known = done.get(mutant.key)
            if known and not (self.again and known[0] in (SURVIVED, UNREACHED)):
                continue
            done[mutant.key] = [*self._outcome(mutant, self._tests(mutant), live), mutant.line]
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(json.dumps(done, indent=0))
            if done[mutant.key][0] != KILLED:
                print(done[mutant.key][0], f"{file.relative_to(SOURCE)}:{mutant.line}", mutant.key, flush=True)
        self._require_sound(every, {found[1] for found in done.values()} & set(self.items), live)
        summarise(file, every, {m.key: done[m.key] for m in every if m.key in done})

    def _require_sound(self, every: list[Mutant], killers: set[str], live: dict[str, list[FunctionType]]) -> None:
        """Stop if a test that killed fails without a fault too, put in either way."""
        for mutant in {bool(mutant.where): mutant for mutant in every}.values():
            intact = replace(mutant, number=-1)
            outcome, test = self._outcome(intact, sorted(killers), live) if killers else (SURVIVED, "")
            if outcome != SURVIVED:
                raise SystemExit(f"{mutant.file}: a test that killed mutants is {outcome} without a fault, too: {test}")

    def _tests(self, mutant: Mutant) -> list[str]:
        """Tests that run the line, or any line of the function or the file where that runs at import."""
        by_line = self.data.contexts_by_lineno(str(mutant.file))
        lines = [mutant.line] if mutant.where else (mutant.lines or by_line)
        contexts = {context for line in lines for context in by_line.get(line, ())} - {""}
        if mutant.where and not contexts:  # a statement of several lines is known by its first
            near = [line for line in by_line if line in mutant.lines and line <= mutant.line]
            contexts = set(by_line.get(max(near, default=0), ())) - {""}
        top = mutant.file.relative_to(SOURCE).parts[0]
        mirror = f"tests/{'estimators' if top == 'core' else top}"
        found = [
            test
            for test in self.items
            if test in contexts
            or not (contexts or mutant.where)
            or test.split("::")[0] in contexts
            or (test.startswith(mirror) and test not in self.seconds)
        ]
        found.sort(key=lambda test: self.breadth.get(test, NEW) * (CALL + self.seconds.get(test, UNKNOWN)))
        first = [test for test in found if test in self.killers[-5:]]
        chosen, spent, budget = [], 0.0, self.budget if mutant.where else 4 * self.budget
        for test in [*first, *(test for test in found if test not in first)]:
            spent += self.seconds.get(test, UNKNOWN)
            if spent > budget and chosen:
                break
            chosen.append(test)
        return chosen

    def _outcome(self, mutant: Mutant, tests: list[str], live: dict[str, list[FunctionType]]) -> tuple[str, str]:
        if not tests:
            return UNREACHED, ""
        code = mutant.code()
        into = _code(code, mutant.where) if mutant.where else None
        functions = live.get(mutant.where, [])
        fits = into is not None and functions and all(f.__code__.co_freevars == into.co_freevars for f in functions)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _limits(10 + 3 * int(sum(self.seconds.get(test, UNKNOWN) for test in tests)))

            def failed(test: str) -> None:
                os.write(writing, test.encode())
                os._exit(1)

            try:
                if fits:
                    for function in functions:
                        function.__code__ = into
                    self._run(tests, failed)
                else:
                    _run_afresh(mutant.file, code, tests, failed)
            except BaseException:
                failed("")
            os._exit(0)
        os.close(writing)
        status = os.waitpid(child, 0)[1]
        with os.fdopen(reading) as said:
            killer = said.read()
        if os.WIFSIGNALED(status):
            return TIMEOUT if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM) else KILLED, ""
        if os.WEXITSTATUS(status) == 0:
            return SURVIVED, ""
        if killer:
            self.killers = [test for test in self.killers if test != killer] + [killer]
        return KILLED, killer

    def _run(self, tests: list[str], failed: Callable[[str], None]) -> None:
        items = [self.items[test] for test in tests]
        plugins = items[0].config.pluginmanager
        plugins.unregister(name="terminalreporter")
        plugins.register(Failing(failed))
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


class Failing:
    """A pytest plugin that reports the first failure."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self.failed = failed

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed(report.nodeid)


def _run_afresh(file: Path, code: CodeType, tests: list[str], failed: Callable[[str], None]) -> None:
    """Import package and tests once more, with ``code`` for ``file``, and run the tests."""
    package = ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "crossloss" or str(getattr(module, "__file__", "")).startswith(str(ROOT / "tests")):
            del sys.modules[name]

    class Loader(importlib.machinery.SourceFileLoader):
        def get_code(self, fullname: str) -> CodeType:
            return code

    class Finder:
        @staticmethod
        def find_spec(name: str, path: Any, target: Any = None) -> Any:
            if name != package:
                return None
            return importlib.util.spec_from_file_location(name, file, loader=Loader(name, str(file)))

    sys.meta_path.insert(0, Finder)
    if pytest.main(["-x", "-p", "no:cacheprovider", *tests], plugins=[Failing(failed)]) != 0:
        failed("")


def _limits(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(10 * seconds)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


def _functions(file: Path) -> dict[str, list[FunctionType]]:
    """Every living function of a file by its qualified name."""
    found: dict[str, list[FunctionType]] = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType and thing.__code__.co_filename == str(file):
            found.setdefault(thing.__code__.co_qualname, []).append(thing)
    return found


def _code(module: CodeType, name: str) -> CodeType | None:
    for constant in module.co_consts:
        if isinstance(constant, CodeType):
            found = constant if constant.co_qualname == name else _code(constant, name)
            if found is not None:
                return found
    return None


def summarise(file: Path, every: list[Mutant], done: dict[str, list[Any]]) -> None:
    """Write the counts of a file and the mutants that are left."""
    counts = {name: sum(found[0] == name for found in done.values()) for name in OUTCOMES}
    left = [f"{found[2]} {found[0]}: {key}" for key, found in done.items() if found[0] not in (KILLED, TIMEOUT)]
    figures = {"made": len(every), "run": len(done), **counts, "left": sorted(left)}
    Record(RESULTS / "mutants.json").put(str(file.relative_to(SOURCE)), figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", nargs="*", help="parts of paths; all by default")
    parser.add_argument("--tests", nargs="*", default=["tests"], help="to choose from")
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants of each file, drawn by seed")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of tests, as measured, that each is given")
    parser.add_argument("--again", action="store_true", help="run those that survived once more, as after new tests")
    given = parser.parse_args()
    files = [file for file in FILES if not given.files or any(part in str(file) for part in given.files)]
    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    hypothesis.settings.load_profile("mutants")
    plugin = Mutating(files, given.share, given.budget, given.again)
    options = ["-m", "not slow and not browser", "-p", "no:timeout", "-p", "no:cacheprovider", *given.tests]
    sys.exit(pytest.main(options, plugins=[plugin]))


if __name__ == "__main__":
    main()
