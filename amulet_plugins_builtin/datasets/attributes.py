"""Faces with attributes that are there or not: one is to be predicted, others form groups."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from amulet_core.data import Data, make_data
from amulet_core.errors import RequestError, did_you_mean
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_plugins_builtin.datasets.pictures import Picture, Shape, decoded


def refuse_unknown(
    whose: str, known: Sequence[str], asked: Mapping[str, Sequence[str]], *, folder: Path, names: Sequence[str]
) -> None:
    """Raise a RequestError with the attributes asked for that there are not, and the pictures not in ``folder``.

    ``asked`` has the attributes by the parameter that names them.
    """
    problems = [
        f'{parameter} names the unknown attribute "{name}"{did_you_mean(name, known)}'
        for parameter, names in asked.items()
        for name in names
        if name not in known
    ]
    lacking = [name for name in names if not (folder / name).is_file()]
    if lacking:
        problems.append(f"{len(lacking)} pictures of the list are not in {folder} (first: {lacking[0]})")
    if problems:
        raise RequestError(*(f"{whose}: {text}" for text in problems))


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
