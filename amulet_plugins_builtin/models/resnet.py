"""Residual networks for small images (He et al., arXiv 1512.03385, section 4.2) with GroupNorm for BatchNorm."""

from itertools import pairwise
from typing import Final, NamedTuple

from torch import Tensor, nn

from amulet_core.modules import Classifier, Normalise
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.models import CapacityParams
from amulet_plugins_builtin.models.convolutions import normalised_convolution, refuse_other_data


class Stages(NamedTuple):
    """The channels of each stage, and how many blocks each has; all stages but the first halve the image."""

    channels: tuple[int, ...]
    blocks: int


STAGES: Final = {
    "m1": Stages((16, 32, 64), 1),
    "m2": Stages((16, 32, 64), 3),
    "m3": Stages((64, 128, 256, 512), 1),
    "m4": Stages((64, 128, 256, 512), 2),
}
"""The 6n + 2 layers of the paper's section 4.2 for n = 1, which is not among its own, and for n = 3 (ResNet-20); then
one block a stage of its section 4.1 (10 layers), and two (ResNet-18), with a stem for small images."""


class Block(nn.Module):
    """Two convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        """Make the layers; none works in place, as the shortcut reads the same input."""
        super().__init__()
        self.residual = nn.Sequential(
            *normalised_convolution(inner, outer, stride=stride), nn.ReLU(), *normalised_convolution(outer, outer)
        )
        same = inner == outer and stride == 1
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(*normalised_convolution(inner, outer, kernel=1, stride=stride))
        )
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[n, outer, h / stride, w / stride]`` of ``[n, inner, h, w]``."""
        out: Tensor = self.activation(self.residual(x) + self.shortcut(x))
        return out


class Residual(Classifier):
    """A stem of one convolution, stages of blocks, and the mean over the image as features."""

    def __init__(self, schema: DataSchema, stages: Stages) -> None:
        """Make the layers for images ``schema.shape``, and a head with one logit a class."""
        super().__init__()
        first = stages.channels[0]
        self.normalise = Normalise(schema)
        self.stem = nn.Sequential(*normalised_convolution(schema.shape[0], first), nn.ReLU())
        blocks: list[nn.Module] = []
        for index, (inner, outer) in enumerate(pairwise((first, *stages.channels))):
            blocks.append(Block(inner, outer, stride=2 if index else 1))
            blocks += [Block(outer, outer, stride=1) for _ in range(stages.blocks - 1)]
        self.blocks = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(stages.channels[-1], len(schema.classes))

    def features(self, x: Tensor) -> Tensor:
        """Return the mean of the last stage ``[n, channels]`` of images ``[n, channels, height, width]``."""
        out: Tensor = self.blocks(self.stem(self.normalise(x)))
        return out


def build(params: CapacityParams, schema: DataSchema) -> nn.Module:
    """Make a residual network of the given capacity, with the default initialisation of torch.

    Raises:
        ValueError: if the rows are no images, or smaller than 8x8.
    """
    refuse_other_data("resnet", params, schema)
    return Residual(schema, STAGES[params.capacity])
