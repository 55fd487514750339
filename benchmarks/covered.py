"""Lines and branches of src that the fast tests run: a table by folder, and by test, by which `mutants.py` chooses.

`--add --slow` then adds the slow tests and those in a browser.
"""

import argparse
import functools
import json
import sys
import time
from collections import Counter
from pathlib import Path

import coverage
import pytest

sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).resolve().parent.parent
DATA, SECONDS = ROOT / "runs" / "covered.sqlite", ROOT / "runs" / "covered-seconds.json"
COUNTS = ("num_statements", "covered_lines", "num_branches", "covered_branches")


class ByTest:
    """A pytest plugin: lines go to the test that runs them, and those of a shared fixture to its whole file.

    What tests keep in a cache is made anew for each, so that all who need it are seen to run it.
    """

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured, self.seconds, self.now = measured, {}, ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        for module in list(sys.modules.values()):
            if str(getattr(module, "__file__", "")).startswith(str(ROOT / "tests")):
                for value in vars(module).values():
                    if isinstance(value, functools._lru_cache_wrapper):
                        value.cache_clear()
        self.now, start = item.nodeid, time.process_time()
        self.measured.switch_context(self.now)
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - start

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            return (yield)
        self.measured.switch_context(request.node.nodeid)
        try:
            return (yield)
        finally:
            self.measured.switch_context(self.now)


def by_folder(report: dict) -> dict[str, dict[str, int]]:
    """Counts of lines and branches by folder of src/crossloss, and of all."""
    folders: dict[str, Counter] = {}
    for file, found in report["files"].items():
        parts = Path(file).parts[2:]
        for folder in (parts[0] if len(parts) > 1 else "(top)", "all"):
            folders.setdefault(folder, Counter()).update({name: found["summary"][name] for name in COUNTS})
    return {folder: dict(folders[folder]) for folder in sorted(folders)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tests", nargs="*", default=["tests"])
    parser.add_argument("--add", action="store_true", help="to what is known of the other tests")
    parser.add_argument("--slow", action="store_true", help="the slow tests and those in a browser")
    given = parser.parse_args()
    DATA.parent.mkdir(exist_ok=True)
    measured = coverage.Coverage(data_file=str(DATA), branch=True, source=[str(ROOT / "src" / "crossloss")])
    if given.add:
        measured.load()
    else:
        measured.erase()
    measured.start()
    plugin = ByTest(measured)
    chosen = "slow or browser" if given.slow else "not slow and not browser"
    code = pytest.main(["-m", chosen, *given.tests], plugins=[plugin])
    measured.stop()
    measured.save()
    known = json.loads(SECONDS.read_text()) if given.add else {}
    SECONDS.write_text(json.dumps(known | plugin.seconds))
    report = DATA.with_suffix(".json")
    measured.json_report(outfile=str(report))
    from record import RESULTS, Record

    record = Record(RESULTS / "coverage.json")
    for folder, counts in by_folder(json.loads(report.read_text())).items():
        record.put(folder, counts)
    sys.exit(code)


if __name__ == "__main__":
    main()
