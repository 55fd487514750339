"""Memory: what this process may still take, what a run holds, and how a budget is shared."""

import math
import mmap
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crossloss.core import UserError
from crossloss.utils.display import Result, Table

try:
    import resource
except ImportError:  # Windows: it has no limits of this kind
    resource = None  # type: ignore[assignment]

CGROUPS = Path("/sys/fs/cgroup")
PROCESS = Path("/proc/self")
MACHINE = Path("/proc/meminfo")
DISK_SHARE = 0.8
"""Part of the free disk that states may take."""
FREE = "free"
"""The budget that is what this machine has free."""


def available_memory() -> int:
    """Bytes that this process may come to hold: what it has, and the least that machine, cgroups and ulimit leave."""
    size, own = ([int(pages) * mmap.PAGESIZE for pages in _read(PROCESS / "statm").split()] or [0, 0])[:2]
    machine = [int(line.split()[1]) * 1024 for line in _read(MACHINE).splitlines() if line.startswith("MemAvailable:")]
    limits = [left + own for left in (*machine, *_cgroups())]
    soft = None if resource is None else resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft is not None and soft != resource.RLIM_INFINITY:
        limits.append(max(0, soft - size) + own)
    return min(limits, default=1 << 62)


def resident_memory() -> int:
    """Bytes of this process in memory now; 0 where the system does not say."""
    pages = _read(PROCESS / "statm").split()
    return int(pages[1]) * mmap.PAGESIZE if pages else 0


def free_disk(folder: Path | None) -> int:
    """Bytes that are free where a folder lies, or where temporary files do."""
    where = Path(tempfile.gettempdir()) if folder is None else folder
    try:
        return shutil.disk_usage(where).free
    except OSError:
        return 0


def peak_memory() -> float | None:
    """Largest resident memory of this process so far, bytes; None where the system does not say."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _read(path: Path) -> str:
    """Text of a file of the system; "" where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _cgroups() -> Iterator[int]:
    """What the process's cgroups of either version leave, from its own up to the root; file cache counts as free."""
    for line in _read(PROCESS / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, names, cache = CGROUPS / "memory", ("limit_in_bytes", "usage_in_bytes"), "total_inactive_file"
        elif not controllers:
            root, names, cache = CGROUPS, ("max", "current"), "inactive_file"
        else:
            continue
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            if place.is_relative_to(root):
                limit, used = (_read(place / f"memory.{name}").strip() for name in names)
                if limit.isdecimal() and used.isdecimal() and int(limit) < 1 << 60:  # else absent, or no limit
                    free = re.search(rf"(?m)^{cache} (\d+)", _read(place / "memory.stat"))
                    yield max(0, int(limit) - int(used) + int(free[1] if free else 0))


@dataclass(frozen=True)
class Storage:
    """Every how many steps a run stores its state, whether on disk, and the bytes of all of them."""

    every: int
    on_disk: bool
    stored: int


@dataclass(frozen=True)
class Estimate(Result):
    """What a run and the scoring of its objectives take.

    Attributes
    ----------
    storage : Storage
    memory : int
        Bytes of this process at the fullest, about: what is there already, and the largest parts of a backward pass.
    parts : dict of str to int
        Bytes of each of them.

    Examples
    --------
    >>> print(run.estimate().summary()[0])
    """

    storage: Storage
    steps: int
    memory: int
    parts: dict[str, int]

    def summary(self) -> list[str]:
        """Where the states lie, and what memory holds."""
        where, every = "on disk" if self.storage.on_disk else "in memory", self.storage.every
        nth = {1: "", 2: "2nd ", 3: "3rd "}.get(every, f"{every}th ")
        spaced = f"of every {nth}step" + (", those between taken again," if every > 1 else "")
        held = ", ".join(f"{name} {gigabytes(size)}" for name, size in self.parts.items())
        return [
            f"States {spaced} {where}: {gigabytes(self.storage.stored)}. Memory at the fullest about "
            f"{gigabytes(self.memory)}: {held}."
        ]

    def tables(self) -> list[Table]:
        """Bytes by part."""
        rows = [(name, float(size)) for name, size in (*self.parts.items(), ("all", self.memory))]
        return [Table("Memory of a run", ("part", "bytes"), rows)]


def gigabytes(size: float) -> str:
    """A size as people read it."""
    return f"{size / 1e9:.2g} GB" if size < 1e10 else f"{size / 1e9:.0f} GB"


@dataclass(frozen=True)
class Footprint:
    """Bytes that a run holds in memory."""

    fixed: int  # whatever is there before any training state
    direction: int  # one objective in the backward pass and in its result
    state: int  # one stored training state
    replayed: int  # one step of a stretch that is replayed
    theta: int  # one set of parameters

    def stored(self, steps: int, every: int) -> int:
        """Bytes of every so many states, the first, and the last."""
        return (math.ceil(steps / every) + 1) * self.state

    def spacing(self, steps: int, budget: int) -> int:
        """The smallest s for which every s-th state and one replayed stretch fit into the budget, beside one direction.

        Refused where none does.
        """
        left = budget - self.fixed - self.direction
        sizes = [self._states(steps, s) for s in range(1, steps + 1)]
        if min(sizes) > left:
            raise UserError(
                f"This run needs {(budget - left + min(sizes)) / 1e9:.3g} GB, more than memory {budget / 1e9:.3g}GB "
                "allows: raise memory=, or lower max_words=, dimension= or window= (of a torch model: take fewer "
                "steps)."
            )
        return next(s for s, size in enumerate(sizes, 1) if size <= left)

    def storage(self, steps: int, budget: int, disk: int) -> "Storage":
        """Where the states of a run lie: in the budget, else on ``disk``, of which so many bytes are free.

        Refused where neither bears them.
        """
        try:
            every = self.spacing(steps, budget)
            return Storage(every, False, self.stored(steps, every))
        except UserError:
            left = budget - self.fixed - self.direction
            for every in range(1, steps + 1):
                stored = self.stored(steps, every)
                if every * self.replayed <= left and stored <= DISK_SHARE * disk:
                    return Storage(every, True, stored)
            raise

    def at_once(self, directions: int, steps: int, budget: int) -> int:
        """Directions that fit beside the states, or beside one step where those lie on disk; at least one."""
        held = 0
        if steps:
            try:
                held = self._states(steps, self.spacing(steps, budget))
            except UserError:
                held = self.replayed
        left = budget - self.fixed - held
        return max(1, min(directions, left // max(self.direction, 1)))

    def peak(self, directions: int, steps: int, budget: int) -> int:
        """Bytes at the fullest of a run in a folder, where the states lie on disk."""
        replayed = self.spacing(steps, budget) * self.replayed
        return self.fixed + self.at_once(directions, steps, budget) * self.direction + 2 * self.theta + replayed

    def _states(self, steps: int, s: int) -> int:
        return self.stored(steps, s) + s * self.replayed


def parse_bytes(text: str) -> int:
    """Bytes in a text like 6GB, 500MB or 2GiB, or what is free (four fifths of it); what is no size is refused."""
    if text == FREE:
        return int(0.8 * available_memory())
    if not isinstance(text, str):
        raise UserError(f'The memory is {text!r}: write it like "6GB" or "500MB".')
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*", text)
    if not match:
        raise UserError(f"{text!r} is no size of memory: write it like 6GB or 500MB.")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " KMGT".index(match[2].upper() or " "))
