"""Does a run end within the memory that it was said to take? The same command under limits of the kernel.

python benchmarks/memory_limits.py CORPUS writes benchmarks/results/memory-limits.json. A run is done once freely, for
its estimate and its peak; then with a tenth more than the estimate as the limit of a cgroup (version 1, where one can
be made), and with half more as that of the address space (ulimit -v counts what is reserved and never touched); then
with three quarters of it, which must be refused before training.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from record import RESULTS, Record

GROUP = Path("/sys/fs/cgroup/memory/crossloss-limits")
START = "import crossloss.cli as c; print(*open('/proc/self/statm').read().split()[:2])"


def go(corpus: str, out: str, *, group: int = 0, space: int = 0) -> tuple[int, str, int]:
    """Exit code, what was said, and the peak of a run under a limit."""

    def limit() -> None:
        if group:
            (GROUP / "cgroup.procs").write_text(str(os.getpid()))
        if space:
            resource.setrlimit(resource.RLIMIT_AS, (space, space))

    if group:
        GROUP.mkdir(exist_ok=True)
        (GROUP / "memory.limit_in_bytes").write_text(str(group))
    command = [
        sys.executable, "-m", "crossloss", "run", corpus, "--objective", "weat7", "--out", out, "--min-count", "5",
        "--max-words", "6000", "--steps", "6", "--memory", "2GB",
    ]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit)
    said = "".join(child.communicate())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if group:
        GROUP.rmdir()
    return child.returncode, said, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--out", type=Path, default=RESULTS / "memory-limits.json")
    given = parser.parse_args()
    record = Record(given.out)
    with tempfile.TemporaryDirectory() as folder:
        code, said, peak = go(given.corpus, f"{folder}/free")
        assert code == 0, said
        found = re.search(r"memory ([\d.]+) GB\s+of", said)
        assert found, said
        estimate = round(float(found[1]) * 1e9)
        record.put("estimate", estimate)
        record.put("peak", peak)
        begun = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True).stdout.split()
        base = (int(begun[0]) - int(begun[1])) * resource.getpagesize()  # libraries that are mapped, not read
        for kind, plenty in (("cgroup", 1.1), ("address space", 1.5)):
            if kind == "cgroup" and not os.access(GROUP.parent, os.W_OK):
                continue
            for share in (plenty, 0.75):
                size = round(share * estimate)
                limit = {"group": size} if kind == "cgroup" else {"space": base + size}
                code, said, _ = go(given.corpus, f"{folder}/{kind}-{share}", **limit)
                refused = "This run needs about" in said or "needs more than --memory" in said
                record.put(f"{kind} of {share} times the estimate", f"exit code {code}{', refused' * refused}")
                assert (code, refused) == ((0, False) if share > 1 else (2, True)), said[-2000:]


if __name__ == "__main__":
    main()
