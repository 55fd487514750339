"""What is tried against the explorer: for each attempt what was sent and what came back, (status, answer)."""

import copy
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from crossloss.explore.guard import LARGEST_BODY
from crossloss.explore.requests import MOST_SAMPLES
from fuzzing_runs import HOSTILE

WHOLE_FILTER = {
    "text": "wa", "document": "one", "word": "waa", "shortest": 0, "longest": 99, "low": -9.0, "high": 9.0,
    "other": "near", "other_low": -9.0, "other_high": 9.0, "samples": [1, 2, 3], "kind": "all",
}  # fmt: skip
SELECTION = {
    "objective": "mine", "filter": WHOLE_FILTER, "order": "strongest", "offset": 0, "limit": 5, "grouped": True,
    "against": "near",
}  # fmt: skip
BASKET = {
    "changes": [{"weight": 0.5, "samples": [1, 2]}], "starts": 1, "name": "mine", "word": "waa", "objective": "mine",
    "pairs": [["waa", "wab"]],
}  # fmt: skip
STRONGEST = {"objective": "mine", "up": False, "n": 3, "starts": 1}
SETS = {"X": ["waa", "wab"], "Y": ["wac", "wad"], "A": ["wae", "waf"], "B": ["wag", "wah"]}
BODIES = [
    ("/api/sentence", {"text": "waa wab wai", "objective": "mine", "instead": 3}),
    ("/api/text", {"sample": 3}),
    ("/api/rows", SELECTION),
    ("/api/facets", SELECTION),
    ("/api/scatter", SELECTION),
    ("/api/select", SELECTION),
    ("/api/strongest", STRONGEST),
    ("/api/strongest/retrain", STRONGEST),
    ("/api/basket", BASKET),
    ("/api/basket/retrain", BASKET),
    ("/api/basket/plan", BASKET),
    ("/api/basket/swap", BASKET),
    ("/api/word", BASKET),
    ("/api/objective", {"written": "similarity:waa/wab"}),
    ("/api/objective", {"name": "new", "sets": SETS}),
    ("/api/objective/score", {"written": "similarity:waa/wab"}),
    ("/api/objective/score", {"name": "new", "sets": SETS}),
]
"""Every question of the page with all of its fields."""

PATHS = [
    "../../../etc/passwd", "/etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "....//etc/passwd",
    "explore.js/../../session.py", "static/explore.js", "page.html", "\\..\\x", "manifest.json", "%00",
    "likelihood:/etc/passwd", "abs:likelihood:/etc/passwd", "a/../../b",
]  # fmt: skip
TEXTS = [
    *HOSTILE, "\ud800", "(" * 400, "a" * 400, "%", "'; DROP TABLE x --", "$(touch x)", "__import__('os').system('x')",
    "=1+1", "{{7*7}}", "a\nb", "", " ",
]  # fmt: skip
CONTROLS = [
    "\x00",
    "\x1b[2J",
    "\r\nSet-Cookie: a=b",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ufeff",
    "\x85",
    "\u2028",
    "\ufffe",
]
TYPES = [None, True, "x", "1", 1, 1.5, [], [None], [[]], {}, {"$gt": ""}]
NUMBERS = ["-1", "-0.5", "2147483648", str(2**63), str(2**70), "1e308", "1" * 5000]
INFINITE = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"]


def places(value, at=()) -> Iterator[tuple]:
    """Every place in a body, down to the elements of lists."""
    if at:
        yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*at, key))


def put(body, at, given):
    """Copy of a body with something else at a place."""
    made = copy.deepcopy(body)
    inner = made
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = given
    return made


def value_at(body, at):
    for key in at:
        body = body[key]
    return body


@dataclass
class Came:
    """An answer, and what was sent for it."""

    sent: object
    status: int
    answer: dict


def ask(own, route, body) -> Came:
    """Answer to a body, once any work that it began is over."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer = own.ask(route, data)
    if status == 200 and route.endswith(("/retrain", "/score")):
        own.ask("/api/job/cancel", {})
        while (own.ask("/api/job")[1] or {}).get("state") == "running":
            time.sleep(0.002)
    return Came((route, data[:200]), status, answer)


def everywhere(own, values, fits=lambda was: True) -> Iterator[Came]:
    """Each value in each place of each question where what stands there ``fits``."""
    for route, body in BODIES:
        for at in places(body):
            if fits(value_at(body, at)):
                for value in values:
                    yield ask(own, route, put(body, at, value))


def numbers(own, written) -> Iterator[Came]:
    """Numbers as JSON may write them, in every place of a number."""
    for route, body in BODIES:
        for at in places(body):
            if isinstance(value_at(body, at), int | float) and not isinstance(value_at(body, at), bool):
                for number in written:
                    marked = json.dumps(put(body, at, "NUMBER HERE"))
                    yield ask(own, route, marked.replace('"NUMBER HERE"', number).encode())


def raw(own, text: bytes) -> Came:
    """The first answer to bytes as they are."""
    with socket.create_connection(("127.0.0.1", own.port), timeout=20) as connection:
        connection.sendall(text)
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
            content = response.read()
        except ConnectionResetError:  # refused while it was still being sent
            return Came(text[:200], 400, {"error": ""})
    return Came(text[:200], response.status, json.loads(content) if content[:1] == b"{" else {"error": ""})


def request(own, *, target="/api/run", method="GET", host=True, more=(), version="1.1", body=b"") -> Came:
    """A request written by hand."""
    lines = [f"{method} {target} HTTP/{version}"]
    lines += [f"Host: 127.0.0.1:{own.port}"] if host else []
    lines += [f"X-Crossloss-Token: {own.token}", "Connection: close", *more]
    return raw(own, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def hosts(own):
    page = f"/?token={own.token}"
    names = ["evil.example", f"evil.example:{own.port}", "127.0.0.1", "127.0.0.1:1", f"[::1]:{own.port}", "localhost.",
             f"127.0.0.1:{own.port}@evil.example", f"127.0.0.1.evil.example:{own.port}", ""]  # fmt: skip
    for target in (page, "/api/run", "/explore.js"):
        for name in names:
            yield request(own, target=target, host=False, more=[f"Host: {name}"])
        yield request(own, target=target, host=False, version="1.0")
        yield request(own, target=target, version="1.0", more=["Host: evil.example"])


def origins(own):
    for origin in ("http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", "", "file://",
                   f"http://localhost:{own.port}.evil.example", f"https://127.0.0.1:{own.port}"):  # fmt: skip
        for target in (f"/?token={own.token}", "/api/run", "/explore.js"):
            yield request(own, target=target, more=[f"Origin: {origin}"])
        yield request(
            own, target="/api/basket", method="POST", more=[f"Origin: {origin}", "Content-Length: 2"], body=b"{}"
        )
    for site in ("cross-site", "same-site"):
        yield request(own, more=[f"Sec-Fetch-Site: {site}"])


def tokens(own):
    wrong = [None, "", "x", own.token[:-1], own.token + "x", own.token.swapcase(), "%00", "%C3%A9", " " + own.token]
    for token in wrong:
        at = "/" if token is None else f"/?token={token.replace(' ', '%20')}"
        yield Came(at, *own.ask(at, token=None))
        for path in ("/api/run", "/api/job", "/api/nothing", "/docs", "/openapi.json", "/x"):
            yield Came((path, token), *own.ask(path, token=token if token is None else token.strip() + "-"))
    for path in ("/api/run", "/api/job"):  # the right one in another place
        yield Came(path, *own.ask(f"{path}?token={own.token}", token=None))
        yield Came(path, *own.ask(path, token=None, headers={"Cookie": f"token={own.token}"}))
        yield Came(path, *own.ask(path, token=None, headers={"Authorization": f"Bearer {own.token}"}))


def addresses(own):
    for path in PATHS:
        yield Came(path, *own.ask("/" + path.lstrip("/")))
        yield Came(path, *own.ask("/api/" + path.lstrip("/")))


def methods(own):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        for target in ("/api/run", "/api/basket", f"/?token={own.token}"):
            yield request(own, method=method, target=target)
    yield request(own, method="POST", target="/api/run", more=["Content-Length: 2"], body=b"{}")
    yield request(own, method="GET", target="/api/basket/plan")


def bodies(own):
    for body in (b"", b"{", b"[]", b"null", b"1", b"\xff\xfe", b"{}x", b"[" * 100_000, b'{"text": "\\ud800',
                 b'{"__proto__": 1}', b'{"text": "a", "objective": "mine", "more": 1}'):  # fmt: skip
        for route in sorted({route for route, _ in BODIES}):
            yield ask(own, route, body)


def large(own):
    for route in sorted({route for route, _ in BODIES}):
        yield ask(own, route, b"x" * 10_000_000)
    piece = b"x" * 2**16
    chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    chunked = chunk * (LARGEST_BODY // len(piece) + 2) + b"0\r\n\r\n"
    yield Came("chunked", *own.ask("/api/sentence", chunked, headers={"Transfer-Encoding": "chunked"}))
    for length in ("99999999999999999999", "-1", "1e9", "0x10"):
        yield request(own, method="POST", target="/api/basket", more=[f"Content-Length: {length}"], body=b"{}")


def many(own):
    for route, body in BODIES:
        for at in places(body):
            was = value_at(body, at)
            if isinstance(was, list) and isinstance(was[0], int):
                yield ask(own, route, put(body, at, [1] * (MOST_SAMPLES + 1)))
            if isinstance(was, list) and not isinstance(was[0], int):
                yield ask(own, route, put(body, at, was * 1001))
    yield ask(own, "/api/sentence", {"text": "a" * 20_001, "objective": "mine"})
    yield ask(own, "/api/rows", SELECTION | {"limit": 101})
    yield ask(own, "/api/basket/retrain", BASKET | {"starts": 21})


def absent(own):
    for route, body in BODIES:
        for at in places(body):
            was = value_at(body, at)
            if at[-1] in ("samples", "sample", "instead") and "filter" not in at:
                yield ask(own, route, put(body, at, [10**6] if isinstance(was, list) else 10**6))
            if at == ("objective",) and body is not BASKET:
                yield ask(own, route, put(body, at, "none"))
            if at == ("filter", "other"):
                yield ask(own, route, put(body, at, "none"))
    for route in ("/api/word", "/api/basket/swap"):
        yield ask(own, route, BASKET | {"objective": "none"})
    yield ask(own, "/api/scatter", SELECTION | {"against": "none"})
    yield ask(own, "/api/word", BASKET | {"word": "none"})


def smuggled(own):
    both = ["Content-Length: 5", "Transfer-Encoding: chunked"]
    for more in (both, both[::-1], ["Content-Length: 5", "Content-Length: 6"], ["Transfer-Encoding: x, chunked"]):
        yield request(own, method="POST", target="/api/basket", more=more, body=b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    upgrade = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "a" * 22 + "==",
    ]
    yield request(own, target="/api/none", more=upgrade)
    yield raw(own, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200 + b"\r\n\r\n")
    yield raw(own, b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    yield request(own, more=["X: " + "x" * 200_000])


def at_once(own):
    came, lock = [], threading.Lock()

    def one():
        try:
            status, answer = own.ask("/api/rows", {"objective": "mine", "limit": 1})
        except (OSError, ValueError, http.client.HTTPException):  # turned away
            status, answer = 503, {"error": ""}
        with lock:
            came.append(Came("one of 1,000", status, answer))

    threads = [threading.Thread(target=one) for _ in range(1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield from came


def texts(values):
    """Values for every field that holds text."""
    return lambda own: everywhere(own, values, lambda was: isinstance(was, str))


REFUSED, READ = (400, 422), (200, 400, 422)
TEXT = "refused in one sentence, or answered as text: 200, 400, 422"
ATTACKS = {
    "another Host, an empty one, none, two": (hosts, (400, 421), "refused: 421, 400"),
    "another Origin, null, another site's fetch": (origins, (403,), "refused: 403"),
    "no token, a wrong one, nearly the right one, the right one elsewhere": (tokens, (403,), "refused: 403"),
    "paths that lead out, in the address": (addresses, (404,), "nothing here: 404"),
    "paths that lead out, in every field": (texts(PATHS), READ, f"{TEXT}; no file read or written"),
    "other methods": (methods, (404, 405), "refused: 405"),
    "no JSON, no question, 100,000 brackets": (bodies, REFUSED, "refused: 400, 422"),
    "10 MB, whole, in chunks, with a wrong length": (large, (400, 413), "refused: 413, 400"),
    "more samples, sets, pairs, letters, rows, starts than there may be": (many, (413, 422), "refused: 422, 413"),
    "samples and objectives that the run has not": (absent, (400,), "refused: 400"),
    "hostile text in every field": (texts(TEXTS), READ, TEXT),
    "control characters, marks of direction in every field": (texts(CONTROLS), READ, f"{TEXT}; no control character"),
    "wrong types in every field": (lambda own: everywhere(own, TYPES), READ, "refused: 422, 400; 200 where it fits"),
    "NaN, infinity, 1e999 in every number": (lambda own: numbers(own, INFINITE), REFUSED, "refused: 422"),
    "-1, 2^31, 2^63, 2^70, 1e308, 5,000 digits in every number": (
        lambda own: numbers(own, NUMBERS), READ, "refused: 422, 400; 200 where it fits",
    ),
    "two lengths, TLS, a proxy's request, a websocket, a header of 200 kB": (
        smuggled, (400, 404, 421, 422), "refused: 400, 404, 421, 422",
    ),
    "all at once": (at_once, (200, 503), "answered, or turned away: 200, 503; then as before"),
}  # fmt: skip
"""What was tried, in words: what does it, the statuses that may come back, and that in words."""
