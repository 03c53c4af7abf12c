"""Faces with attributes that are there or not: one is to be predicted, others form groups."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from amulet_core.data import Data, make_data
from amulet_core.errors import did_you_mean
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_plugins_builtin.datasets.pictures import Picture, Shape, decoded


def attribute_problems(known: Sequence[str], asked: Mapping[str, Sequence[str]]) -> list[str]:
    """List the attributes asked for that there are not, by the parameter that names them."""
    return [
        f'{parameter} names the unknown attribute "{name}"{did_you_mean(name, known)}'
        for parameter, names in asked.items()
        for name in names
        if name not in known
    ]


def faces(
    pictures: Sequence[Picture],
    label: NDArray[np.bool_],
    groups: Mapping[str, NDArray[np.bool_]],
    *,
    size: int,
    name: str,
    whose: str,
) -> Data:
    """Return pictures as rows: y 1 where the attribute ``name`` is there; z likewise for each of ``groups``."""
    schema = DataSchema(
        modality="image",
        shape=(3, size, size),
        classes=(f"not {name}", name),
        sensitive=tuple(Sensitive(name=group, categories=(f"not {group}", group)) for group in groups),
        feasible=Feasible(low=0.0, high=1.0),
    )
    columns = [torch.from_numpy(values.astype(np.int64)) for values in groups.values()]
    z = torch.stack(columns, 1) if columns else None
    x = decoded(pictures, Shape(channels=3, size=size), whose=whose)
    return make_data(x, torch.from_numpy(label.astype(np.int64)), schema, z=z)
