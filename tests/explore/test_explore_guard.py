"""Who may ask, and what a page may do: the rest is tried in test_explore_attacks."""

import json
from importlib.resources import files

import pytest
from explored import explored, make_run

from crossloss.core import UserError
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


def test_the_files_of_the_page_are_open_and_are_all_of_the_package(explorer):
    static = files("crossloss.explore").joinpath("static")
    assert {p.name for p in static.iterdir()} | {COLOURS} == {*ASSETS, PAGE}
    for name in ASSETS:
        status, given = explorer.ask(f"/{name}", token=None, raw=True)
        assert (status, given.content) == (200, content(name))
        assert b"innerHTML" not in given.content
        assert b"eval(" not in given.content
        assert b"//" not in given.content.replace(b"// ", b"").replace(b"http://www.w3.org/2000/svg", b"")


def test_this_machine_by_its_other_name_is_answered(explorer):
    assert explorer.ask("/api/run", host=f"localhost:{explorer.port}")[0] == 200
    own = {"Origin": f"http://127.0.0.1:{explorer.port}", "Sec-Fetch-Site": "same-origin"}
    assert explorer.ask("/api/run", headers=own)[0] == 200


def test_a_hostile_corpus_is_answered_as_text_without_control_characters(tmp_path):
    texts = [t for t in HOSTILE if t.isprintable() or "\x1b" in t] + ["waa wae wai wam wab waf waj wan"] * 4
    with explored(make_run(tmp_path / "run", [t.encode("utf-8", "replace").decode() for t in texts])) as own:
        for route in ("/api/rows", "/api/facets"):
            status, given = own.ask(route, {"objective": "mine", "limit": 50}, raw=True)
            assert status == 200
            assert given.headers["content-type"] == "application/json"
            assert b"\x1b" not in given.content
            assert "\x1b" not in str(json.loads(given.content))


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
