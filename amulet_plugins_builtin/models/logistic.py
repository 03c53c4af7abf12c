"""Logistic regression: logits are an affine function of the normalised row."""

from torch import Tensor, nn

from amulet_core.components import NoParams
from amulet_core.modules import Classifier, Normalise
from amulet_core.schema import DataSchema


class Logistic(Classifier):
    """One affine layer; the features are the normalised and flattened row itself."""

    def __init__(self, schema: DataSchema) -> None:
        """Make the layer, with one logit a class."""
        super().__init__()
        self._row_axes = len(schema.shape)
        self.normalise = Normalise(schema)
        self.head = nn.Linear(schema.width, len(schema.classes))

    def features(self, x: Tensor) -> Tensor:
        """Return rows ``[n, *schema.shape]`` as ``[n, width]`` in 0 .. 1; axes between stay as they are."""
        out: Tensor = self.normalise(x).flatten(-self._row_axes)
        return out


def build(params: NoParams, schema: DataSchema) -> nn.Module:  # noqa: ARG001 - there is nothing to set
    """Make logistic regression for rows of any shape, with the default initialisation of torch."""
    return Logistic(schema)
