"""Inputs in units of their features' ranges (0 .. 1), in which reconstructions are searched for and compared."""

from torch import Tensor

from amulet_core.data import bounds
from amulet_core.feasible import span
from amulet_core.schema import DataSchema


def to_units(x: Tensor, schema: DataSchema) -> Tensor:
    """Return ``x`` ``[..., *schema.shape]`` scaled to 0 .. 1 by the data's bounds."""
    return (x - bounds(schema)[0]) / span(schema)


def unscaled(u: Tensor, schema: DataSchema) -> Tensor:
    """Return the inputs that ``u`` ``[..., *schema.shape]`` stands for, wherever they lie."""
    return bounds(schema)[0] + u * span(schema)


def from_units(u: Tensor, schema: DataSchema) -> Tensor:
    """Return the inputs within the data's bounds that lie nearest to ``u`` ``[..., *schema.shape]``, in units."""
    low, high = bounds(schema)
    return unscaled(u, schema).clamp(low, high)


def total_variation(u: Tensor) -> Tensor:
    """Return the mean absolute step, down and across, of each image ``[n, channels, height, width]``, ``[n]``.

    The prior of smooth images: Geiping et al. 2003.14053, equation 4 (anisotropic).
    """
    down, across = u.diff(dim=-2).abs().flatten(1).mean(1), u.diff(dim=-1).abs().flatten(1).mean(1)
    return down + across
