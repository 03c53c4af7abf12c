"""VGG networks for small images (Simonyan and Zisserman, arXiv 1409.1556) with GroupNorm and one hidden layer."""

from typing import Final, NamedTuple

from torch import nn

from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.models import CapacityParams
from amulet_plugins_builtin.models.convolutions import Convolutional, normalised_convolution, refuse_other_data


class Stacks(NamedTuple):
    """The channels of the convolutions between poolings, and the width of the hidden layer after them."""

    channels: tuple[tuple[int, ...], ...]
    hidden: int


STACKS: Final = {
    "m1": Stacks(((32,), (64,), (128,)), 128),
    "m2": Stacks(((32, 32), (64, 64), (128, 128)), 128),
    "m3": Stacks(((64,), (128,), (256, 256), (512, 512), (512, 512)), 512),
    "m4": Stacks(((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)), 512),
}
"""``m3`` and ``m4`` have the convolutions of the paper's configurations A (VGG-11) and D (VGG-16)."""


def build(params: CapacityParams, schema: DataSchema) -> nn.Module:
    """Make a VGG network of the given capacity, with the default initialisation of torch.

    3x3 convolutions with GroupNorm and ReLU, a pooling after each stack, then one hidden layer. Poolings round up, so
    that the same layers fit any image; the paper's three layers after them are made for images of 224 pixels, and one
    takes their place.

    Raises:
        ValueError: if the rows are no images, or smaller than 8x8.
    """
    refuse_other_data("vgg", params, schema)
    stacks, inner = STACKS[params.capacity], schema.shape[0]
    layers: list[nn.Module] = []
    for stack in stacks.channels:
        for outer in stack:
            layers += [*normalised_convolution(inner, outer), nn.ReLU()]
            inner = outer
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    layers.append(nn.AdaptiveAvgPool2d(1))
    return Convolutional(schema, layers, flat=inner, hidden=stacks.hidden)
