"""Products and tiles: the same numbers whichever are chosen; measured once for a machine, and kept by a run."""

import json

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram import kernels as kernels_module
from crossloss.models.skipgram.kernels import SHAPES, SMALLEST, TILE_CPU, TILE_GPU, Kernels, kernels, measured
from crossloss.utils.files import read_json
from dense import random_sentences
from distributed_sample import results
from train_on import train_on

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSLOSS_CACHE", str(tmp_path / "cache"))
    kernels_module._remembered.cache_clear()
    yield tmp_path / "cache" / "kernels.json"
    kernels_module._remembered.cache_clear()


@pytest.mark.parametrize("offered", [True, False])
@pytest.mark.parametrize("product", ["oneDNN", "torch"])
@pytest.mark.parametrize(
    ("dtype", "device", "fits"),
    [(torch.float32, "cpu", True), (torch.float64, "cpu", False), (torch.float32, "meta", False)],
)
def test_onednn_is_called_where_it_is_chosen_offered_and_fits(dtype, device, fits, product, offered, monkeypatch):
    calls = []

    def linear(x, y, bias, kind, scalars, algorithm):
        calls.append((bias, kind, scalars, algorithm))
        return torch.nn.functional.linear(x, y) if kind == "none" else torch.nn.functional.linear(x, y).sigmoid()

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", linear if offered else None, raising=False)
    made = Kernels(product, TILE_CPU).products(dtype, torch.device(device))
    x, y = (torch.randn(n, 5, dtype=dtype, device=device) for n in (3, 4))
    out = torch.ones(3, 4, dtype=dtype, device=device)
    found = made.plain(x, y), made.sigmoid(x, y)
    made.add(out, x, y)
    used = fits and offered and product == "oneDNN"
    assert [kind for _, kind, *_ in calls] == (["none", "sigmoid", "none"] if used else [])
    assert all(part.shape == (3, 4) for part in found)
    if device == "cpu":
        torch.testing.assert_close(found[0], x @ y.T)
        torch.testing.assert_close(found[1], torch.sigmoid(x @ y.T))
        torch.testing.assert_close(out, 1 + x @ y.T)


def test_what_is_chosen_without_a_measurement(monkeypatch):
    monkeypatch.setattr(kernels_module, "measured", None)
    assert kernels(SMALLEST - 1, 50, torch.float32, CPU).tile == TILE_CPU
    assert kernels(10**6, 50, torch.float64, CPU).tile == TILE_CPU
    assert kernels(10**6, 50, torch.float32, torch.device("cuda")).tile == TILE_GPU


def test_the_measurement_is_short_and_its_choice_is_remembered(own_cache, monkeypatch):
    chosen = kernels(SMALLEST, 20, torch.float32, CPU)
    assert chosen.tile in SHAPES
    ((_, stored),) = json.loads(own_cache.read_text()).items()
    assert Kernels.known(stored) == chosen
    kernels_module._remembered.cache_clear()
    monkeypatch.setattr(kernels_module, "measured", None)
    assert kernels(10**5, 20, torch.float32, CPU) == chosen


def test_a_choice_by_seconds(monkeypatch):
    slow = torch.ones(700, 700)

    def work(products, tile, dimension):
        return lambda: slow @ slow if tile != (512, 512) else None

    monkeypatch.setattr(kernels_module, "_work", work)
    assert measured(7).tile == (512, 512)


@pytest.mark.parametrize("content", ["{", "[]", '{"x": 1}', "null"])
def test_a_damaged_or_unwritable_cache_is_none(own_cache, monkeypatch, content):
    best = Kernels("torch", (256, 256))
    monkeypatch.setattr(kernels_module, "measured", lambda dimension: best)
    own_cache.parent.mkdir()
    own_cache.write_text(content)
    assert kernels(SMALLEST, 20, torch.float32, CPU) == best
    kernels_module._remembered.cache_clear()
    monkeypatch.setenv("CROSSLOSS_CACHE", "/proc/nowhere")
    assert kernels(SMALLEST, 20, torch.float32, CPU) == best


def test_of_several_processes_all_take_what_the_first_one_has(monkeypatch):
    def work(rank):
        own = Kernels("torch", SHAPES[rank + 1])
        monkeypatch.setattr(kernels_module, "measured", lambda dimension: own)
        return kernels(SMALLEST, 20, torch.float32, CPU)

    assert results(2, work) == [Kernels("torch", SHAPES[1])] * 2


def test_a_run_keeps_the_kernels_that_it_began_with(tmp_path, monkeypatch):
    def trained(out, steps=3):
        corpus = cl.from_sentences(random_sentences(2))
        with train_on(corpus, out=out, min_count=1, window=3, dimension=4, steps=steps) as run:
            score = cl.score(run, [cl.objectives.similarity("waa", "wab")]).samples
            return run.field.kernels, run.trajectory.theta.numpy(), score

    first, theta, score = trained(tmp_path / "run")
    assert read_json(tmp_path / "run" / "manifest.json")["kernels"] == first.stored()
    other = Kernels("torch", (9, 11))
    monkeypatch.setattr("crossloss.models.skipgram.loss.choose", lambda *given: other)
    assert trained(tmp_path / "run")[0] == first
    with cl.load(tmp_path / "run") as run:
        assert run.field.kernels == first
    with cl.load(tmp_path / "run") as run:
        run.store.manifest.pop("kernels")
        run.store.set_meta()
    with cl.load(tmp_path / "run") as run:
        assert run.field.kernels == first, "of a run without a choice, what all had then"
    kernels_then, theta_then, score_then = trained(tmp_path / "another")
    assert kernels_then == other
    np.testing.assert_allclose(theta_then, theta, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(score_then, score, rtol=1e-3, atol=1e-4 * np.abs(score).max())
    with pytest.raises(UserError, match="kernels are damaged"):
        Kernels.known({"tile": [1]})
