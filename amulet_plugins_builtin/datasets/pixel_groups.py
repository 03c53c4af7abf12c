"""Groups of images by what their pixels show, for data sets that declare no sensitive attribute."""

from typing import Final

import torch
from torch import Tensor

from amulet_core.schema import Sensitive
from amulet_plugins_builtin.catalogue.datasets import PixelGroupParams

BRIGHTNESS: Final = Sensitive(name="brightness", categories=("dark", "bright"))


def pixel_groups(x: Tensor, y: Tensor, params: PixelGroupParams) -> tuple[tuple[Sensitive, ...], Tensor | None]:
    """Return the attributes asked for, and their values int64 ``[n, attributes]`` (None: no attribute).

    An image is bright if its mean pixel is above the median of its class: about half of each class is, so brightness
    and class are independent. ``x`` is ``[n, channels, height, width]``, ``y`` int64 ``[n]``.
    """
    if not params.groups:
        return (), None
    return (BRIGHTNESS,), brighter_than_its_class(x, y)[:, None]


def brighter_than_its_class(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 where an image's mean pixel is above the median over its class, else 0: int64 ``[n]``."""
    mean = x.flatten(1).double().mean(1)
    bright = torch.zeros_like(y)
    for label in y.unique():
        own = y == label
        bright[own] = (mean[own] > mean[own].quantile(0.5)).long()
    return bright
