"""ReLU in the mixture study over many more seeds: whether its share of predicted points is a matter of a few runs.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/mixture_relu.py --run runs/mixture-relu --seeds 40

Seeds that the folder holds are not measured again.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from record import RESULTS, Record

from crossloss.run.folder import RunFolder
from studies.mixture.measure import ABLATION, measure
from studies.mixture.model import LOSSES
from studies.mixture.study import short

SETUP = ABLATION["relu"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Record(RESULTS / "mixture-relu.json")
    found, store = [], RunFolder(given.run, create=True)
    for seed in range(given.seeds):
        key = f"seeds/relu-{seed:03d}"
        found.append(store.get_or_make(key, asdict(SETUP), make=lambda s=seed: measure(s, SETUP, full=False)))
        for loss in LOSSES:
            r = [np.asarray(one["losses"][loss]["estimators"]["unrolled"]["r"]) for one in found]
            shares = np.array([(values > 0.8).mean() for values in r])
            record.put(f"{loss}.seeds", len(shares))
            record.put(f"{loss}.share_above_0.8", float(shares.mean()))
            record.put(
                f"{loss}.share_above_0.8.standard_error",
                float(shares.std(ddof=1) / len(shares) ** 0.5) if seed else None,
            )
            record.put(f"{loss}.share_above_0.8.by_seed", shares.round(3).tolist())
            record.put(f"{loss}.mean_r", float(np.mean([values.mean() for values in r])))
    record.put("short", short({"relu": found}, 0.97))


if __name__ == "__main__":
    main()
