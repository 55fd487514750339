"""What is tried against the explorer, and what comes back: one sentence, and nothing of this machine."""

import json
import threading
from importlib.resources import files

import pytest
from explored import explored, make_run

from crossloss.core import UserError
from crossloss.explore.guard import LARGEST_BODY
from crossloss.explore.server import ASSETS, COLOURS, PAGE, content
from fuzzing_runs import HOSTILE


def test_a_page_asks_for_the_token_and_runs_nothing_but_its_own_files(explorer):
    status, page = explorer.ask(f"/?token={explorer.token}", token=None, raw=True)
    assert status == 200
    policy = page.headers["content-security-policy"]
    for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for"):
        assert part in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in {name.lower() for name in page.headers}
    assert b"http" not in page.content.replace(b"http-equiv", b"")
    for token in (None, "", "x", explorer.token[:-1], explorer.token + "x", "%C3%A9", "%00"):
        given = "" if token is None else f"?token={token}"
        assert explorer.ask(f"/{given}", token=None)[0] == 403


@pytest.mark.parametrize("path", ["/api/run", "/api/job", "/api/rows", "/api/nothing", "/docs", "/openapi.json", "/x"])
def test_nothing_is_told_without_the_token(explorer, path):
    for token in (None, "", "wrong"):
        assert explorer.ask(path, token=token)[0] == 403
        assert explorer.ask(f"{path}?token={explorer.token}", token=token)[0] == 403


def test_the_files_of_the_page_are_open_and_are_all_of_the_package(explorer):
    static = files("crossloss.explore").joinpath("static")
    assert {p.name for p in static.iterdir()} | {COLOURS} == {*ASSETS, PAGE}
    for name in ASSETS:
        status, given = explorer.ask(f"/{name}", token=None, raw=True)
        assert (status, given.content) == (200, content(name))
        assert b"innerHTML" not in given.content
        assert b"eval(" not in given.content
        assert b"//" not in given.content.replace(b"// ", b"").replace(b"http://www.w3.org/2000/svg", b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "[::1]", "localhost."])
def test_another_host_is_refused(explorer, host):
    for path in (f"/?token={explorer.token}", "/api/run", "/explore.js"):
        assert explorer.ask(path, host=host)[0] == 421


def test_this_machine_by_its_other_name_is_answered(explorer):
    assert explorer.ask("/api/run", host=f"localhost:{explorer.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", ""])
def test_another_origin_is_refused(explorer, origin):
    for body in (None, {}):
        assert explorer.ask("/api/basket", body, headers={"Origin": origin})[0] == 403
    assert explorer.ask("/api/run", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    own = {"Origin": f"http://127.0.0.1:{explorer.port}", "Sec-Fetch-Site": "same-origin"}
    assert explorer.ask("/api/run", headers=own)[0] == 200


PATHS = [
    "../../../etc/passwd", "/etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "....//etc/passwd",
    "explore.js/../../session.py", "static/explore.js", "page.html", "__init__.py", "\\..\\x", "manifest.json", "%00",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out(explorer, path):
    status, given = explorer.ask("/" + path.lstrip("/"))
    assert (status, list(given)) == (404, ["error"])
    before = sorted(p.name for p in explorer.folder.iterdir())
    for route, field in (("/api/basket/plan", "name"), ("/api/sentence", "objective"), ("/api/objective", "written"),
                         ("/api/basket/swap", "pairs"), ("/api/objective", "name")):  # fmt: skip
        status, given = explorer.ask(route, {field: path})
        assert status in (400, 422)
        assert "root:" not in given["error"]
    for written in (f"likelihood:{path}", f"{path}:mine"):
        assert explorer.ask("/api/objective", {"written": written})[0] == 400
    assert sorted(p.name for p in explorer.folder.iterdir()) == before


def test_large_bodies_are_refused_whether_they_say_so_or_not(explorer):
    large = b"x" * 10_000_000
    assert explorer.ask("/api/sentence", large)[0] == 413
    piece = large[: 2**16]
    chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    chunked = chunk * (LARGEST_BODY // len(piece) + 2) + b"0\r\n\r\n"
    assert explorer.ask("/api/sentence", chunked, headers={"Transfer-Encoding": "chunked"})[0] == 413
    assert explorer.ask("/api/run")[0] == 200


BODIES = [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}", b"[" * 100_000, b'{"text": NaN}', b'{"__proto__": 1}',
    json.dumps({"text": "a", "objective": "mine", "more": 1}).encode(),
    json.dumps({"text": "a" * 20_001, "objective": "mine"}).encode(),
    json.dumps({"text": 1, "objective": "mine"}).encode(),
    json.dumps({"text": "waa wab", "objective": "mine", "instead": 10**6}).encode(),
    json.dumps({"text": "waa wab", "objective": "mine", "instead": -1}).encode(),
    json.dumps({"text": "waa wab", "objective": "none"}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_what_is_no_question_is_refused_in_one_sentence(explorer, body):
    status, given = explorer.ask("/api/sentence", body)
    assert status in (400, 422)
    assert list(given) == ["error"]
    assert len(given["error"]) < 300
    assert "Traceback" not in given["error"]


NUMBERS = [-1, 10**9, 2**70, 1.5, "1", None, [1], {}]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_outside_of_the_run_are_refused(explorer, number):
    for route, body in (
        ("/api/basket", {"changes": [{"weight": 0, "samples": [number]}]}),
        ("/api/basket/retrain", {"changes": [{"weight": 0, "samples": [number]}]}),
        ("/api/text", {"sample": number}),
        ("/api/rows", {"objective": "mine", "offset": number if number != 10**9 else -1}),
        ("/api/basket/retrain", {"changes": [], "starts": number}),
    ):
        assert explorer.ask(route, body)[0] in (400, 422), route
    for weight in (-1, 1e30, float("nan"), float("inf"), "x"):
        body = json.dumps({"changes": [{"weight": weight, "samples": [1]}]}).encode()
        assert explorer.ask("/api/basket", body)[0] == 422


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800", "(" * 500, "a" * 500, "%", "'; --", "$(x)", "__import__('os')"])
def test_hostile_text_in_every_field_is_text(explorer, text):
    cut = text[:99]
    for route, body in (
        ("/api/sentence", {"text": text, "objective": "mine"}),
        ("/api/sentence", {"text": "waa", "objective": text}),
        ("/api/rows", {"objective": "mine", "filter": {"text": text}}),
        ("/api/rows", {"objective": "mine", "filter": {"word": cut}}),
        ("/api/facets", {"objective": "mine", "filter": {"document": text}}),
        ("/api/word", {"word": cut, "objective": "mine"}),
        ("/api/objective", {"written": text}),
        ("/api/objective", {"name": cut, "sets": {side: [cut, "waa"] for side in "XYAB"}}),
        ("/api/basket/swap", {"changes": [{"weight": 0, "samples": [1]}], "objective": "mine", "pairs": [[cut, "b"]]}),
        ("/api/basket/plan", {"name": cut}),
    ):
        status, given = explorer.ask(route, body)
        assert status in (200, 400, 422), (route, given)


def test_a_hostile_corpus_is_answered_as_text_without_control_characters(tmp_path):
    texts = [t for t in HOSTILE if t.isprintable() or "\x1b" in t] + ["waa wae wai wam wab waf waj wan"] * 4
    with explored(make_run(tmp_path / "run", [t.encode("utf-8", "replace").decode() for t in texts])) as own:
        for route in ("/api/rows", "/api/facets"):
            status, given = own.ask(route, {"objective": "mine", "limit": 50}, raw=True)
            assert status == 200
            assert given.headers["content-type"] == "application/json"
            assert b"\x1b" not in given.content
            assert "\x1b" not in str(json.loads(given.content))


def test_a_thousand_requests_at_once_are_answered_or_turned_away(explorer):
    statuses, lock = [], threading.Lock()

    def one():
        try:
            status = explorer.ask("/api/rows", {"objective": "mine", "limit": 1})[0]
        except (OSError, ValueError) as error:
            status = type(error).__name__
        with lock:
            statuses.append(status)

    threads = [threading.Thread(target=one) for _ in range(1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 1000
    assert statuses.count(200) > 100
    assert explorer.ask("/api/run")[0] == 200


def test_only_this_machine_is_listened_on_and_a_run_in_use_is_said_so(explorer):
    import socket
    import subprocess
    import sys

    code = f"from crossloss.explore import explore; explore({str(explorer.folder)!r}, browser=False)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "is in use by another crossloss process" in other.stderr
    address = socket.gethostbyname(socket.gethostname())
    if not address.startswith("127."):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, explorer.port), timeout=5)


def test_a_port_that_is_taken_and_a_folder_that_is_none_are_refused(explorer, tmp_path):
    from crossloss.explore import listening

    with pytest.raises(UserError, match="Port"), listening(explorer.folder, explorer.port):
        pass
    with pytest.raises(UserError, match="does not exist"), listening(tmp_path / "none"):
        pass
