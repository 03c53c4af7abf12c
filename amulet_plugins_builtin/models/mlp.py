"""A multilayer perceptron with the four capacities of Waheed et al. (arXiv 2509.12386)."""

from itertools import pairwise
from typing import Final

from torch import Tensor, nn

from amulet_core.modules import Classifier, Normalise
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.models import CapacityParams

HIDDEN: Final = {
    "m1": (128, 256, 128),
    "m2": (256, 512, 256),
    "m3": (512, 1024, 512),
    "m4": (512, 1024, 1024, 512),
}


class Perceptron(Classifier):
    """Affine layers with ReLU between them, on flattened and normalised rows."""

    def __init__(self, schema: DataSchema, hidden: tuple[int, ...]) -> None:
        """Make hidden layers of these widths, and a head with one logit a class."""
        super().__init__()
        self._row_axes = len(schema.shape)
        self.normalise = Normalise(schema)
        layers = [(nn.Linear(inner, outer), nn.ReLU()) for inner, outer in pairwise((schema.width, *hidden))]
        self.hidden = nn.Sequential(*(module for layer in layers for module in layer))
        self.head = nn.Linear(hidden[-1], len(schema.classes))

    def features(self, x: Tensor) -> Tensor:
        """Return the last hidden layer ``[n, h]`` of inputs ``[n, *schema.shape]``; axes between stay as they are."""
        out: Tensor = self.hidden(self.normalise(x).flatten(-self._row_axes))
        return out


def build(params: CapacityParams, schema: DataSchema) -> nn.Module:
    """Make a perceptron of the given capacity for rows of any shape, with the default initialisation of torch."""
    return Perceptron(schema, HIDDEN[params.capacity])
