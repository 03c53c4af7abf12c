"""What the deeper convolutional networks share: a 3x3 convolution followed by GroupNorm."""

from typing import Final

from torch import nn

CHANNELS_PER_GROUP: Final = 16
"""As in the best of the group sizes that Wu and He tried (arXiv 1803.08494, table 3)."""


def normalised_convolution(inner: int, outer: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps the image's size (but for ``stride``) and its GroupNorm; ``outer`` is 16 k."""
    return [
        nn.Conv2d(inner, outer, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.GroupNorm(outer // CHANNELS_PER_GROUP, outer),
    ]
