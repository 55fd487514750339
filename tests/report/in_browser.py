"""Pages in a real browser."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image as Picture

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path"),
]


def chromium(page: str, folder, *arguments: str) -> str:
    """What the browser writes about a page."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    return subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={folder / 'profile'}", *arguments, file.as_uri(),
        ],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip


def dom(page: str, folder) -> str:
    """The document after a browser has loaded it."""
    return chromium(page, folder, "--dump-dom")


def picture(page: str, folder, width: int = 1000, height: int = 1600) -> np.ndarray:
    """What is seen of a page, (height, width, 3)."""
    chromium(page, folder, f"--screenshot={folder / 'page.png'}", f"--window-size={width},{height}")
    return np.asarray(Picture.open(folder / "page.png").convert("RGB"))


def without_policy(page: str) -> str:
    bare = re.sub(r"<meta http-equiv=[^>]*>", "", page)
    assert bare != page
    return bare


def root_tag(document: str) -> str:
    found = re.search(r"<html[^>]*>", document)
    assert found
    return found[0]
