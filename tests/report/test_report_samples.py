"""How samples are shown: texts, rows, images."""

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from crossloss.core import UserError
from crossloss.report.samples import LONGEST_SIDE, Image, displayed


class Few:
    """A model of four samples."""

    samples, sample_noun = 4, "sample"

    def show(self, sample):
        return f"sample {sample}"


def shown(value):
    return displayed(Few(), [0], lambda i: value)[0]


def pixels(image: Image) -> np.ndarray:
    """What a reader of PNG files makes of it."""
    head, data = image.src.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Picture.open(io.BytesIO(base64.b64decode(data))))


class Table:
    """As much of a DataFrame as is used: rows by place, and not by [number]."""

    def __init__(self, rows):
        self.iloc = [SimpleNamespace(to_dict=lambda row=row: row) for row in rows]

    def __len__(self):
        return len(self.iloc)


GREY = np.array([[0, 51, 102], [153, 204, 255]])
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (GREY.astype(np.uint8), GREY), (GREY / 255, GREY), (GREY.astype(float), GREY), (GREY, GREY),
        (torch.tensor(GREY / 255, dtype=torch.bfloat16), GREY), (GREY > 100, 255 * (GREY > 100)),
        (torch.tensor(np.tile(GREY, (2, 2)) / 255)[None].requires_grad_(), np.tile(GREY, (2, 2))),
        ((GREY / 255)[:, :, None], GREY),
        (np.tile(COLOUR, (2, 2, 1)).astype(np.uint8), np.tile(COLOUR, (2, 2, 1))),
        (torch.tensor(np.tile(COLOUR, (2, 2, 1)) / 255).permute(2, 0, 1), np.tile(COLOUR, (2, 2, 1))),
        (Picture.fromarray(COLOUR.astype(np.uint8)), COLOUR), (Picture.fromarray(GREY.astype(np.uint8)), GREY),
        (Picture.fromarray(255 * (GREY > 100).astype(np.uint8)).convert("1"), 255 * (GREY > 100)),
    ],
)  # fmt: skip
def test_an_image_is_drawn_with_the_pixels_given(given, seen):
    if isinstance(given, Picture.Image) and given.mode == "1":
        seen = np.repeat(seen[:, :, None], 3, axis=2)
    drawn = pixels(shown(given))
    assert drawn.shape == seen.shape
    assert np.abs(drawn.astype(int) - seen).max() <= (1 if getattr(given, "dtype", None) == torch.bfloat16 else 0)


def test_all_images_of_a_page_have_one_range():
    dark, bright = np.full((2, 2), 1.0), np.full((2, 2), 200.0)
    both = displayed(Few(), [0, 1], lambda i: [dark, bright][i])
    assert pixels(both[0]).max() == 1
    assert pixels(both[1]).max() == 200
    assert pixels(shown(dark)).max() == 255


def test_a_large_image_is_reduced_and_a_small_one_drawn_larger():
    large = shown(np.full((3 * LONGEST_SIDE + 1, 5), 80, dtype=np.uint8))
    assert pixels(large).shape == (97, 2)
    assert (pixels(large) == 80).all()
    small = shown(GREY / 255)
    assert (small.width, small.height) == (96, 64)


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.ones((2, 8, 8)), "2 x 8 x 8"), (np.ones((2, 3, 4, 5)), "an image is"), (np.ones((0, 5)), "0 x 5"),
        (np.ones((3, 9, 3)), "first or last"), (np.array([[-1.5, 2.0]]), "-1.5 to 2"),
        (np.array([[np.nan, 2.0]]), "without a normalisation"), (np.array([[300, 2]]), "2 to 300"),
    ],
)  # fmt: skip
def test_what_is_no_image_or_two_of_them_is_refused(array, part):
    with pytest.raises(UserError, match=part) as refused:
        shown(array)
    assert "sample 0" in str(refused.value)


def test_rows_parts_and_other_values_are_shown_by_heading():
    row = shown({"picture": GREY / 255, "label": torch.tensor(3), "more": {"a": 0.5}, 7: None})
    assert isinstance(row["picture"], Image)
    assert (row["label"], row["more"], row["7"]) == ("3", {"a": "0.5"}, "None")
    assert shown((GREY / 255, 4))["1"] == "4"
    assert shown(np.array([0.25, 1.0])) == "[0.25 1.  ]"
    assert shown(12) == "12"


def test_a_sequence_a_table_and_a_function_are_asked_by_number():
    table = Table([{"x": i + 1, "word": word} for i, word in enumerate("abcd")])
    assert displayed(Few(), [2, 0], ["a", "b", "c", "d"]) == {2: "c", 0: "a"}
    assert displayed(Few(), [2], table) == {2: {"x": "3", "word": "c"}}
    assert displayed(Few(), [3]) == {3: "sample 3"}


@pytest.mark.parametrize("show", ["text", {0: "a"}, 5, iter("abcd")])
def test_what_has_no_entry_for_each_sample_is_refused(show):
    with pytest.raises(UserError, match="a function of a sample's number or has an entry for each"):
        displayed(Few(), [0], show)


def test_another_number_of_entries_is_refused():
    with pytest.raises(UserError, match="3 entries for 4 samples"):
        displayed(Few(), [0], ["a", "b", "c"])
