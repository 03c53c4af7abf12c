"""Writing a pattern into inputs, within what the data allow."""

import torch
from torch import Tensor

from amulet_core.data import bounds
from amulet_core.feasible import project
from amulet_core.schema import DataSchema


def written(x: Tensor, pattern: Tensor, where: Tensor, schema: DataSchema, *, blend: float) -> Tensor:
    """Return ``x [n, ...]`` with ``pattern`` mixed in at the features ``where``, both of a row's shape.

    Immutable features stay as they are, integer features and one-hot groups get a possible value: below a ``blend`` of
    one half a group keeps its own.
    """
    mixed = (1 - blend) * x + blend * pattern
    return torch.where(where, project(torch.where(where, mixed, x), x, schema, norm="linf", epsilon=1.0), x)


def at_level(schema: DataSchema, level: float | Tensor) -> Tensor:
    """Return the input whose features lie at this fraction of their ranges, float32 ``schema.shape``."""
    low, high = bounds(schema)
    return low + level * (high - low)
