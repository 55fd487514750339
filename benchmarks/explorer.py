"""How fast the explorer answers: python benchmarks/explorer.py RUN OBJECTIVE [CORPUS], of a finished skip-gram run.

Wall-clock times of questions asked one after another over HTTP, and of a first view in Chromium. With the corpus of the
run also the command line's times, in turns with the explorer's: training with a plan, and scoring one more objective,
on a copy of the run. What the commands take is given as a whole and as the training and scoring inside of them.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

for tests in ("tests", "tests/explore"):
    sys.path.insert(0, str(Path(__file__).parents[1] / tests))
from explored import explored  # noqa: E402

from driver import opened  # noqa: E402

TURNS = 3


def timed(ask: Callable[..., Any], path: str, questions: list[dict[str, Any]]) -> str:
    seconds = []
    for question in questions:
        begun = time.perf_counter()
        status, answer = ask(path, question)
        assert status == 200, answer
        seconds.append(1000 * (time.perf_counter() - begun))
    middle, most = np.percentile(seconds, (50, 95))
    return f"p50 {middle:.0f} ms, p95 {most:.0f} ms, first {seconds[0]:.0f} ms, n {len(seconds)}"


def command(*words: str | Path) -> float:
    """Seconds that a command of crossloss takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "crossloss", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def figure(run: Path, name: str) -> float:
    return float(json.loads((run / "metrics.json").read_text())[name])


def work(e: Any, path: str, body: dict[str, Any]) -> float:
    """Seconds of a piece of work of the explorer, watched as the page watches it."""
    job = e.ask(path, body)[1]
    while job.get("state") == "running":
        time.sleep(0.25)
        job = e.ask("/api/job")[1]
    assert job.get("state") == "done", job
    return float(job["seconds"])


def compared(e: Any, objective: dict[str, Any], corpus: Path) -> None:
    """Retraining and scoring, in turns, by the explorer and by the command line on a copy of the run."""
    home = Path(tempfile.mkdtemp())
    copy, spent = home / "run", dict[str, list[float]]()
    shutil.copytree(e.folder, copy)
    words = [w for o in e.ask("/api/run")[1]["objectives"] for side in o["sets"] for w, count in side["words"] if count]
    first = int(time.time()) % 500 + 21
    for turn in range(TURNS):
        pair = f"similarity:{words[turn]}/{words[-1 - turn]}"
        strongest = e.ask("/api/strongest", objective | {"n": first + turn})[1]["samples"]
        plan = {"changes": [{"weight": 0, "samples": strongest}], "name": "benchmark"}
        assert e.ask("/api/basket/plan", plan)[0] == 200
        file, out = e.folder / "plan-basket-benchmark.parquet", home / str(turn)
        took = {
            "retrain, explorer": work(e, "/api/strongest/retrain", objective | {"n": first + turn}),
            "retrain, command": command("train", corpus, "--weights", file, "--out", out),
            "retrain, the command's training": figure(out, "train.seconds"),
            "score, explorer": work(e, "/api/objective/score", {"written": pair}),
            "score, command": command("score", copy, "--objective", pair, "--starts", "1"),
            "score, the command's scoring": figure(copy, "score.seconds"),
        }
        shutil.rmtree(out)
        for name, seconds in took.items():
            spent.setdefault(name, []).append(seconds)
    shutil.rmtree(home)
    for what in ("retrain", "score"):
        mine = [name for name in spent if name.startswith(what)]
        for name in mine:
            ratios = np.array(spent[mine[0]]) / np.array(spent[name])
            told = "" if name == mine[0] else f", explorer's by it {np.median(ratios):.2f}"
            print(f"{name}: {np.median(spent[name]):.1f} s ({', '.join(f'{s:.1f}' for s in spent[name])}){told}")


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
        with opened(tempfile.mkdtemp()) as page:
            for i in range(3):
                page.go("about:blank")
                begun = time.perf_counter()
                page.go(f"{e.address}&{i}")
                page.until("document.querySelectorAll('#rows > li').length > 3")
                print(f"first view: {time.perf_counter() - begun:.2f} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(f"memory: {peak / 1e9:.2f} GB; of the run {figure(run, 'peak_memory_bytes') / 1e9:.2f} GB")
        if len(sys.argv) > 3:
            compared(e, objective, Path(sys.argv[3]))


if __name__ == "__main__":
    main()
