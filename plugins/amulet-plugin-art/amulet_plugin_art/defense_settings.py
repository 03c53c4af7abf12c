"""The settings of the defenses. Light."""

from amulet_core.components import Params
from pydantic import Field


class ReverseSigmoidParams(Params):
    """The settings of the reverse sigmoid, with the toolbox's defaults."""

    beta: float = Field(1.0, gt=0, le=1, description="how much is taken off what is sure")
    gamma: float = Field(0.1, gt=0, lt=1, description="how steeply that grows with the certainty")


class FeatureSqueezingParams(Params):
    """The settings of feature squeezing; the toolbox takes 8 bits, which undo nothing of pictures of 8 bits."""

    bits: int = Field(4, ge=1, le=16, description="a feature takes 2 to the power of so many levels")


class SpatialSmoothingParams(Params):
    """The settings of spatial smoothing."""

    window: int = Field(3, ge=2, le=64, description="height and width of the window whose median each pixel becomes")


class GaussianAugmentationParams(Params):
    """The settings of the augmentation; the toolbox's noise is 1 in the units of the inputs."""

    scale: float = Field(0.1, gt=0, le=1, description="standard deviation of the noise, as a fraction of each range")
    ratio: float = Field(1.0, gt=0, le=10, description="noisy copies for each row")
