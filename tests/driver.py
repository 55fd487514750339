"""Chromium driven as a reader would: the DevTools protocol over a pipe, with nothing but the standard library."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager
from importlib.resources import files

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path"),
]
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


class Page:
    """One tab: go somewhere, run a line of script, click, type, wait, look."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from, self._number, self._rest = to_browser, from_browser, 0, b""
        self.errors: list[str] = []
        self.requests: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    _session = None

    def send(self, method, **parameters):
        """Answer of the browser to a command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            got = self._next()
            if got.get("id") == self._number:
                assert "error" not in got, (method, got["error"])
                return got["result"]
            self._note(got)

    def _next(self, seconds=60):
        end = time.monotonic() + seconds
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            self._rest += os.read(self._from, 2**16)
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event):
        if event.get("method") == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.errors.append(f"{event['params']['entry']['text']} {event['params']['entry'].get('url', '')}")
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])

    def go(self, address, width=1280, height=900):
        """Open an address on a screen of this size."""
        self.size(width, height)
        self.send("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def size(self, width, height=900):
        mobile = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def dark(self, on=True):
        given = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.send("Emulation.setEmulatedMedia", features=given)

    def js(self, expression):
        """Value of an expression in the page."""
        got = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in got, got["exceptionDetails"].get("exception", got["exceptionDetails"])
        return got["result"].get("value")

    def until(self, expression, seconds=60):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.js(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never came: {expression}; {self.errors}"
            time.sleep(0.02)

    def text(self, selector):
        """What a reader reads there."""
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def click(self, selector, text=None):
        """Press the first element of a selector (that holds a text), with the mouse, where it is seen."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        if text is not None:
            found += f".filter(e => e.innerText.includes({json.dumps(text)}))"
        place = self.js(
            f"(() => {{ const e = {found}[0]; if (!e) return null; e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        assert place, f"there is no {selector} {text or ''}"
        self.mouse("mousePressed", *place)
        self.mouse("mouseReleased", *place)

    def mouse(self, kind, x, y):
        buttons = 0 if kind == "mouseReleased" else 1
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    def drag(self, selector, start, end):
        """Draw over an element, from and to in parts of its size."""
        seen = f"document.querySelector({json.dumps(selector)})"
        self.js(f"{seen}.scrollIntoView({{block: 'center'}})")
        x, y, width, height = self.js(
            f"(({{x, y, width, height}}) => [x, y, width, height])({seen}.getBoundingClientRect())"
        )
        a, b = ((x + width * u, y + height * v) for u, v in (start, end))
        self.mouse("mousePressed", *a)
        self.mouse("mouseMoved", *b)
        self.mouse("mouseReleased", *b)

    def write(self, selector, text):
        """Replace what stands in a field by typing."""
        self.js(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select?.(); }})()")
        if not text:
            self.key("Backspace")
        else:
            self.send("Input.insertText", text=text)

    def key(self, name):
        text = {"text": name} if len(name) == 1 else {}
        code = {"Enter": 13, "Escape": 27, "Tab": 9, "Backspace": 8}.get(name, 0)
        self.send("Input.dispatchKeyEvent", type="keyDown", key=name, windowsVirtualKeyCode=code, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=code)

    def choose(self, selector, value):
        """Choose an entry of a list."""
        self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
            " e.dispatchEvent(new Event('input', {bubbles: true}));"
            " e.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def violations(self):
        """What axe-core finds wrong with the page as it stands: rule, element, and why."""
        if not self.js("Boolean(window.axe)"):
            self.js(files("axe_playwright_python").joinpath("axe.min.js").read_text() + "; true")
        return self.js("""axe.run({resultTypes: ['violations']}).then(found => found.violations.flatMap(v =>
          v.nodes.map(n => `${v.id}: ${n.html.slice(0, 120)}: ${n.failureSummary}`)))""")

    def picture(self, path, whole=False):
        """Write what is seen as a PNG."""
        got = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(got["data"]))


@contextmanager
def opened(profile):
    """A browser with one tab."""
    assert CHROMIUM
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    script = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
    command = ["bash", "-c", script, CHROMIUM, *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(
        command, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(to_read)
        os.close(from_write)
        try:
            yield Page(to_write, from_read)
        finally:
            os.close(to_write)
            os.close(from_read)
            process.terminate()
