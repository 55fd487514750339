"""``python -m studies.NAME`` as a user gives it, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def as_user():
    """(exit code, standard output, standard error in one line) of a study's command."""

    def run(name, *arguments):
        command = [sys.executable, "-m", f"studies.{name}", *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, " ".join(done.stdout.split()), " ".join(done.stderr.split())

    return run
