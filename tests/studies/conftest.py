"""``python -m studies.NAME`` as a user gives it, within this process."""

import io
import runpy
import signal
import sys

import pytest


@pytest.fixture(scope="session")
def as_user():
    """(exit code, standard output, standard error, each in one line) of a study's command."""

    def run(name, *arguments):
        out, err, code = io.StringIO(), io.StringIO(), 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [name, *map(str, arguments)])
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(signal, "signal", lambda *unused: None)
            patch.setenv("COLUMNS", "80")
            try:
                runpy.run_module(f"studies.{name}", run_name="__main__", alter_sys=True)
            except SystemExit as ended:
                code = ended.code or 0
        return code, " ".join(out.getvalue().split()), " ".join(err.getvalue().split())

    return run
