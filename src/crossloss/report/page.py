"""The page of a run: one HTML string that needs nothing else."""

import base64
import hashlib
import re
from importlib.resources import files

from crossloss.core import UserError
from crossloss.extras import needed
from crossloss.report import words
from crossloss.report.data import Explained, Report
from crossloss.report.text import Piece, clean, highlight

SHOWN_PAIRS = 6


def render(report: Report) -> str:
    """Write the page of a run.

    Whatever the corpus holds is escaped, and control characters and lone surrogates appear as U+FFFD: the
    result encodes to UTF-8 and runs nothing but its own script, which its policy knows by hash. The same report gives
    the same bytes.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
        HTML with its style, script and figures inline.

    Raises
    ------
    UserError
        The extra ``report`` is not installed, or there is no objective to show.
    """
    with needed("report", "A report"):
        import jinja2

        from crossloss.report import figures
    if not report.objectives:
        raise UserError("There is nothing to report: score at least one objective first.")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crossloss", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    for write in (
        words.value, words.effect, words.probability, words.count, words.several, words.percent,
        words.duration, words.spread, words.interval, words.answer,
    ):  # fmt: skip
        environment.filters[write.__name__] = write
    environment.filters |= {"file_name": _file_name, "standalone": figures.standalone}
    script = files("crossloss.report").joinpath("script.js").read_text(encoding="utf-8")
    page = environment.get_template("template.html.j2").render(
        report=report,
        words=words,
        figures=figures,
        pieces=_pieces,
        removed=_removed,
        shown_pairs=SHOWN_PAIRS,
        policy=policy(script),
        script=script,
    )
    return clean(page)


def _pieces(sentence: Explained) -> list[Piece]:
    return highlight(sentence.text, sentence.spans)


def _removed(sentence: Explained, contribution: float) -> float:
    """Turn a contribution to the score into an effect if removed, the only sign that readers meet."""
    mass = -sentence.effect_if_removed / sentence.score if sentence.score else 1.0
    return -contribution * mass


def policy(script: str) -> str:
    """Write the content security policy of a page: nothing is fetched, and no script runs but this one."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60].strip(".-") or "figure"
