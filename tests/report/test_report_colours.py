"""Colours of the page: readable on their ground, and told apart by colour-blind people."""

import re
from importlib.resources import files
from itertools import product

import numpy as np
import pytest

STYLE = files("crossloss.report").joinpath("colours.css").read_text()
OKABE_ITO = {"blue": ("#0072b2", "#56b4e9"), "orange": ("#d55e00", "#e69f00")}

# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
# CIE XYZ (D65) of linear sRGB, and its white.
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(1)


def linear(colour: str) -> np.ndarray:
    parts = "".join(2 * c for c in colour[1:]) if len(colour) == 4 else colour[1:]
    c = np.array([int(parts[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """WCAG's ratio of luminances."""
    low, high = sorted(XYZ[1] @ linear(c) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    t = XYZ @ np.clip(rgb, 0, 1) / WHITE
    x, y, z = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def seen_apart(a: str, b: str, eye: str) -> float:
    """CIE 1976 difference of two colours as a colour-blind eye sees them."""
    a, b = (lab(np.array(BLIND[eye]) @ linear(c)) for c in (a, b))
    return float(np.linalg.norm(a - b))


def themes() -> list[dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.S)
    return [dict(re.findall(r"--(\w+): (#\w+)", block)) for block in blocks]


def test_there_are_themes_for_light_dark_and_paper():
    assert len(themes()) == 3
    assert {tuple(t[name] for t in themes()[:2]) for name in OKABE_ITO} == set(OKABE_ITO.values())


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark", "print"])
def test_text_reaches_wcag_aa_and_lines_stand_out(theme):
    for text, ground in product(("ink", "muted", "link"), ("paper", "panel")):
        assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
    assert contrast(theme["warm"], theme["paper"]) >= 4.5
    for mark in ("blue", "orange"):
        assert contrast(theme[mark], theme["paper"]) >= 3


@pytest.mark.parametrize("eye", BLIND)
@pytest.mark.parametrize("theme", themes(), ids=["light", "dark", "print"])
def test_what_raises_and_what_lowers_differ_to_every_eye(theme, eye):
    assert seen_apart(theme["blue"], theme["orange"], eye) > 40


def test_red_and_green_would_have_failed():
    assert seen_apart("#d62728", "#7f7f00", "deuteranopia") < 40
