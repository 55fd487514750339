"""How much memory this process may still take."""

import mmap
import sys
from collections.abc import Iterator
from pathlib import Path

try:
    import resource
except ImportError:  # Windows: it has no limits of this kind
    resource = None  # type: ignore[assignment]

CGROUPS = Path("/sys/fs/cgroup")
PROCESS = Path("/proc/self")


def available_memory() -> int:
    """Bytes that this process may come to hold: what it has, and the least that machine, cgroups and ulimit leave."""
    size, own = _pages()
    limits = [left + own for left in (*_machine(), *_cgroups())]
    soft = None if resource is None else resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft is not None and soft != resource.RLIM_INFINITY:
        limits.append(max(0, soft - size) + own)
    return min(limits) if limits else 1 << 62


def peak_memory() -> float | None:
    """Largest resident memory of this process so far, bytes; None where the system does not say."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _pages() -> tuple[int, int]:
    """Bytes of address space and of memory that the process has; 0 where the system does not say."""
    try:
        size, own = (PROCESS / "statm").read_text().split()[:2]
    except OSError:
        return 0, 0
    return int(size) * mmap.PAGESIZE, int(own) * mmap.PAGESIZE


def _machine() -> Iterator[int]:
    info = Path("/proc/meminfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _cgroups() -> Iterator[int]:
    """What the process's cgroups of either version leave, from its own up to the root; file cache counts as free."""
    own = PROCESS / "cgroup"
    for line in own.read_text().splitlines() if own.exists() else []:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, names, cache = CGROUPS / "memory", ("limit_in_bytes", "usage_in_bytes"), "total_inactive_file"
        elif not controllers:
            root, names, cache = CGROUPS, ("max", "current"), "inactive_file"
        else:
            continue
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            if place != root and root not in place.parents:
                break
            numbers = [_number(place / f"memory.{name}") for name in names]
            if numbers[0] is not None and numbers[1] is not None and numbers[0] < 1 << 60:
                yield max(0, numbers[0] - numbers[1] + _stat(place / "memory.stat", cache))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None


def _stat(path: Path, name: str) -> int:
    try:
        return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.split()[0] == name), 0)
    except OSError:
        return 0
