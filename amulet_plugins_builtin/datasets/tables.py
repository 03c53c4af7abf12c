"""Tables to rows: an embedded CSV becomes x in natural units, with one-hot categories and declared bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from lzma import decompress

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_plugins_builtin.catalogue.datasets import TableParams


@dataclass(frozen=True)
class Number:
    """A column of whole numbers, its public bounds, and whether an adversary may change it."""

    name: str
    low: int
    high: int
    mutable: bool = False
    sensitive: bool = False


@dataclass(frozen=True)
class Category:
    """A column of labels, all of them public; it becomes one immutable feature a label."""

    name: str
    labels: tuple[str, ...]
    sensitive: bool = False


Column = Number | Category


@dataclass(frozen=True)
class Group:
    """A sensitive attribute: its name, the label of each value, and the values ``[n]`` of the rows.

    ``column`` is the column that holds it, where that has another name.
    """

    name: str
    labels: tuple[str, ...]
    values: NDArray[np.int64]
    column: str = ""


@dataclass(frozen=True)
class Table:
    """What there is to know of a table: its frame, its columns, its groups, and the label of each row ``[n]``."""

    frame: pd.DataFrame
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    classes: tuple[str, str]
    y: NDArray[np.int64]


def read(name: str) -> pd.DataFrame:
    """Read the embedded table ``name``."""
    packed = files(__package__).joinpath(f"{name}.csv.xz").read_bytes()
    return pd.read_csv(BytesIO(decompress(packed)), keep_default_na=False, engine="c")


def codes(values: "pd.Series[str]", labels: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of each value ``[n]`` among the labels.

    Raises:
        ValueError: if a value is not among them.
    """
    places = pd.Index(list(labels)).get_indexer(pd.Index(values)).astype(np.int64)
    if (places < 0).any():
        unknown = sorted(set(values[places < 0]))
        raise ValueError(f"the column {values.name} holds values that its codebook lacks: {unknown[:5]}")
    return places


def age_groups(years: "pd.Series[int]", *, upper: tuple[int, ...]) -> Group:
    """Group by age: a group ends with each year of ``upper``, and the last one has no end."""
    starts = (0, *(year + 1 for year in upper[:-1]))
    labels = tuple(f"{start} to {end}" if start else f"up to {end}" for start, end in zip(starts, upper, strict=True))
    values = np.searchsorted(np.array(upper), years.to_numpy(), side="left").astype(np.int64)
    return Group("age", (*labels, f"over {upper[-1]}"), values)


def to_data(table: Table, params: TableParams) -> Data:
    """Return the table as rows: x without the sensitive and the dropped columns, z the groups."""
    columns = [c for c in table.columns if (params.sensitive_in_x or not c.sensitive) and c.name not in params.drop]
    x = np.hstack([_features(table.frame[column.name], column) for column in columns])
    names = tuple(name for column in columns for name in _names(column))
    spans = {column.name: tuple(span) for column, span in _placed(columns)}
    schema = DataSchema(
        modality="tabular",
        shape=(len(names),),
        classes=table.classes,
        sensitive=tuple(
            Sensitive(name=group.name, categories=group.labels, features=spans.get(group.column or group.name, ()))
            for group in table.groups
        ),
        feasible=_feasible(columns),
        features=names,
    )
    z = torch.from_numpy(np.stack([group.values for group in table.groups], axis=1))
    return make_data(torch.from_numpy(x), torch.tensor(table.y), schema, z=z)


def _features(values: "pd.Series[str]", column: Column) -> NDArray[np.float32]:
    if isinstance(column, Number):
        return values.to_numpy(dtype=np.float32)[:, None]
    return np.eye(len(column.labels), dtype=np.float32)[codes(values, column.labels)]


def _names(column: Column) -> tuple[str, ...]:
    if isinstance(column, Number):
        return (column.name,)
    return tuple(f"{column.name}={label}" for label in column.labels)


def _placed(columns: Sequence[Column]) -> list[tuple[Column, range]]:
    ends = np.cumsum([len(_names(column)) for column in columns]).tolist()
    return [(column, range(end - len(_names(column)), end)) for end, column in zip(ends, columns, strict=True)]


def _feasible(columns: Sequence[Column]) -> Feasible:
    placed = _placed(columns)
    bounds = [(c.low, c.high) if isinstance(c, Number) else (0, 1) for c, span in placed for _ in span]
    return Feasible(
        low=tuple(float(low) for low, _ in bounds),
        high=tuple(float(high) for _, high in bounds),
        immutable=tuple(i for c, span in placed if not (isinstance(c, Number) and c.mutable) for i in span),
        one_hot=tuple(tuple(span) for c, span in placed if isinstance(c, Category)),
        integer=tuple(span[0] for c, span in placed if isinstance(c, Number)),
    )
