"""What the files of a run folder were when they were written: a line ``sha256  name`` for each write.

The line is there before the file is, so that a process may be killed between the two; a file is as it was written if
any of its lines has its hash. ``sha256sum`` prints the same lines.
"""

import hashlib
import os
from pathlib import Path

from crossloss.core import UserError

LEDGER = "SHA256SUMS"


def ledger_of(path: Path) -> Path | None:
    """The ledger of the run folder that a file lies in, itself or one folder down; None outside of run folders."""
    for folder in (path.parent, path.parent.parent):
        if (folder / LEDGER).is_file():
            return folder / LEDGER
    return None


def _line(ledger: Path, path: Path, content: Path) -> bytes:
    with content.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{digest}  {path.relative_to(ledger.parent)}\n".encode(errors="surrogateescape")


def enter(path: Path, content: Path) -> None:
    """Write down that ``path`` is about to become what ``content`` holds."""
    ledger = ledger_of(path)
    if ledger is None:
        return
    line = _line(ledger, path, content)
    with ledger.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line  # a full disk cut the line before
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def check(path: Path) -> None:
    """Refuse a file that is not as it was written; one that was not written here passes.

    Raises
    ------
    UserError
        The file's hash is none of its lines'.
    OSError
        The file cannot be read.
    """
    ledger = ledger_of(path)
    if ledger is None:
        return
    lines = ledger.read_bytes()
    name = f"  {path.relative_to(ledger.parent)}\n".encode(errors="surrogateescape")
    if name in lines and _line(ledger, path, path) not in lines:
        raise UserError(
            f"{path} was changed, cut off or exchanged since crossloss wrote it: put it back, or delete it and give "
            "the command that made the run again."
        )
