"""A run folder by itself: who may open it, what is cleaned up, what is done, what is deleted."""

import json
from pathlib import Path

import pytest
from filelock import FileLock

import crossloss as cl
from crossloss.core import UserError
from crossloss.run.folder import LEDGER, MANIFEST, RunFolder
from crossloss.utils.files import PARTIAL, check, write_json


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


def test_somebody_elses_checksums_are_no_ledger(tmp_path):
    """A download with its publisher's SHA256SUMS: nothing is added to that file, and nothing that it names deleted."""
    sums, corpus = tmp_path / LEDGER, tmp_path / "corpus.parquet"
    corpus.write_text("mine")
    sums.write_text(f"{'0' * 64}  corpus.parquet\n")
    before = sums.read_bytes()
    write_json(tmp_path / "words.json", {})
    assert sums.read_bytes() == before
    check(corpus)
    with pytest.raises(UserError, match="holds files but no run"):
        made(tmp_path, overwrite=True)
    assert corpus.exists()


def test_clearing_deletes_what_was_written_here_and_nothing_else(tmp_path):
    folder = made(tmp_path / "run")
    folder.save("metrics.json", {})
    folder.save("retrains/a.json", {})
    folder.set_meta(identity={})
    own = tmp_path / "run" / "notes.json"
    own.write_text("{}")
    (tmp_path / "run" / "counted-abc-0.keys").write_bytes(b"")
    folder.clear()
    left = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert left == {".lock", LEDGER, "notes.json"}
    assert not (tmp_path / "run" / LEDGER).read_bytes()


def test_a_clearing_that_was_stopped_leaves_the_manifest(tmp_path, monkeypatch):
    """So that the same command finds the other run and clears it whole."""
    folder = made(tmp_path / "run")
    folder.set_meta(identity={"of": "another"})
    folder.save("metrics.json", {})
    unlink = Path.unlink
    monkeypatch.setattr(
        Path, "unlink", lambda self, **more: _interrupt() if self.name == "metrics.json" else unlink(self, **more)
    )
    with pytest.raises(KeyboardInterrupt):
        folder.clear()
    monkeypatch.setattr(Path, "unlink", unlink)
    folder.close()
    assert made(tmp_path / "run").manifest["identity"] == {"of": "another"}


def _interrupt():
    raise KeyboardInterrupt


def test_overwriting_a_run_without_a_manifest_takes_nothing_of_it(tmp_path):
    """Counts of another window, and results by the hash of what does not say which run they are of."""
    corpus, test = cl.from_sentences(["a b c d", "b a d c", "c a b d"] * 3), cl.objectives.similarity("a", "b")

    def scored(out, window, **more):
        field = cl.SkipGram(corpus, min_count=1, dimension=2, window=window, dtype="float64")
        with cl.train(field, cl.HeavyBall(0.3), steps=3, out=out, **more) as run:
            return cl.score(run, [test]).of()

    scored(tmp_path / "run", 1)
    (tmp_path / "run" / MANIFEST).unlink()
    found = scored(tmp_path / "run", 3, overwrite=True)
    assert found.tolist() == scored(tmp_path / "fresh", 3).tolist()


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
    for name in ("states/000.safetensors", "retrains/one.json", "mine.txt", "mine.json"):
        file = tmp_path / "run" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    folder.save("report.json", 1)
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
    assert not (tmp_path / "run" / "report.json").exists()
    for name in ("mine.txt", "mine.json"):
        assert (tmp_path / "run" / name).exists(), "what is not ours stays"
    again.close()
