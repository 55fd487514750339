"""The tutorial, carried out: its commands and code in their order, and what it says they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks

import crossloss

TUTORIAL = ROOT / "docs" / "tutorial.md"
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


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path):
    pytest.importorskip("gensim")
    shim, folder = tmp_path / "bin", tmp_path / "work"
    shim.mkdir()
    folder.mkdir()
    (shim / "crossloss").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m crossloss "$@"\n')
    (shim / "crossloss").chmod(0o755)
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
