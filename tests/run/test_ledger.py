"""Files of a run folder that were cut, edited, exchanged or deleted: refused, or made again the same."""

import errno
import hashlib
import json
import os
import shutil

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.utils import files as crossloss_files
from crossloss.utils.files import LEDGER
from dense import random_sentences
from train_on import train_on

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 4, "lr": 0.5}
UNREAD = {"metrics.json", "model.safetensors", "scores.parquet", "plan-test.parquet"}
"""Files that scoring writes and does not read."""


def make(folder, **more):
    """The command that makes the run."""
    with train_on(cl.from_sentences(random_sentences(2)), out=folder, **SETTINGS, **more) as run:
        run.remember([TEST])
        scored = cl.score(run, [TEST])
        scored.save()
        cl.plan(scored, {"test": 0.0}).save(run)


def scores(folder):
    """Scores as a later command reads them."""
    with cl.load(folder) as run:
        return cl.score(run, run.objectives).of("test")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    make(folder)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name[0] != ".")


def test_every_file_is_in_the_ledger_as_sha256sum_has_it(made):
    lines = (made / LEDGER).read_text().splitlines()
    for name in set(files(made)) - {LEDGER}:
        assert f"{hashlib.sha256((made / name).read_bytes()).hexdigest()}  {name}" in lines


def read_files(made):
    return [name for name in files(made) if name not in UNREAD | {LEDGER}]


def forget_influence(folder):
    """So that the states are read."""
    for path in folder.glob("influence-unrolled-*.safetensors"):
        path.unlink()


@pytest.mark.parametrize("fault", ["cut", "edited", "emptied"])
def test_a_changed_file_is_refused_and_deleting_it_mends_the_run(made, folder, fault):
    expected = scores(made)
    for name in read_files(made):
        path = folder / name
        whole = path.read_bytes()
        changed = {"cut": whole[:-5], "edited": whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:], "emptied": b""}
        path.write_bytes(changed[fault])
        if name.startswith("states"):
            forget_influence(folder)  # for they are read by a backward pass only
        with pytest.raises(UserError, match="was changed") as caught:
            scores(folder)
        assert "\n" not in str(caught.value)
        advice = {"overwrite": True} if "overwrite=True" in str(caught.value) else {}
        path.unlink()
        make(folder, **advice)
        np.testing.assert_array_equal(scores(folder), expected)


def test_files_exchanged_within_a_run_and_between_runs_are_refused(made, folder, tmp_path):
    with train_on(cl.from_sentences(random_sentences(3)), out=tmp_path / "other", **SETTINGS) as run:
        run.remember([TEST])
        cl.score(run, [TEST]).save()
    for name in read_files(made):
        whole = (folder / name).read_bytes()
        if whole == (tmp_path / "other" / name).read_bytes():
            continue
        if name.startswith("states"):
            forget_influence(folder)
        shutil.copy(tmp_path / "other" / name, folder / name)
        with pytest.raises(UserError, match="was changed"):
            scores(folder)
        (folder / name).write_bytes(whole)
    shutil.copy(folder / "states" / "000002.safetensors", folder / "states" / "000001.safetensors")
    with pytest.raises(UserError, match="exchanged"):
        scores(folder)


def test_states_that_were_deleted_are_made_again(made, folder):
    expected = scores(made)
    for gone in (["000000"], ["000004"], ["000002"], ["000000", "000001", "000002", "000003", "000004"]):
        for name in gone:
            (folder / "states" / f"{name}.safetensors").unlink(missing_ok=True)
        forget_influence(folder)
        np.testing.assert_array_equal(scores(folder), expected)


def test_strangers_are_left_alone(folder):
    for name in ("states/000009.safetensors", "states/12a.safetensors", "notes.txt"):
        (folder / name).write_text("mine")
    scores(folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_overwrite_starts_anew_where_the_manifest_cannot_be_read(folder):
    for content in ("{", "[]", json.dumps({"format": 1}), "[" * 100_000):
        (folder / "manifest.json").write_text(content)
        (folder / LEDGER).unlink(missing_ok=True)
        with pytest.raises(UserError):
            train_on(cl.from_sentences(random_sentences(2)), out=folder, **SETTINGS)
        train_on(cl.from_sentences(random_sentences(2)), out=folder, overwrite=True, **SETTINGS).close()


def test_a_line_cut_by_a_full_disk_hides_no_other(folder, monkeypatch):
    def full(*unused):
        raise OSError(errno.ENOSPC, "No space left on device")

    with (folder / LEDGER).open("ab") as file:
        file.write(b"0123456789abcdef  cut off")
    with monkeypatch.context() as patch:
        patch.setattr(crossloss_files.os, "fsync", full)
        with pytest.raises(UserError, match="No space left"):
            crossloss_files.write_json(folder / "new.json", 1)
    crossloss_files.write_json(folder / "new.json", 2)
    assert crossloss_files.read_json(folder / "new.json") == 2
    (folder / "new.json").write_text("3")
    with pytest.raises(UserError, match="was changed"):
        crossloss_files.read_json(folder / "new.json")


def test_outside_of_a_run_folder_there_is_no_ledger(tmp_path):
    crossloss_files.write_json(tmp_path / "a.json", 1)
    assert os.listdir(tmp_path) == ["a.json"]
