"""How well smoothness, a number before any score is paid for, tells whether scores will hold: over training recipes.

    python benchmarks/recipes.py

A net of two layers on 256 rows of ten noisy classes, by recipe and seed: metasmoothness, the bend of the held-out loss,
the check with a tenth of each weight left out, and, by retraining without 10 % of the rows, what it foretells.
results/recipes.json; goes on where it stopped.
"""

import argparse
from typing import Any

import torch
from record import RESULTS, Record
from torch import nn
from torch.nn import functional as F

import crossloss as cl

STEPS, BATCH = 200, 32


def warm(rate: float) -> Any:
    return lambda t: rate * min((t + 1) / 20, (STEPS - t) / (STEPS - 20))


RECIPES: dict[str, tuple[type[nn.Module], Any, int | None]] = {
    "SGD .02, GELU": (nn.GELU, lambda: cl.SGD(0.02, momentum=0.9), BATCH),
    "SGD .1, GELU": (nn.GELU, lambda: cl.SGD(0.1, momentum=0.9), BATCH),
    "SGD .1, ReLU": (nn.ReLU, lambda: cl.SGD(0.1, momentum=0.9), BATCH),
    "AdamW eps 1e-8, GELU": (nn.GELU, lambda: cl.AdamW(2e-3), BATCH),
    "AdamW eps 1e-6, GELU": (nn.GELU, lambda: cl.AdamW(2e-3, eps=1e-6), BATCH),
    "AdamW eps 1e-3, GELU": (nn.GELU, lambda: cl.AdamW(2e-3, eps=1e-3), BATCH),
    "AdamW eps 1e-8, GELU, warm-up": (nn.GELU, lambda: cl.AdamW(warm(2e-3)), BATCH),
    "AdamW eps 1e-8, GELU, clipped": (nn.GELU, lambda: cl.ClipNorm(cl.AdamW(2e-3), max_norm=0.5), BATCH),
    "AdamW eps 1e-8, GELU, lr .02": (nn.GELU, lambda: cl.AdamW(2e-2), BATCH),
    "AdamW eps 1e-8, GELU, all rows": (nn.GELU, lambda: cl.AdamW(2e-3), None),
    "AdamW eps 1e-8, ReLU": (nn.ReLU, lambda: cl.AdamW(2e-3), BATCH),
    "AdamW eps 1e-3, ReLU": (nn.ReLU, lambda: cl.AdamW(2e-3, eps=1e-3), BATCH),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--subsets", type=int, default=12)
    given = parser.parse_args()
    result = Record(RESULTS / "recipes.json")
    for seed in range(given.seeds):
        draw = torch.Generator().manual_seed(seed)
        x, x_test = torch.randn(256, 10, generator=draw), torch.randn(200, 10, generator=draw)
        y, y_test = ((a + 0.5 * torch.randn(a.shape, generator=draw)).argmax(1) for a in (x, x_test))

        def held_out_loss(model: Any, x: Any = x_test, y: Any = y_test) -> torch.Tensor:
            return F.cross_entropy(model(x), y)

        for name, (activation, rule, batch) in RECIPES.items():
            if f"{name}.{seed}" in result.last:
                continue
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(10, 32), activation(), nn.Linear(32, 32), activation(), nn.Linear(32, 10))
            field = cl.TorchField(
                model, lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), {"x": x, "y": y}, batch_size=batch
            )
            run = cl.train(field, rule(), steps=STEPS)
            smooth = cl.smoothness(run, [held_out_loss], draws=3, subsets=given.subsets)
            (response,) = smooth.objectives.values()
            checked = cl.validate(run, [held_out_loss], subsets=given.subsets, share=0.1, strongest=0, plans={})
            whole = next(r for r in checked.fidelity["held_out_loss"] if r.estimator == "unrolled").fidelity
            small = response.fidelity
            result.put(f"{name}.{seed}", {
                "metasmoothness": round(smooth.mean, 3), "bend": round(response.bend, 3),
                "r_weights_.9": None if small is None else round(small.pearson, 3),
                "slope_weights_.9": None if small is None else round(small.slope, 3),
                "r_left_out": round(whole.pearson, 3), "slope_left_out": round(whole.slope, 3),
                "advice": smooth.summary()[-1],
            })  # fmt: skip


if __name__ == "__main__":
    main()
