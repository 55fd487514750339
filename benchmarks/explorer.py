"""How fast the explorer answers: python benchmarks/explorer.py RUN OBJECTIVE, of a finished skip-gram run.

Wall-clock times of questions asked one after another over HTTP, and of a first view in Chromium.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

for tests in ("tests", "tests/explore"):
    sys.path.insert(0, str(Path(__file__).parents[1] / tests))
from driver import opened  # noqa: E402
from explored import explored  # noqa: E402


def timed(ask: Callable[..., Any], path: str, questions: list[dict[str, Any]]) -> str:
    seconds = []
    for question in questions:
        begun = time.perf_counter()
        status, answer = ask(path, question)
        assert status == 200, answer
        seconds.append(1000 * (time.perf_counter() - begun))
    middle, most = np.percentile(seconds, (50, 95))
    return f"p50 {middle:.0f} ms, p95 {most:.0f} ms, first {seconds[0]:.0f} ms, n {len(seconds)}"


def main() -> None:
    run, objective = Path(sys.argv[1]), {"objective": sys.argv[2]}
    begun = time.perf_counter()
    with explored(run) as e:
        print(f"start: {time.perf_counter() - begun:.1f} s")
        rows = e.ask("/api/select", objective | {"order": "strongest"})[1]["samples"]
        texts = [e.ask("/api/text", {"sample": i})[1]["text"] for i in rows[:40]]
        typed = [objective | {"text": text[:n]} for text in texts[:20] for n in range(10, len(text), 30)]
        words = [word for text in texts[:20] for word in text.split()[:2]]
        print("typed sentence:", timed(e.ask, "/api/sentence", typed))
        print("search:", timed(e.ask, "/api/rows", [objective | {"filter": {"text": word}} for word in words]))
        print("facets:", timed(e.ask, "/api/facets", [objective | {"filter": {"text": word}} for word in words]))
        basket = {"changes": [{"weight": 0, "samples": rows[:5000]}]}
        print("basket of 5,000:", timed(e.ask, "/api/basket", [basket] * 10))
        begun = time.perf_counter()
        e.work("/api/strongest/retrain", objective | {"n": int(time.time()) % 500 + 21})
        print(f"retrain: {time.perf_counter() - begun:.1f} s")
        with opened(tempfile.mkdtemp()) as page:
            for i in range(3):
                page.go("about:blank")
                begun = time.perf_counter()
                page.go(f"{e.address}&{i}")
                page.until("document.querySelectorAll('#rows > li').length > 3")
                print(f"first view: {time.perf_counter() - begun:.2f} s")


if __name__ == "__main__":
    main()
