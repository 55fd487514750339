"""Files are complete or absent, whatever fails while they are written."""

import errno
import os

import numpy as np
import pyarrow as pa
import pytest
import torch

from crossloss.core import UserError
from crossloss.utils import files

WRITERS = {
    "text": (lambda p, v: files.write_text(p, f"text {v}"), lambda p: p.read_text()),
    "json": (lambda p, v: files.write_json(p, {"v": v}), files.read_json),
    "tensors": (lambda p, v: files.write_tensors(p, {"t": torch.full((3,), v)}), lambda p: p.read_bytes()),
    "arrays": (lambda p, v: files.write_arrays(p, {"a": np.full(3, v)}), lambda p: p.read_bytes()),
    "table": (lambda p, v: files.write_table(p, pa.table({"a": [v]})), lambda p: p.read_bytes()),
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, kind, call):
    write, read = WRITERS[kind]
    path = tmp_path / "file"
    write(path, 1.0)
    before = read(path)

    def full(*unused):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(UserError, match="No space left"):
            write(path, 2.0)
    assert read(path) == before
    assert os.listdir(tmp_path) == ["file"], "nothing is left beside it"
    write(path, 2.0)
    assert read(path) != before


def test_a_read_only_folder_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*unused):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.safetensors.torch, "save_file", refuse)
    with pytest.raises(UserError, match="Read-only"):
        files.write_tensors(tmp_path / "file", {"t": torch.zeros(1)})


@pytest.mark.parametrize("cut", [0, 5, -1])
def test_a_cut_file_is_refused(tmp_path, cut):
    for name, write, read in (
        ("t", lambda p: files.write_tensors(p, {"t": torch.arange(9)}), files.read_tensors),
        ("a", lambda p: files.write_arrays(p, {"a": np.arange(9)}), files.read_arrays),
        ("j", lambda p: files.write_json(p, {"a": [1, 2]}), files.read_json),
        ("p", lambda p: files.write_table(p, pa.table({"a": [1]})), files.read_table),
    ):
        path = tmp_path / name
        write(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: cut if cut >= 0 else len(whole) - 3])
        with pytest.raises(UserError):
            read(path)


def test_text_with_lone_surrogates_is_written(tmp_path):
    files.write_text(tmp_path / "t", "a\ud800b")
    assert (tmp_path / "t").read_text() == "a?b"


def test_json_never_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(tmp_path / "j", {"a": float("nan")})
    assert not os.listdir(tmp_path)


def test_files_are_readable_as_the_umask_says(tmp_path):
    files.write_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(2)})
    files.write_text(tmp_path / "t.txt", "a")
    (tmp_path / "plain").write_text("a")
    assert {p.stat().st_mode for p in tmp_path.iterdir()} == {(tmp_path / "plain").stat().st_mode}
