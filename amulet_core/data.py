"""Rows: inputs, labels, sensitive attributes, weights and stable ids, checked once where they cross a boundary."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from amulet_core.schema import DataSchema


@dataclass(frozen=True)
class Data:
    """Rows of a data set.

    ``x`` float32 ``[n, *schema.shape]`` within ``schema.feasible``'s bounds; ``y`` int64 ``[n]``; ``z`` int64
    ``[n, len(schema.sensitive)]``; ``w`` float32 ``[n]`` sample weights; ``id`` int64 ``[n]``, stable and unique.
    ``notes`` are what whoever loaded the rows has to say of them to the user (that some were left out, say): they are
    told when a run starts, in its forecast and in the report, and no component is handed them.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    w: Tensor
    id: Tensor
    schema: DataSchema
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.y)

    def take(self, rows: Tensor) -> "Data":
        """Return the rows at the positions (or under the mask) ``rows``."""
        return replace(self, x=self.x[rows], y=self.y[rows], z=self.z[rows], w=self.w[rows], id=self.id[rows])


def make_data(
    x: Tensor,
    y: Tensor,
    schema: DataSchema,
    *,
    z: Tensor | None = None,
    ids: Tensor | None = None,
    notes: Sequence[str] = (),
) -> Data:
    """Make rows with unit weights, and check them as ``checked`` does."""
    n = len(y)
    if z is None:
        z = torch.zeros(n, 0, dtype=torch.int64)
    if ids is None:
        ids = torch.arange(n)
    return checked(Data(x=x, y=y, z=z, w=torch.ones(n), id=ids, schema=schema, notes=tuple(notes)), whose="data")


def checked(data: Data, *, whose: str) -> Data:
    """Return ``data``, or raise a ValueError that names every rule it breaks and ``whose`` it is."""
    problems = _problems(data)
    if problems:
        raise ValueError(f"{whose}: " + "; ".join(problems))
    return data


def bounds(schema: DataSchema) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest possible input, each float32 ``schema.shape``."""
    low, high = (torch.as_tensor(bound, dtype=torch.float32) for bound in (schema.feasible.low, schema.feasible.high))
    return (
        low.expand(schema.width).reshape(schema.shape).clone(),
        high.expand(schema.width).reshape(schema.shape).clone(),
    )


def _problems(data: Data) -> list[str]:
    n, schema = len(data.y), data.schema
    expected = {
        "x": (torch.float32, (n, *schema.shape)),
        "y": (torch.int64, (n,)),
        "z": (torch.int64, (n, len(schema.sensitive))),
        "w": (torch.float32, (n,)),
        "id": (torch.int64, (n,)),
    }
    problems = []
    for name, (dtype, shape) in expected.items():
        value: Tensor = getattr(data, name)
        if value.dtype != dtype or tuple(value.shape) != shape:
            problems.append(f"{name} is {value.dtype} {list(value.shape)}, expected {dtype} {list(shape)}")
    return problems or _value_problems(data)


def _value_problems(data: Data) -> list[str]:
    schema, problems = data.schema, []
    if len(data) == 0:
        return ["it has no rows"]
    finite = torch.isfinite(data.x).flatten(1).all(1)
    if not finite.all():
        rows = data.id[~finite]
        problems.append(f"x is not finite in {len(rows)} rows (ids {rows[:3].tolist()}): fill or drop unknown values")
    else:
        low, high = bounds(schema)
        outside = ((data.x < low) | (data.x > high)).flatten(1).any(1)
        if outside.any():
            rows = data.id[outside]
            problems.append(f"x leaves its declared bounds in {len(rows)} rows (ids {rows[:3].tolist()})")
    if data.y.min() < 0 or data.y.max() >= len(schema.classes):
        problems.append(f"y must lie in 0 .. {len(schema.classes) - 1}, found {data.y.min()} .. {data.y.max()}")
    for column, attribute in enumerate(schema.sensitive):
        z = data.z[:, column]
        if z.min() < 0 or z.max() >= len(attribute.categories):
            problems.append(f"{attribute.name} must lie in 0 .. {len(attribute.categories) - 1}")
    if not torch.isfinite(data.w).all() or (data.w < 0).any():
        problems.append("w must be finite and not negative")
    if len(data.id.unique()) != len(data):
        problems.append("id must be unique")
    return problems
