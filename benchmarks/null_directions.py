"""What damping does to inverse-Hessian scores of WEAT along skip-gram's d^2 null directions, beside unrolled.

(U M, C M^-T) has the same loss for every invertible M, so at a stationary point the Hessian has d^2 directions
without curvature: (U X, -C X^T). Eight words, d = 2, float64, dense solves. Prints, for a run stopped early, nearly
at the end and at the end: how much the scores change from damping to damping (|new - old| / |old|), and how they
agree with the derivative of the run.

    OMP_NUM_THREADS=1 python benchmarks/null_directions.py
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import small
from crossloss.estimators import InverseHessian, unrolled

DAMPINGS = (1e-2, 1e-4, 1e-6, 1e-8)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    before = None
    for steps in (100, 1_000, 4_000):
        case = small.null_directions(steps)
        theta = case.run.theta
        slope = case.run.field.gradient(theta, case.run.weights, steps)
        sizes = torch.linalg.eigvalsh(case.jacobians()[0]).abs().sort().values
        exact = unrolled(case.run, case.objectives).samples()
        print(
            f"{steps} steps: |grad L| {slope.norm():.1e}, eigenvalues: 4 to {sizes[3]:.1e}, others from {sizes[4]:.1e}"
        )
        for j, objective in enumerate(case.objectives):
            settled = "" if before is None else f"; unrolled changed {relative(exact[j], before[j]):.3f}"
            print(f"  {objective.name}: grad f along the null directions {in_null(case)[j]:.2f}{settled}")
            last = None
            for damping in DAMPINGS:
                scores = InverseHessian(damping=damping)(case.run, case.objectives).samples()[j]
                r = float(torch.corrcoef(torch.stack([scores, exact[j]]))[0, 1])
                size = float(scores.norm() / exact[j].norm())
                change = "" if last is None else f"changed {relative(scores, last):9.4f}, "
                print(f"    damping {damping:.0e}: {change}r with unrolled {r:+.4f}, size {size:.3f}")
                last = scores
        before = exact


def relative(new: torch.Tensor, old: torch.Tensor) -> float:
    """|new - old| / |old|."""
    return float((new - old).norm() / old.norm())


def in_null(case: small.Case) -> torch.Tensor:
    """Size of each objective's gradient within the null directions, (k,)."""
    return (case.slopes() @ case.null()).norm(dim=1)


if __name__ == "__main__":
    main()
