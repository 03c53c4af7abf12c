"""Structural similarity of images (Wang et al. 2004)."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean structural similarity ``[n]`` of images ``[n, channels, height, width]`` with values 0 .. 1.

    Equations 13 to 17, K1 .01, K2 .03: a Gaussian window of 11 x 11 pixels, standard deviation 1.5, at every place
    where it fits whole. Smaller images get the largest odd window that fits them. Channels are averaged.
    """
    window = _window(min(_WINDOW, *(size - (size + 1) % 2 for size in a.shape[-2:])))
    channels = [image.flatten(0, 1)[:, None].double() for image in (a, b)]

    def local(image: Tensor) -> Tensor:
        return conv2d(image, window)

    x, y = channels
    mean_x, mean_y = local(x), local(y)
    var_x, var_y = local(x * x) - mean_x**2, local(y * y) - mean_y**2
    together = local(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _C1) * (2 * together + _C2)
    likeness = likeness / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))
    return likeness.flatten(1).mean(1).reshape(a.shape[:2]).mean(1)


def _window(size: int) -> Tensor:
    at = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weights = torch.exp(-at.square() / (2 * _SIGMA**2))
    window = weights[:, None] * weights
    return (window / window.sum())[None, None]
