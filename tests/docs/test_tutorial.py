"""The tutorial and the page of corrections, carried out: commands and code in their order, and what they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks, commands, corpus

import crossloss

TUTORIAL, CORRECT = ROOT / "docs" / "tutorial.md", ROOT / "docs" / "howto" / "correct.md"
# A number, and the unit whose size depends on the machine.
NUMBER = re.compile(r"[−+-]?\d[\d,.]*( (s|min|GB)\b)?")
BORDERS = re.compile(r"[\u2500-\u257f]+")


def lines(text: str) -> str:
    """One line of words, without borders of tables; every number is #."""
    return re.sub(r"\s+", " ", NUMBER.sub("#", BORDERS.sub(" ", text)))


def carry_out(kind: str, text: str, folder: Path, shim: Path) -> str:
    source = Path(crossloss.__file__).parents[1]
    paths = os.pathsep.join(p for p in (str(source), os.environ.get("PYTHONPATH", "")) if p)
    there = {"PATH": f"{shim}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": paths, "COLUMNS": "200"}
    command = ["bash", "-e", "-c", text] if kind == "sh" else [sys.executable, "-c", text]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **there}, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def shim(tmp_path):
    """A folder with this crossloss as a command."""
    pytest.importorskip("gensim")
    shim = tmp_path / "bin"
    shim.mkdir()
    (shim / "crossloss").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m crossloss "$@"\n')
    (shim / "crossloss").chmod(0o755)
    return shim


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(shim, folder):
    said, shown = "", 0
    for block in blocks(TUTORIAL):
        if "Install" in block.note:
            continue
        if block.kind in ("sh", "python"):
            said = lines(carry_out(block.kind, block.text, folder, shim))
        elif block.kind == "text":
            for line in block.text.splitlines():
                assert lines(line).strip() in said, f"not printed: {line}\n{said}"
                shown += 1
    assert shown > 8
    assert (folder / "runs/first/report.html").stat().st_size > 50_000


@pytest.mark.slow
def test_a_corpus_is_corrected_in_at_most_six_commands(shim, folder):
    assert len(list(commands(CORRECT))) <= 6
    more = [word for name in ("paper-math", "paper-art") for word in crossloss.objectives.weat(name).words]
    lines = corpus(900, more=[*more, "john", "mary"])
    (folder / "corpus.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = "".join(
        carry_out(block.kind, block.text, folder, shim) for block in blocks(CORRECT) if block.kind in ("sh", "python")
    )
    fixed = (folder / "fixed" / "corpus.txt").read_text("utf-8").splitlines()
    changed = [(a, b) for a, b in zip(lines, fixed, strict=True) if a != b]
    assert 0 < len(changed) < len(lines) / 4
    assert all(len(a.split()) == len(b.split()) for a, b in changed)
    assert "over to words that it was not fitted to" in " ".join(said.split())
    assert "wordsim353" not in said, "its words are not in the corpus"
