"""The mixture study (paper Sec. 4.1) as recorded figures: shares of held-out points whose scores predict retraining.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/mixture.py --run runs/mixture
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/mixture.py --run runs/mixture-protocol --paper-protocol

The same as ``python -m studies.mixture``; seeds that the folder holds are not measured again.
"""

import argparse
import json
from pathlib import Path

import torch
from record import RESULTS, environment

from crossloss.run.folder import RunFolder
from studies import tables
from studies.mixture import page
from studies.mixture.study import metrics, run_protocol, run_seeds, short


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--paper-protocol", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(given.seeds or (6 if given.paper_protocol else 10))
    with RunFolder(given.run, create=True) as store:
        found = (run_protocol if given.paper_protocol else run_seeds)(store, seeds)
        tables.write(given.run, "mixture", *page.page(found), environment()["command"])
    result = {"environment": environment(), "seeds": list(seeds), "figures": metrics(found)}
    if not given.paper_protocol:
        result["short"] = short(found)
    name = "mixture-protocol" if given.paper_protocol else "mixture"
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
