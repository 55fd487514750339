"""A user's own script with a torch loop, started by torchrun's launcher: the figures of one process."""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl

draw = torch.Generator().manual_seed(1)
x, y = torch.randn(30, 4, generator=draw, dtype=torch.float64), torch.randint(0, 3, (30,), generator=draw)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3)).double()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, eps=1e-3)
field = cl.TorchField(model, lambda out, batch: F.cross_entropy(out, batch["y"], reduction="none"), {"x": x, "y": y})
recorder = cl.Recorder(field, model, optimizer)
for step in range(8):
    rows = torch.randperm(30)[:9]
    recorder.batch(rows)
    optimizer.zero_grad()
    F.cross_entropy(model(x[rows]), y[rows]).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()

out = Path(sys.argv[1])
with cl.distributed.joined(), recorder.finish(out / "run") as run:
    scores = cl.score(run, [lambda m: F.cross_entropy(m(x[:5]), y[:5])])
    weights = run.weights
    weights[scores.top(1)[0].sample] = 0
    cl.report(run)
    np.savez(
        out / f"figures{cl.distributed.rank()}.npz",
        processes=cl.distributed.count(), trained=torch.nn.utils.parameters_to_vector(model.parameters()).detach(),
        theta=run.theta, scores=scores.samples, retrained=run.retrain(weights).theta,
    )
"""


def figures(folder, *launcher):
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, *launcher, "script.py", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "run" / "report.html").exists()
    return [np.load(file) for file in sorted(folder.glob("figures*.npz"))]


def test_a_script_with_a_loop_of_its_own_is_the_same_under_torchrun(tmp_path):
    (alone,) = figures(tmp_path / "one")
    both = figures(tmp_path / "two", "-m", "torch.distributed.run", "--nproc-per-node", "2")
    assert [int(found["processes"]) for found in (alone, *both)] == [1, 2, 2]
    np.testing.assert_array_equal(alone["theta"], alone["trained"])
    for found in both:
        for name in ("trained", "theta", "scores", "retrained"):
            np.testing.assert_allclose(found[name], alone[name], rtol=1e-9, atol=1e-12)
    for name in ("theta", "scores", "retrained"):
        np.testing.assert_array_equal(both[0][name], both[1][name])
    assert np.abs(alone["retrained"] - alone["theta"]).max() > 1e-4
