"""Scores against finite differences of the user's own loop, torch.optim and all."""

import numpy as np
import torch

H = 1e-4


def agree(scores, loop, objective, n, rows, tolerance=1e-6):
    """``loop(w)`` trains with weights w (n,) float64 and returns what ``objective`` takes; ``scores`` are (n,)."""
    slopes = []
    for i in rows:
        ends = []
        for step in (-2, -1, 1, 2):
            w = torch.ones(n, dtype=torch.float64)
            w[i] += step * H
            with torch.no_grad():
                trained = loop_with_grad(loop, w)
                ends.append(float(objective(trained)))
        slopes.append((ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * H))  # of order h^4
    size = np.abs(scores).max()
    assert size > 0
    np.testing.assert_allclose(scores[list(rows)], slopes, rtol=tolerance, atol=tolerance * size)


def loop_with_grad(loop, w):
    with torch.enable_grad():
        return loop(w)
