"""What people are shown of samples: texts, rows, and images as PNG in data: addresses."""

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from crossloss.core import UserError
from crossloss.models.base import Model

LONGEST_SIDE = 128
"""Pixels to which larger images are reduced."""
CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Image:
    """A PNG as a ``data:`` address, with the size in which it is drawn."""

    src: str
    width: int
    height: int


def displayed(model: Model, samples: Iterable[int], show: Any = None) -> dict[int, Any]:
    """What a page shows of each sample: a str, an ``Image``, or a dict of these by heading.

    ``show`` goes before what the model itself shows: a function of a sample's number, a sequence or a DataFrame with
    an entry for each sample. All images have one range, 0..1 or 0..255.

    Raises
    ------
    UserError
        ``show`` has another number of entries, or gives an image of other shapes or values.
    """
    get = model.show if show is None else _getter(show, model)
    plain = {i: _plain(get(i)) for i in dict.fromkeys(samples)}
    arrays = [(i, a) for i, value in plain.items() for a in _arrays(value)]
    for i, a in arrays:
        _check(a, f"{model.sample_noun} {i}")
    bright = max((float(a.max()) for _, a in arrays if a.dtype not in (bool, np.uint8)), default=0.0)
    scale = 255.0 if bright <= 1 + 1e-6 else 1.0
    return {i: _encode(value, scale) for i, value in plain.items()}


def _getter(show: Any, model: Model) -> Callable[[int], Any]:
    rows = getattr(show, "iloc", show)  # of a DataFrame
    if callable(show) and rows is show:
        return show  # type: ignore[no-any-return]
    if isinstance(show, str | bytes | Mapping) or not hasattr(rows, "__getitem__") or not hasattr(show, "__len__"):
        raise UserError(
            f"show is a function of a sample's number or has an entry for each, and no {type(show).__name__}."
        )
    if len(show) != model.samples:
        raise UserError(f"show has {len(show)} entries for {model.samples} {model.sample_noun}s: give one for each.")
    return lambda i: rows[i]


def _plain(value: Any) -> Any:
    """Tensors and pictures as arrays, rows and tuples as dicts, everything else as text."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    if hasattr(value, "getbands") and hasattr(value, "convert"):  # of PIL, which need not be installed
        value = np.asarray(value if value.mode in ("L", "RGB", "RGBA") else value.convert("RGB"))
    if hasattr(value, "to_dict"):  # a row of a DataFrame
        value = value.to_dict()
    if isinstance(value, tuple | list):
        value = dict(enumerate(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "buif":
        if value.ndim > 1:
            return value
        return str(value) if value.ndim == 0 else np.array2string(np.asarray(value), precision=4, threshold=24)
    return str(value)


def _arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _arrays(part)
    elif isinstance(value, np.ndarray):
        yield value


def _check(array: np.ndarray, what: str) -> None:
    shape, first, last = " x ".join(map(str, array.shape)), array.shape[0] in (1, 3), array.shape[-1] in CHANNELS
    if array.ndim > 3 or not array.size or (array.ndim == 3 and not first and not last):
        raise UserError(f"show gives an array of {shape} for {what}: an image is H x W, H x W x 3 or 3 x H x W.")
    if array.ndim == 3 and first and last:
        raise UserError(
            f"show gives an array of {shape} for {what}, whose channels may be first or last: give a picture."
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):
        raise UserError(
            f"show gives an image with values from {low:.3g} to {high:.3g} for {what}: give 0 to 1 or 0 to 255, "
            "without a normalisation."
        )


def _encode(value: Any, scale: float) -> Any:
    if isinstance(value, dict):
        return {name: _encode(part, scale) for name, part in value.items()}
    return _image(value, scale) if isinstance(value, np.ndarray) else value


def _image(array: np.ndarray, scale: float) -> Image:
    """A PNG; one that is too large is reduced to means over squares."""
    from PIL import Image as Picture

    pixels = array.astype(np.float64)
    if array.dtype != np.uint8:
        pixels *= 255.0 if array.dtype == bool else scale
    if pixels.ndim == 3 and pixels.shape[-1] not in CHANNELS:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.shape[2:] == (1,):
        pixels = pixels[:, :, 0]
    picture = Picture.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    picture = picture.reduce(-(-max(picture.size) // LONGEST_SIDE))
    png = io.BytesIO()
    picture.save(png, "PNG", optimize=True)
    larger = max(1, 96 // max(picture.size))  # small ones are drawn larger, pixel by pixel
    width, height = (larger * side for side in picture.size)
    return Image("data:image/png;base64," + base64.b64encode(png.getvalue()).decode(), width, height)
