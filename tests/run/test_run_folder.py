"""A run folder by itself: who may open it, what is cleaned up, what is done, what is deleted."""

import json

import pytest
from filelock import FileLock

from crossloss.core import UserError
from crossloss.run.folder import LEDGER, MANIFEST, RunFolder
from crossloss.utils.files import PARTIAL


def made(path, **given):
    return RunFolder(path, create=True, **given)


def test_a_folder_is_made_with_its_parents_and_is_empty(tmp_path):
    folder = made(tmp_path / "a" / "b")
    assert folder.manifest["stages"] == {}
    assert folder.metrics == {}
    folder.log_metrics({"loss": 1.5})
    assert folder.metrics == {"loss": 1.5}
    folder.close()
    with pytest.raises(UserError, match="does not exist"):
        RunFolder(tmp_path / "none")


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    made(tmp_path / "run").close()
    half = tmp_path / "run" / f".states{PARTIAL}"
    half.write_text("half")
    made(tmp_path / "run").close()
    assert not half.exists()


def test_other_files_are_not_taken_for_a_run(tmp_path):
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(UserError, match="holds files but no run"):
        made(tmp_path)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / f".x{PARTIAL}").write_text("half")
    (tmp_path / "half" / LEDGER).touch()
    made(tmp_path / "half").close()
    with pytest.raises(UserError, match="is a file, not a run folder"):
        made(tmp_path / "photo.jpg")


def test_a_stage_is_done_with_its_inputs_and_its_files(tmp_path):
    folder = made(tmp_path / "run")
    assert not folder.is_done("train", "key", "a.json")
    folder.mark_done("train", "key")
    assert not folder.is_done("train", "key", "a.json")
    folder.save("a.json", {"x": 1})
    assert folder.is_done("train", "key", "a.json")
    assert not folder.is_done("train", "other", "a.json")
    assert json.loads((tmp_path / "run" / MANIFEST).read_text())["stages"] == {"train": {"key": "key"}}
    folder.close()
    with RunFolderClosed(tmp_path / "run") as again:
        assert again.is_done("train", "key", "a.json")


class RunFolderClosed(RunFolder):
    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def test_a_damaged_manifest_is_refused_and_overwritten_where_that_is_asked_for(tmp_path):
    folder = made(tmp_path / "run")
    folder.mark_done("train", "key")
    for name in ("states/000.safetensors", "retrains/one.json", "mine.txt"):
        file = tmp_path / "run" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    folder.close()
    (tmp_path / "run" / MANIFEST).write_text("{")
    with pytest.raises(UserError, match="was changed or cut off") as kept:
        made(tmp_path / "run")
    FileLock(tmp_path / "run" / ".lock").acquire(blocking=False).lock.release()  # given back, though the error is kept
    del kept
    again = made(tmp_path / "run", overwrite=True)
    assert again.manifest["stages"] == {}
    assert not (tmp_path / "run" / "states" / "000.safetensors").exists()
    assert not (tmp_path / "run" / "retrains" / "one.json").exists()
    assert (tmp_path / "run" / "mine.txt").exists(), "what is not ours stays"
    again.close()
