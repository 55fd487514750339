"""What is refused before anything is made, what is written, and what is given back after an error."""

import pytest
from filelock import FileLock

import crossloss as cl
from crossloss.core import UserError
from crossloss.run import train as module
from crossloss.run.store import content_key
from crossloss.run.trajectory import FolderStates, MemoryStates
from dense import random_sentences
from train_on import train_on

SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 3, "lr": 0.5}


@pytest.fixture(scope="module")
def corpus():
    return cl.from_sentences(random_sentences(2))


@pytest.mark.parametrize("make", [cl.train, cl.imported])
def test_what_is_no_model_is_refused_by_its_type(make):
    with pytest.raises(UserError, match=r"A list cannot be trained: pass cl\.SkipGram"):
        make(["a text"])


def test_a_trained_folder_has_its_figures(corpus, tmp_path):
    with train_on(corpus, out=tmp_path / "run", seed=5, **SETTINGS) as run:
        assert run.store.metrics["train.loss"] == pytest.approx(run.loss)
        assert run.store.metrics.keys() >= dict(run.model.figures()).keys()
        assert run.store.manifest["environment"]["threads"].isdigit()
        assert run.store.manifest["samples"] == run.model.samples
        assert run.store.manifest["settings"].items() >= {"steps": 3, "seed": 5, "dimension": 3}.items()
        assert run.store.manifest["kernels"] == run.model.kernels
        assert run.store.manifest["training"] == content_key(run.store.manifest["identity"])


def test_an_error_gives_the_folder_back_and_is_not_swallowed(corpus, tmp_path, monkeypatch):
    def fails(run, **given):
        raise RuntimeError("the disk")

    write = module.write_run
    monkeypatch.setattr(module, "write_run", fails)
    with pytest.raises(RuntimeError, match="the disk"):
        train_on(corpus, out=tmp_path / "run", **SETTINGS)
    monkeypatch.setattr(module, "write_run", write)
    with train_on(corpus, out=tmp_path / "run", **SETTINGS) as run:
        vectors = run.theta.view(2, -1, 3).numpy()
    model = cl.SkipGram(corpus, vectors=vectors, min_count=1, dimension=3, window=3)
    monkeypatch.setattr(module, "write_run", fails)
    with pytest.raises(RuntimeError, match="the disk"):
        cl.imported(model, out=tmp_path / "other")
    monkeypatch.setattr(module, "write_run", write)
    with cl.imported(model, out=tmp_path / "other") as again:
        assert again.steps == 0


def test_an_error_before_the_first_step_gives_the_folder_back(corpus, tmp_path, monkeypatch):
    def fails(*given):
        raise RuntimeError("no memory")

    monkeypatch.setattr(module, "assemble", fails)
    with pytest.raises(RuntimeError, match="no memory") as kept:
        train_on(corpus, out=tmp_path / "run", **SETTINGS)
    FileLock(tmp_path / "run" / ".lock").acquire(blocking=False).lock.release()
    del kept


def test_states_lie_in_memory_where_there_is_room(corpus, tmp_path):
    assert type(train_on(corpus, **SETTINGS).trajectory.states) is MemoryStates
    with train_on(corpus, out=tmp_path / "run", **SETTINGS) as run:
        assert type(run.trajectory.states) is FolderStates


def test_another_run_in_the_folder_is_refused_and_the_folder_free(corpus, tmp_path):
    train_on(corpus, out=tmp_path / "run", **SETTINGS).close()
    for _ in range(2):  # the second time too: its lock was given back
        with pytest.raises(UserError, match=r"holds another run \(different: dimension"):
            train_on(corpus, out=tmp_path / "run", **(SETTINGS | {"dimension": 4}))
    with train_on(corpus, out=tmp_path / "run", overwrite=True, **(SETTINGS | {"dimension": 4})) as run:
        assert run.field.dimension == 4
        assert sorted((tmp_path / "run" / "states").glob("*.safetensors"))
    with train_on(corpus, out=tmp_path / "run", **(SETTINGS | {"dimension": 4})) as same:
        assert same.theta.equal(run.theta)
