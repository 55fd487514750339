"""Strangers' files and machines: fuzzed inputs, hostile text, full disks, read-only folders, no network."""

import errno
import os
import re
import resource
import signal
import socket

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss import cli
from crossloss.cli import printing
from crossloss.core import UserError
from crossloss.folders import restore as stored
from crossloss.utils import files
from crossloss.utils.files import LEDGER
from fuzzing import FORBIDDEN
from fuzzing_runs import TARGETS, chosen, command, hostile_run, made, options


@pytest.mark.parametrize("target", TARGETS)
def test_fuzzed_inputs_are_read_right_or_refused_in_one_sentence(tmp_path, target):
    """As benchmarks/fuzz.py, which does a hundred thousand."""
    few = {"arguments": 25, "run folder": 25}.get(target, 150)
    seen = [TARGETS[target][0](chosen(77, number)[0], tmp_path) for number in range(few)]
    assert set(seen) == {"read", "refused"}


def test_hostile_text_reaches_terminal_and_report_as_text(tmp_path):
    out, told = hostile_run(tmp_path)
    assert [code for code, _, _ in told] == [0, 0, 0, 0, 0, 2, 2]
    for _, said, errors in told:
        assert not FORBIDDEN.search(said)
        assert not FORBIDDEN.search(errors)
    assert "[bold]waa[/bold]" in re.sub(r"[│ \n]+", "", told[1][1]), "mark-up is shown, not obeyed"
    page = (out / "report.html").read_text()
    assert "<script>document" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page
    assert not re.search("[\x00\x1b\x9b\ud800-\udfff]", page)
    assert "http-equiv" in page
    assert "Content-Security-Policy" in page


def test_a_line_of_ten_megabytes(tmp_path, capsys):
    (tmp_path / "c.txt").write_text("waa wab " * 1_300_000 + "\nwai waj\n")
    corpus = cl.read(tmp_path / "c.txt")
    assert (len(corpus), len(corpus.tokens)) == (2, 2_600_002)
    printing.print_line(corpus.texts[0])
    assert len(capsys.readouterr().out) < 2100


def chain(folder, out):
    """Train, score, plan and export, as commands; the first that fails ends it."""
    home, test = made(folder), f"{folder}/made/t.yaml"
    for given in (["train", f"{home}/c.txt", "--objective", test, "--out", str(out), *options()],
                  ["score", str(out)], ["plan", str(out)],
                  ["export", str(out), "--format", "projector", "--out", str(out / "projector")]):  # fmt: skip
        code, said, errors = command(given)
        if code:
            break
    return code, said, errors


FAULTS = {
    "fsync": (os, "fsync", errno.ENOSPC, "No space left"),
    "replace": (os, "replace", errno.EROFS, "Read-only file system"),
    "table": (files.pq.ParquetWriter, "write_table", errno.ENOSPC, "No space left"),
    "mkdir": (os, "mkdir", errno.EROFS, "Read-only file system"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_at_any_write_is_one_sentence_and_the_run_goes_on(tmp_path, monkeypatch, kind):
    """The n-th write fails, for every n; the same command then ends as if nothing had been."""
    module, name, number, said = FAULTS[kind]
    real, calls, deadly = getattr(module, name), [0], [0]

    def counted(*given, **more):
        calls[0] += 1
        if calls[0] == deadly[0]:
            raise OSError(number, os.strerror(number))
        return real(*given, **more)

    made(tmp_path)
    monkeypatch.setattr(module, name, counted)
    assert chain(tmp_path, tmp_path / "whole")[0] == 0
    total, expected = calls[0], contents(tmp_path / "whole")
    assert total >= {"fsync": 60, "replace": 20, "table": 3, "mkdir": 3}[kind]
    for n in range(1, total + 1):
        calls[0], deadly[0] = 0, n
        out = tmp_path / f"{kind}-{n}"
        code, _, errors = chain(tmp_path, out)
        if kind == "mkdir" and code == 0:  # a folder that was there already
            continue
        assert code == 2, f"write {n} of {total}"
        assert said in errors
        deadly[0] = 0
        assert chain(tmp_path, out)[0] == 0
        assert contents(out) == expected, f"write {n} of {total}"


def contents(out):
    """Files that hold no seconds, by name."""
    names = ("metrics.json", ".lock", LEDGER, "manifest.json")
    kept = (p for p in sorted(out.rglob("*")) if p.is_file() and p.name not in names)
    return {str(p.relative_to(out)): p.read_bytes() for p in kept}


def test_a_disk_that_is_really_full(tmp_path):
    """A limit of the kernel on the size of files: every writer meets it, those in C++ and Rust too."""
    home = made(tmp_path)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        told = [0, 0]
        for writer in (
            lambda p: files.write_bytes(p, bytes(4000)),
            lambda p: files.write_json(p, ["x" * 4000]),
            lambda p: files.write_table(p, cl.read(home / "c.txt").to_table()),
            lambda p: files.write_arrays(p, {"a": np.zeros(4000)}),
        ):
            try:
                writer(tmp_path / "big")
                told[0] += 1
            except UserError as error:
                told[1] += "File too large" in str(error) and "\n" not in str(error)
        os._exit(0 if told == [0, 4] and not (tmp_path / "big").exists() else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a user to become")
def test_a_folder_of_another_user_is_refused_in_one_sentence(tmp_path):
    home = made(tmp_path)
    (tmp_path / "theirs").mkdir()
    for path in (tmp_path, *tmp_path.parents):
        if path != path.parent and path.stat().st_uid == 0 and str(path).startswith("/tmp/pytest"):
            path.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        new = command(["train", f"{home}/c.txt", "--out", str(tmp_path / "theirs" / "run"), *options()])
        old = command(["score", str(home / "run")])
        gone = command(["export", str(home / "run"), "--format", "projector", "--out", str(tmp_path / "theirs")])
        good = all(code == 2 and "Permission denied" in errors for code, _, errors in (new, old, gone))
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_nothing_of_the_chain_opens_a_socket(tmp_path, monkeypatch):
    def refuse(*given, **more):
        raise AssertionError(f"the network was asked for: {given}")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    with pytest.raises(AssertionError, match="network"):
        socket.create_connection(("localhost", 9))
    home, run = made(tmp_path), str(tmp_path / "run")
    whole = ["run", f"{home}/c.txt", "--objective", f"{home}/t.yaml", "--out", run, "--validate", "3", *options()]
    again = ["train", f"{home}/c.txt", "--weights", f"{run}/plan-mine.parquet", "--out", str(tmp_path / "mended")]
    for given in (
        whole,
        ["show", run, "--html"],
        ["score", run, "--estimator", "gradient-dot"],
        ["show", run, "waa wab wai"],
        ["export", run, "--format", "word2vec", "--out", str(tmp_path / "v")],
        again,
    ):
        assert command(given)[0] == 0, given


@pytest.mark.slow
def test_the_embedded_corpus_is_read_without_a_network(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", None)
    monkeypatch.setattr(socket.socket, "connect", None)
    assert len(cl.read("builtin:wikipedia")) > 20_000


def test_a_wrong_use_is_one_line_and_help_still_helps(capsys):
    for given in (["frobnicate"], ["score"], ["score", "x", "--damping", "much"], ["plan", "x", "--no-such"]):
        code, out, errors = command(given)
        assert (code, out) == (2, "")
        assert len(errors.strip().splitlines()) == 1
        assert errors.startswith("Error: ")
    code, out, errors = command([])
    assert "Usage" in out + errors
    assert command(["--help"])[0] == 0


def test_a_stopped_command_says_how_to_go_on(tmp_path, monkeypatch):
    def stop(*unused, **more):
        cli._stop()

    run = str(made(tmp_path) / "run")
    monkeypatch.setattr(stored, "score", stop)
    code, _, errors = command(["show", run])
    assert code == 130
    assert "Give the same command again" in errors


@pytest.mark.parametrize("taken", [lambda: bytes(1 << 60), lambda: np.zeros(1 << 58), lambda: torch.zeros(1 << 58)])
def test_memory_that_runs_out_is_one_sentence(tmp_path, monkeypatch, taken):
    """As Python, numpy and torch say it, each in its own way."""
    run = str(made(tmp_path) / "run")
    monkeypatch.setattr(stored, "score", lambda *unused, **more: taken())
    code, _, errors = command(["show", run])
    assert (code, errors.strip()) == (2, "Error: Memory ran out: lower --max-words, --dimension or --memory.")


def test_a_fault_of_our_own_is_not_hidden(tmp_path, monkeypatch):
    def broken(*unused, **more):
        raise RuntimeError("a bug")

    run = str(made(tmp_path) / "run")
    monkeypatch.setattr(stored, "score", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        command(["show", run])
