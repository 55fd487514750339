"""What a run may take: the least of machine, cgroups of both versions, and ulimit."""

import resource

import pytest

from crossloss.utils import memory as available

GB = 10**9


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine's files: put(path, text) below /sys/fs/cgroup and /proc/self."""
    monkeypatch.setattr(available, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(available, "PROCESS", tmp_path / "self")
    (tmp_path / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {64 * GB // 1024} kB\n")
    monkeypatch.setattr(available, "MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)

    def put(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(text))

    return put


def test_the_machine_alone(system):
    assert available.available_memory() == 64 * GB


def test_version_two_own_group_and_those_above(system):
    system("self/cgroup", "0::/a/b\n")
    system("cgroup/a/b/memory.max", "max\n")
    system("cgroup/a/b/memory.current", GB)
    assert available.available_memory() == 64 * GB
    system("cgroup/a/memory.max", 8 * GB)
    system("cgroup/a/memory.current", 3 * GB)
    system("cgroup/a/memory.stat", f"anon {GB}\ninactive_file {2 * GB}\n")
    assert available.available_memory() == 7 * GB, "file cache is given back when it is needed"
    system("cgroup/memory.max", 5 * GB)
    system("cgroup/memory.current", GB)
    assert available.available_memory() == 4 * GB


def test_version_one(system):
    system("self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n")
    system("cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
    system("cgroup/memory/memory.usage_in_bytes", 20 * GB)
    assert available.available_memory() == 64 * GB
    system("cgroup/memory/x/memory.limit_in_bytes", 6 * GB)
    system("cgroup/memory/x/memory.usage_in_bytes", 2 * GB)
    system("cgroup/memory/x/memory.stat", f"inactive_file 5\ntotal_inactive_file {GB}\n")
    assert available.available_memory() == 5 * GB


def test_what_the_process_has_is_its_own(system, monkeypatch):
    page = resource.getpagesize()
    system("self/statm", f"{3 * GB // page} {GB // page} 1 1 0 1 0\n")
    assert abs(available.available_memory() - 65 * GB) < 10**5
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (10 * GB, 10 * GB))
    assert abs(available.available_memory() - (7 * GB + GB)) < 10**5
