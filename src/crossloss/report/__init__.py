"""One self-contained HTML page for any run: its template, style, script and sentences; it computes nothing it shows."""

from pathlib import Path
from typing import Any

from crossloss.core import UserError
from crossloss.folders.restore import restore
from crossloss.report.page import render
from crossloss.run.folder import RunFolder
from crossloss.run.run import Run
from crossloss.utils import files

__all__ = ["render", "report"]


def report(run: Run, *, path: str | Path | None = None, show: Any = None) -> Path:
    """Write what was scored, planned and validated of a run as one HTML page, which needs nothing else.

    Parameters
    ----------
    run : Run
        Scored: ``cl.score(run, [objective])``; of a folder, with the objectives of its manifest.
    path : str or Path, optional
        report.html in the run's folder where None.
    show : callable, sequence or DataFrame, optional
        What is shown of each sample, by its number: a text, a mapping (a row of a table), an image (of PIL, or an array
        or tensor H x W, H x W x 3 or 3 x H x W, 0 to 1 or 0 to 255), or a tuple of these. The field's own where None.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    UserError
        Nothing was scored, a run in memory without ``path``, a folder that is not there, or something that cannot be
        shown.

    Examples
    --------
    >>> scores = cl.score(run, [weat])
    >>> page = cl.report(run, path="page.html")
    """
    if not isinstance(run, Run):
        raise UserError(f"A report is of a run, not of a {type(run).__name__}: cl.report(run).")
    if path is None and not isinstance(run.store, RunFolder):
        raise UserError('This run is in memory: say where its page goes, cl.report(run, path="report.html").')
    target = run.store.file("report.html") if isinstance(run.store, RunFolder) and path is None else Path(path or "")
    if target.is_dir() or not target.parent.is_dir():
        raise UserError(f"{target} is no place for a page: give the path of a file in a folder that is there.")
    restore(run)
    files.write_text(target, render(run, show))
    return target
