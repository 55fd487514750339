"""The explorer's server: a route for each question of the page, which checks what it is given and calls a function."""

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from crossloss.core import UserError
from crossloss.explore import sentences, vocabulary
from crossloss.explore.about import about
from crossloss.explore.baskets import strongest, summary
from crossloss.explore.guard import Guard
from crossloss.explore.requests import Basket, NewObjective, SampleQuery, Selection, Sentence, Strongest
from crossloss.explore.session import Session
from crossloss.explore.worker import Busy
from crossloss.report.text import clean

PAGE = "page.html"
COLOURS = "colours.css"
"""The report's colours and marks."""
SCRIPTS = ("explore", "state", "format", "dom", "chart", "ask", "rows", "basket", "panels", "trust")
ASSETS = {COLOURS: "text/css", "explore.css": "text/css"} | {f"{name}.js": "text/javascript" for name in SCRIPTS}
"""Files of the package that the page loads, with their types."""
LONGEST_ERROR = 400
"""Characters of a refusal, which may repeat what was typed."""


def content(name: str) -> bytes:
    """A file of the page."""
    place = files("crossloss.report") if name == COLOURS else files("crossloss.explore").joinpath("static")
    return place.joinpath(name).read_bytes()


def make_app(session: Session, token: str, port: int) -> Any:
    """The application of a session, guarded: every route but the package's own files asks for the token."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _speak_plainly(app)

    @app.get("/")
    def page() -> Response:
        return Response(content(PAGE), media_type="text/html; charset=utf-8")

    def asset(name: str, kind: str) -> Callable[[], Response]:
        return lambda: Response(content(name), media_type=f"{kind}; charset=utf-8")

    for name, kind in ASSETS.items():
        app.get(f"/{name}")(asset(name, kind))

    @app.get("/api/run")
    def run() -> Any:
        return about(session)

    @app.get("/api/tests")
    def tests() -> Any:
        return session.tests()

    @app.post("/api/sentence")
    def sentence(asked: Sentence) -> Any:
        return sentences.asked(session, asked.text, asked.objective, asked.instead)

    @app.post("/api/text")
    def text(asked: SampleQuery) -> Any:
        if asked.sample >= session.model.samples:
            raise UserError("The run has no sample of this number.")
        return {"text": clean(session.rows.text(asked.sample))}

    @app.post("/api/rows")
    def rows(asked: Selection) -> Any:
        r, k, end = session.rows, session.rows.index(asked.objective), asked.offset + asked.limit
        chosen = r.selected(k, asked.filter.made(), asked.order)
        shown = r.grouped(chosen, end) if asked.grouped else [chosen[[i]] for i in range(min(end, len(chosen)))]
        made = sentences.rows(session, shown[asked.offset :], asked.objective)
        return {"total": len(chosen), "rows": made, "more": len(shown) == end < len(chosen)}

    @app.post("/api/facets")
    def facets(asked: Selection) -> Any:
        return session.rows.facets(session.rows.index(asked.objective), asked.filter.made())

    @app.post("/api/scatter")
    def scatter(asked: Selection) -> Any:
        r = session.rows
        return r.scatter(r.index(asked.objective), r.index(asked.against or asked.objective), asked.filter.made())

    @app.post("/api/select")
    def select(asked: Selection) -> Any:
        r = session.rows
        return {"samples": r.selected(r.index(asked.objective), asked.filter.made(), asked.order).tolist()}

    @app.post("/api/strongest")
    def leave_out(asked: Strongest) -> Any:
        session.rows.index(asked.objective)
        return strongest(session.scores, asked.objective, asked.up, asked.n)

    @app.post("/api/strongest/retrain")
    def retrain_strongest(asked: Strongest) -> Any:
        session.rows.index(asked.objective)
        made = strongest(session.scores, asked.objective, asked.up, asked.n)
        label = {"objective": asked.objective, "up": asked.up, "n": made["n"]}
        session.retrain([(0.0, made["samples"])], asked.starts, label)
        return _job(session)

    @app.post("/api/basket")
    def basket(asked: Basket) -> Any:
        return summary(session.scores, session.weights(asked.made()))

    @app.post("/api/basket/retrain")
    def retrain_basket(asked: Basket) -> Any:
        session.retrain(asked.made(), asked.starts, {"basket": True})
        return _job(session)

    @app.post("/api/basket/plan")
    def plan(asked: Basket) -> Any:
        return session.save_plan(asked.made(), asked.name)

    @app.post("/api/basket/swap")
    def swap(asked: Basket) -> Any:
        chosen = [i for change in asked.changes for i in change.samples]
        pairs = asked.pairs if isinstance(asked.pairs, str) else [_pair(words) for words in asked.pairs]
        return sentences.swapped(session, chosen, pairs, asked.objective)

    @app.post("/api/word")
    def word(asked: Basket) -> Any:
        return vocabulary.panel(session, asked.word, asked.objective, asked.made())

    @app.post("/api/objective")
    def objective(asked: NewObjective) -> Any:
        return session.value(asked.made(session))

    @app.post("/api/objective/score")
    def score(asked: NewObjective) -> Any:
        session.score(asked.made(session))
        return _job(session)

    @app.get("/api/job")
    def job() -> Any:
        return _job(session)

    @app.post("/api/job/cancel")
    def cancel() -> Any:
        session.worker.cancel()
        return _job(session)

    return Guard(app, token, port, frozenset(f"/{name}" for name in ASSETS))


def _job(session: Session) -> Any:
    return None if session.worker.job is None else session.worker.job.plain()


def _pair(words: list[str]) -> tuple[str, str]:
    if len(words) != 2:
        raise UserError("A pair is two words: he, she.")
    return words[0], words[1]


def _speak_plainly(app: FastAPI) -> None:
    """Answer every refusal with one sentence, and never with what was sent."""

    def refuse(status: int, sentence: str) -> JSONResponse:
        return JSONResponse({"error": clean(sentence)[:LONGEST_ERROR]}, status)

    @app.exception_handler(UserError)
    def of_user(request: Request, error: Any) -> JSONResponse:
        return refuse(409 if isinstance(error, Busy) else 400, str(error))

    @app.exception_handler(RequestValidationError)
    def of_shape(request: Request, error: Any) -> JSONResponse:
        first = error.errors()[0]
        at = re.sub(r"[^a-z_.0-9]", "", ".".join(map(str, first["loc"][1:])))[:80]
        return refuse(422, f"The request is not one of this page: {at or 'its body'} is not as it should be.")

    @app.exception_handler(HTTPException)
    def of_path(request: Request, error: Any) -> JSONResponse:
        return refuse(error.status_code, "There is nothing here.")

    @app.exception_handler(Exception)
    def of_us(request: Request, error: Any) -> JSONResponse:
        return refuse(500, f"An error of crossloss itself: {type(error).__name__}.")
