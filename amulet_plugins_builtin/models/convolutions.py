"""What convolutional networks share: convolutions with GroupNorm, a hidden layer after them, and what they read."""

from collections.abc import Sequence
from typing import Final

from torch import Tensor, nn

from amulet_core.modules import Classifier, Normalise
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.models import CapacityParams, reads_images

CHANNELS_PER_GROUP: Final = 16
"""As in the best of the group sizes that Wu and He tried (arXiv 1803.08494, table 3)."""


def normalised_convolution(inner: int, outer: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps the image's size (but for ``stride``) and its GroupNorm; ``outer`` is 16 k."""
    return [
        nn.Conv2d(inner, outer, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.GroupNorm(outer // CHANNELS_PER_GROUP, outer),
    ]


def refuse_other_data(name: str, params: CapacityParams, schema: DataSchema) -> None:
    """Raise a ValueError if the rows are no images, or smaller than 8x8."""
    reasons = reads_images(name)(params, schema)
    if reasons:
        raise ValueError("; ".join(reasons))


class Convolutional(Classifier):
    """Convolutions of normalised images, then one hidden layer on the ``flat`` numbers that they leave of each."""

    def __init__(self, schema: DataSchema, layers: Sequence[nn.Module], *, flat: int, hidden: int) -> None:
        """Take the convolutions, and make a hidden layer and a head with one logit a class."""
        super().__init__()
        self.normalise = Normalise(schema)
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Sequential(nn.Linear(flat, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, len(schema.classes))

    def features(self, x: Tensor) -> Tensor:
        """Return the hidden layer ``[n, h]`` of images ``[n, channels, height, width]``."""
        out: Tensor = self.hidden(self.convolutions(self.normalise(x)))
        return out
