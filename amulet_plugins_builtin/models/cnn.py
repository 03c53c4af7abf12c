"""A convolutional network in four capacities, in the manner of LeCun et al. (1998), for images of any size."""

from itertools import pairwise
from typing import Final, NamedTuple

from torch import nn

from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.models import CapacityParams
from amulet_plugins_builtin.models.convolutions import Convolutional, refuse_other_data


class Widths(NamedTuple):
    """The channels of each convolution, and the width of the hidden layer after them."""

    channels: tuple[int, ...]
    hidden: int


WIDTHS: Final = {
    "m1": Widths((16, 32), 64),
    "m2": Widths((32, 64), 128),
    "m3": Widths((32, 64, 128), 128),
    "m4": Widths((64, 128, 256), 256),
}
_POOLED: Final = 4
_HALVED: Final = 2


def build(params: CapacityParams, schema: DataSchema) -> nn.Module:
    """Make a convolutional network of the given capacity, with the default initialisation of torch.

    3x3 convolutions with ReLU, the first two each halving the image, then one hidden layer. The last pooling is
    adaptive: an image of any size ends in 4x4 places, one under 16x16 in fewer (2x2 from 8x8).

    Raises:
        ValueError: if the rows are no images, or smaller than 8x8.
    """
    refuse_other_data("cnn", params, schema)
    widths = WIDTHS[params.capacity]
    height, width = (min(_POOLED, size // 2**_HALVED) for size in schema.shape[1:])
    layers: list[nn.Module] = []
    for index, (inner, outer) in enumerate(pairwise((schema.shape[0], *widths.channels))):
        layers += [nn.Conv2d(inner, outer, kernel_size=3, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if index < _HALVED else []
    layers.append(nn.AdaptiveAvgPool2d((height, width)))
    return Convolutional(schema, layers, flat=widths.channels[-1] * height * width, hidden=widths.hidden)
