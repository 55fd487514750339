"""The mixture study (paper Sec. 4.1) as recorded figures: shares of held-out points whose scores predict retraining.

    OMP_NUM_THREADS=1 python benchmarks/mixture.py --run runs/mixture
    OMP_NUM_THREADS=1 python benchmarks/mixture.py --run runs/mixture-protocol --paper-protocol

The same as ``crossloss study mixture``; seeds that the folder holds are not measured again.
"""

import argparse
import json
from pathlib import Path

import torch
from record import RESULTS, environment

from crossloss.studies.mixture import page
from crossloss.studies.mixture.study import metrics, run_protocol, run_seeds, short, summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--paper-protocol", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.run.mkdir(parents=True, exist_ok=True)
    seeds = range(given.seeds or (6 if given.paper_protocol else 10))
    found = (run_protocol if given.paper_protocol else run_seeds)(given.run, seeds)
    page.write(found, given.run, environment()["command"])
    print("\n".join(summary(found)))
    result = {"environment": environment(), "seeds": list(seeds), "figures": metrics(found)}
    if not given.paper_protocol:
        result["short"] = short(found)
    name = "mixture-protocol" if given.paper_protocol else "mixture"
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
