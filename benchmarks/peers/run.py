"""crossloss beside other packages: every setting of every package, each in its own venv, into results/peers.json.

    python benchmarks/peers/run.py [--problems mixture digits words] [--packages ...] [--again]

What is recorded already is not measured again. ``tables.py`` writes docs/peers.md from it.
"""

import argparse
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]
from record import RESULTS, Record  # noqa: E402
from tasks import WORK  # noqa: E402

from crossloss.utils.statistics import fidelity, pearson  # noqa: E402

PACKAGES = ("crossloss", "torch", "dattri", "pydvl", "captum", "kronfluence")
OWN = ("crossloss", "torch")
"""Run by the interpreter that runs this."""
LIMIT = 100
"""Seconds of its core for a setting, all its repeats."""

SCORES = WORK / "scores"


def interpreter(package: str) -> str:
    return sys.executable if package in OWN else str(WORK / package / "bin" / "python")


def settings(package: str, problem: str) -> list[str]:
    """Names of the settings, asked of the venv that can import them."""
    code = f"import use_{package} as u; print('\\n'.join(u.SETTINGS.get({problem!r}, {{}})))"
    found = subprocess.run([interpreter(package), "-c", code], cwd=HERE, env=env(), capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(f"{package} is not installed: make bench-peers. {found.stderr[-200:]}")
    return [line for line in found.stdout.splitlines() if line]


def env() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"}


def measure(problem: str, package: str, setting: str, repeats: int) -> dict[str, Any]:
    """Figures of one setting, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.pt"
        command = [interpreter(package), "worker.py", problem, package, setting, str(out)]
        command += ["--repeats", str(repeats), "--limit", str(LIMIT)]
        done = subprocess.run(command, cwd=HERE, env=env(), capture_output=True, text=True)
        if done.returncode == -signal.SIGXCPU:
            return {"error": f"not done after {LIMIT} s of its core"}
        if done.returncode:
            return {"error": "killed for memory" if done.returncode == -9 else said(done.stderr)}
        kept = torch.load(out, weights_only=True)
    scores = kept.pop("scores").numpy()
    if problem == "digits":
        SCORES.mkdir(exist_ok=True)
        torch.save(torch.from_numpy(scores), kept_scores(f"{problem}/{package}/{setting}"))
    truth = torch.load(WORK / f"{problem}.pt", weights_only=True)
    kept |= {"nan": int(np.isnan(scores).sum()), "zero rows": int((scores == 0).all(1).sum())}
    return kept | JUDGED[problem](scores, truth)


def kept_scores(key: str) -> Path:
    """Where the scores of a row are kept, for comparisons in pairs."""
    return SCORES / f"{re.sub('[^a-zA-Z0-9.]+', '-', key)}.pt"


def said(trace: str) -> str:
    """The error at the end of a trace, without the path of its class."""
    last = re.findall(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Iteration)\b.*)$", trace, flags=re.M)
    return (last or trace.strip().splitlines())[-1][:200]


def rows(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pearson r of each row; 0 where the scores are constant or not finite."""
    usable = np.isfinite(scores).all(1) & (np.ptp(np.nan_to_num(scores), axis=1) > 0)
    found = np.zeros(len(scores))
    found[usable] = pearson(scores[usable], truth[usable])
    return found


def judged_by_rows(scores: np.ndarray, truth: dict[str, Any]) -> dict[str, Any]:
    exact, retrained = -truth["exact"].numpy(), truth["retrained"].numpy()
    by_exact, by_retraining = rows(scores, exact), rows(scores, retrained)
    whole = float(np.corrcoef(scores.ravel(), exact.ravel())[0, 1]) if np.isfinite(scores).all() else None
    return {
        "r exact": whole,
        "worst row": float(by_exact.min()),
        "above .8": float((by_retraining > 0.8).mean()),
        "mean r": float(by_retraining.mean()),
    }


def judged_by_subsets(scores: np.ndarray, truth: dict[str, Any]) -> dict[str, Any]:
    """LDS: Spearman correlation of predicted and found changes over subsets; the mean over objectives by bootstrap."""
    gone, found = subsets(truth)
    if not np.isfinite(scores).all():
        return {}
    predicted = scores @ gone.T
    if (np.ptp(predicted, axis=1) == 0).any():
        return {}
    each = [fidelity(p, f) for p, f in zip(predicted, found, strict=True)]
    low, high = np.quantile(resampled(predicted, found), [0.025, 0.975])
    return {
        "LDS": float(np.mean([e.spearman for e in each])), "LDS low": float(low), "LDS high": float(high),
        "LDS each": [round(e.spearman, 4) for e in each], "subsets": len(gone),
    }  # fmt: skip


def subsets(truth: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Which rows each subset left out (m, n), and the changes found (k, m)."""
    return 1 - torch.stack(list(truth["subsets"])).double().numpy(), torch.stack(list(truth["found"])).numpy().T


def resampled(predicted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """LDS, the mean over objectives, of 2,000 bootstrap draws of the subsets: the same draws for every package."""
    m = predicted.shape[1]
    draws = np.random.default_rng(0).integers(0, m, (2_000, m))
    by_objective = [
        pearson(rankdata(p[draws], axis=1), rankdata(f[draws], axis=1)) for p, f in zip(predicted, found, strict=True)
    ]
    return np.mean(by_objective, axis=0)


def recorded() -> Record:
    """All figures as they are now: several of these may run at a time."""
    return Record(RESULTS / "peers.json")


def paired() -> None:
    """LDS of ours less another package's, with a 95 % interval, over the same draws of the same subsets."""
    record = recorded()
    gone, found = subsets(torch.load(WORK / "digits.pt", weights_only=True))
    for mine, other in PAIRS:
        keys = [f"digits/{name}" for name in (f"crossloss/{mine}", other)]
        files = [kept_scores(key) for key in keys]
        if not all(file.exists() for file in files):
            continue
        predicted = [torch.load(file, weights_only=True).numpy() @ gone.T for file in files]
        draws = resampled(predicted[0], found) - resampled(predicted[1], found)
        low, high = np.quantile(draws, [0.025, 0.975])
        difference = record.figures[keys[0]]["LDS"] - record.figures[keys[1]]["LDS"]
        figures = {"difference": difference, "low": low, "high": high}
        record.put(f"paired/{mine}/{other}", {name: round(float(value), 4) for name, value in figures.items()})


JUDGED = {"mixture": judged_by_rows, "digits": judged_by_subsets, "words": judged_by_rows}
PAIRS = (
    ("EK-FAC, 0.001", "kronfluence/EK-FAC, 0.001"),
    ("EK-FAC, 0.001", "pydvl/EK-FAC, 0.001"),
    ("CG on the GGN, 0.1", "dattri/CG, 20 iterations, 0.001"),
    ("CG on the GGN, 0.1", "pydvl/block CG, Hessian, 0.1"),
    ("unrolled (and its training)", "pydvl/block CG, Hessian, 0.1"),
)
"""Ours and the best of another package with the same estimator."""
REPEATS = {"mixture": 5, "digits": 1, "words": 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(JUDGED))
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES))
    parser.add_argument("--settings", nargs="+", default=None)
    parser.add_argument("--repeats", type=int, default=None)
    parser.add_argument("--again", action="store_true", help="measure what is recorded already")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for problem in given.problems:
        for package in given.packages:
            if importlib.util.find_spec(f"use_{package}") is None:
                continue
            for setting in settings(package, problem):
                key = f"{problem}/{package}/{setting}"
                unasked = given.settings and setting not in given.settings
                if unasked or (key in recorded().figures and not given.again):
                    continue
                found = measure(problem, package, setting, given.repeats or REPEATS[problem])
                recorded().put(key, {k: round(v, 6) if isinstance(v, float) else v for k, v in found.items()})
    if "digits" in given.problems:
        paired()


if __name__ == "__main__":
    main()
