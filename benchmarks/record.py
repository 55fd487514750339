"""Results of benchmarks: JSON with environment, command and commit, written as it grows."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

RESULTS = Path(__file__).parent / "results"
sys.path.insert(0, str(Path(__file__).parents[1]))  # where studies/ is, which some benchmarks share


def environment() -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "commit": commit,
        "command": plain(" ".join(["python", "benchmarks/" + Path(sys.argv[0]).name, *sys.argv[1:]])),
    }


def plain(command: str) -> str:
    """The command with only the last part of each path that belongs to one machine."""
    return " ".join(Path(part).name if part.startswith("/") else part for part in command.split(" "))


class Record:
    """Figures by key in one JSON file; those already there are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        known = json.loads(path.read_text()) if path.exists() else {}
        self.last: dict[str, Any] = known.get("figures", {})
        self.figures: dict[str, Any] = dict(self.last)

    def put(self, key: str, value: Any) -> None:
        before = f"   (last recorded: {_shown(self.last[key])})" if key in self.last else ""
        print(f"{key:<44} {_shown(value)}{before}", flush=True)
        self.figures[key] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"environment": environment(), "figures": self.figures}, indent=1, sort_keys=True)
        aside = self.path.with_suffix(".partial")
        aside.write_text(text + "\n")
        aside.replace(self.path)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
