"""Pictures of others, who are not trusted: decoded by Pillow within limits, and all that cannot be is named at once."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amulet_core.errors import RequestError

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MOST_PIXELS: Final = 50_000_000
"""A picture of more is refused before it is decoded: a small file can hold a huge one."""
_FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP")
_DEEP: Final = ("I", "I;16", "I;16B", "I;16L", "F")
_SHOWN: Final = 5


class Picture(NamedTuple):
    """A picture: what messages call it, and what reads its bytes."""

    name: str
    read: Callable[[], bytes]


class Shape(NamedTuple):
    """What pictures become: grey (1 channel) or RGB (3), square, of so many pixels a side."""

    channels: int
    size: int


def packed(jpeg: NDArray[np.uint8], offset: NDArray[np.int64], *, header: bytes = b"", name: str) -> list[Picture]:
    """Return the pictures of a pack: picture i is ``header + jpeg[offset[i]:offset[i + 1]]``."""
    data = jpeg.tobytes()
    starts = offset.tolist()

    def part(start: int, end: int) -> Callable[[], bytes]:
        return lambda: header + data[start:end]

    return [Picture(f"{name}[{i}]", part(start, end)) for i, (start, end) in enumerate(pairwise(starts))]


def files(folder: Path, names: Iterable[str]) -> list[Picture]:
    """Return the pictures in files of a folder."""
    return [Picture(name, (folder / name).read_bytes) for name in names]


def decoded(pictures: Sequence[Picture], shape: Shape, *, whose: str) -> Tensor:
    """Return pictures as float32 ``[n, channels, size, size]`` in 0 .. 1.

    Each is turned upright as its EXIF data say, cropped in its centre to a square, and resized (bilinear).

    Raises:
        RequestError: if Pillow is not installed.
        ValueError: naming the pictures that cannot be decoded.
    """
    image = _pillow(whose)
    out = np.zeros((len(pictures), shape.size, shape.size, shape.channels), dtype=np.uint8)
    problems = {}
    for index, picture in enumerate(pictures):
        try:
            out[index] = _pixels(image, picture.read(), shape)
        except (
            OSError,
            ValueError,
            SyntaxError,
            image.DecompressionBombError,
            image.DecompressionBombWarning,
        ) as error:
            problems[picture.name] = " ".join(str(error).split()) or type(error).__name__
    if problems:
        raise ValueError(f"{whose}: {_listed(problems)}")
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous().float() / 255


def _pillow(whose: str) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise RequestError(
            f"{whose}: pictures are decoded by Pillow, which cannot be imported ({error}): "
            "pip install 'amulet-framework[images]'"
        ) from error
    return Image


def _pixels(image: Any, content: bytes, shape: Shape) -> NDArray[np.uint8]:
    from PIL import ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("error", image.DecompressionBombWarning)
        with image.open(BytesIO(content), formats=_FORMATS) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"{width}x{height} are more than {MOST_PIXELS:,} pixels")
            if opened.mode in _DEEP:
                raise ValueError(f"it has more than 8 bits a channel (mode {opened.mode})")
            upright = ImageOps.exif_transpose(opened).convert("L" if shape.channels == 1 else "RGB")
    return np.asarray(_squared(upright, shape.size, image), dtype=np.uint8).reshape(
        shape.size, shape.size, shape.channels
    )


def _squared(upright: Any, size: int, image: Any) -> Any:
    """Crop before resizing: ``ImageOps.fit`` lets pixels from beyond the square into its edges."""
    width, height = upright.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = upright.crop((left, top, left + side, top + side))
    return square if side == size else square.resize((size, size), image.Resampling.BILINEAR)


def _listed(problems: dict[str, str]) -> str:
    shown = "; ".join(f"{name} ({reason})" for name, reason in list(problems.items())[:_SHOWN])
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    count = "1 picture" if len(problems) == 1 else f"{len(problems)} pictures"
    return f"{count} cannot be decoded: {shown}{more}. Replace or remove them."
