"""Inputs that mean nothing: what an owner can ask that no other training teaches an answer to."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from amulet_core.data import bounds
from amulet_core.schema import DataSchema

_GRID = 8


def random_inputs(schema: DataSchema, n: int, generator: torch.Generator) -> Tensor:
    """Return ``n`` possible inputs, float32 ``[n, *schema.shape]``, within the declared bounds.

    Images are patterns of at most 8 by 8 blocks, each of a colour of its own; any other row is uniform over what each
    feature can be: a whole number, one value of a one-hot group, a number within its bounds.
    """
    shape = schema.shape
    low, high = bounds(schema)
    if schema.modality == "image" and len(shape) == 3:
        blocks = torch.rand(n, shape[0], *(min(side, _GRID) for side in shape[1:]), generator=generator)
        return low + interpolate(blocks, size=shape[1:], mode="nearest") * (high - low)
    x = low.flatten() + torch.rand(n, schema.width, generator=generator) * (high - low).flatten()
    grouped = [feature for group in schema.feasible.one_hot for feature in group]
    whole = torch.tensor(sorted(set(schema.feasible.integer) - set(grouped)), dtype=torch.int64)
    x[:, whole] = _whole(low.flatten()[whole], high.flatten()[whole], n, generator)
    for group in schema.feasible.one_hot:
        places = torch.tensor(group)
        x[:, places] = 0.0
        chosen = places[torch.randint(len(group), (n,), generator=generator)]
        x[torch.arange(n), chosen] = 1.0
    return torch.minimum(torch.maximum(x.reshape(n, *shape), low), high)


def _whole(low: Tensor, high: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return whole numbers ``[n, k]``, uniform over those within the bounds ``[k]``."""
    least, most = low.ceil(), high.floor()
    return torch.minimum(least + (torch.rand(n, len(low), generator=generator) * (most - least + 1)).floor(), most)
