"""What every built-in architecture shares: the normalisation layer, and hidden features beside the logits."""

from torch import Tensor, nn

from amulet_core.data import bounds
from amulet_core.schema import DataSchema


class Normalise(nn.Module):
    """Map each feature from its declared bounds to 0 .. 1.

    The bounds are public, so the layer reveals nothing of the training rows: statistics fitted on private rows
    would be a release of their own, with no finite epsilon.
    """

    low: Tensor
    width: Tensor

    def __init__(self, schema: DataSchema) -> None:
        """Take the bounds of ``schema``; they become buffers of shape ``schema.shape`` and are never trained."""
        super().__init__()
        low, high = bounds(schema)
        self.register_buffer("low", low)
        self.register_buffer("width", high - low)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` ``[..., *schema.shape]`` scaled to 0 .. 1."""
        return (x - self.low) / self.width


class Classifier(nn.Module):
    """A network whose logits are an affine function, ``head``, of its hidden features."""

    head: nn.Linear

    def features(self, x: Tensor) -> Tensor:
        """Return the hidden features ``[n, head.in_features]`` of inputs ``[n, *schema.shape]``."""
        raise NotImplementedError(f"{type(self).__name__} must define features(x)")

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]`` of inputs ``[n, *schema.shape]``."""
        logits: Tensor = self.head(self.features(x))
        return logits
