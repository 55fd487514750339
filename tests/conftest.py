"""One thread for every test: the same bytes everywhere, and forks that do not hang."""

import os
import tempfile
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
os.environ["CROSSLOSS_CACHE"] = tempfile.mkdtemp(prefix="crossloss-cache-")  # not the user's

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """The folder of real corpora and golden values beside the project."""
    if not (SHARED / "data").is_dir():
        pytest.skip("../shared/data is not here")
    return SHARED / "data"
