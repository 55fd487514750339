"""Keep the figures of a run folder: python benchmarks/keep_run.py RUN NAME writes benchmarks/results/NAME.json.

With --only PREFIX, only the figures of that prefix, and what the run folder holds beside them as PREFIX*.json.
"""

import argparse
import json
from pathlib import Path

from record import RESULTS, environment, plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    manifest = json.loads((given.run / "manifest.json").read_text())
    figures = json.loads((given.run / "metrics.json").read_text())
    known = {
        "environment": manifest["environment"]
        | {"commit": environment()["commit"], "command": plain(manifest["command"])},
        "settings": manifest["settings"],
        "figures": {name: value for name, value in figures.items() if name.startswith(given.only)},
    }
    if given.only:
        known["found"] = {
            path.stem: json.loads(path.read_text()) for path in sorted(given.run.glob(f"{given.only}*.json"))
        }
    (RESULTS / f"{given.name}.json").write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
