"""A table of the user's own as rows: numbers within bounds, one-hot categories, groups."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from amulet_core.data import Data, make_data
from amulet_core.errors import RequestError
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_plugins_builtin.catalogue.own_datasets import TableFileParams
from amulet_plugins_builtin.datasets.cells import Cells, read_cells, some
from amulet_plugins_builtin.datasets.doubtful import identifier_problem, spelling_problems, tells_rows_apart
from amulet_plugins_builtin.datasets.kept import kept_notes
from amulet_plugins_builtin.datasets.own_columns import (
    group_of,
    known_rows,
    label_of,
    labelled,
    number_problems,
    numbers,
    unknown_columns,
)
from amulet_plugins_builtin.datasets.places import place_of

_WHOSE = "table-file"


class Feature(NamedTuple):
    """A column as features: their names, values ``[n, k]`` and bounds, and what is possible of them."""

    column: str
    names: tuple[str, ...]
    values: NDArray[np.float64]
    low: float
    high: float
    one_hot: bool
    integer: bool


def table_file(params: TableFileParams) -> Data:
    """Return the table's rows: x all columns but the label, the sensitive and the dropped ones.

    Numbers stay in their units; a column of whole numbers stays whole under attack. An id is a row's number in the
    file, from 0, whichever rows are dropped.

    Raises:
        RequestError: with everything that is wrong with the file, or with what is said of it.
    """
    path = place_of(params.path, whose=_WHOSE)
    cells = read_cells(path, delimiter=params.delimiter, whose=_WHOSE)
    _refuse(path, _column_problems(cells, params))
    inputs = _inputs(cells, params)
    problems = [] if inputs else ["no column is left for x: drop fewer, or set sensitive_in_x"]
    rows = known_rows(cells, list(dict.fromkeys((params.label, *params.sensitive, *inputs))), params, problems)
    if len(rows) == 0:
        _refuse(path, problems)
    problems += number_problems(cells, rows, _number_columns(inputs, params), params)
    label = label_of(rows, params, problems)
    groups = [group_of(rows, name, params, problems) for name in params.sensitive]
    features = [_feature(rows, name, params, problems) for name in inputs]
    _refuse(path, problems)
    spans = {feature.column: span for feature, span in _placed(features)}
    schema = DataSchema(
        modality="tabular",
        shape=(sum(len(feature.names) for feature in features),),
        classes=label.names,
        sensitive=tuple(
            Sensitive(name=group.name, categories=group.labels, features=spans.get(group.name, ())) for group in groups
        ),
        feasible=_feasible(features, params.immutable),
        features=tuple(name for feature in features for name in feature.names),
    )
    x = torch.from_numpy(np.hstack([feature.values for feature in features]).astype(np.float32))
    z = torch.from_numpy(np.stack([group.values for group in groups], axis=1)) if groups else None
    return make_data(
        x, torch.from_numpy(label.places), schema, z=z, ids=torch.tensor(rows.ids), notes=_notes(cells, rows, params)
    )


def _refuse(path: Path, problems: Sequence[str]) -> None:
    if problems:
        raise RequestError(*(f"{_WHOSE}: {path}: {text}" for text in problems))


def _column_problems(cells: Cells, params: TableFileParams) -> list[str]:
    return unknown_columns(
        cells,
        {
            "label": [params.label],
            "sensitive": params.sensitive,
            "categorical": params.categorical,
            "bounds": list(params.bounds),
            "immutable": params.immutable,
            "drop": params.drop,
        },
    )


def _inputs(cells: Cells, params: TableFileParams) -> list[str]:
    left_out = {params.label, *params.drop, *(() if params.sensitive_in_x else params.sensitive)}
    return [name for name in cells.columns if name not in left_out]


def _notes(cells: Cells, rows: Cells, params: TableFileParams) -> list[str]:
    """Say what was left out, and which categories are written in several ways (such groups and classes are refused)."""
    names = [name for name in params.categorical if name in rows.columns and name not in params.categories]
    otherwise = ", or list each in categories if they are several"
    alike = [text for name in names for text in spelling_problems(name, rows.columns[name], otherwise=otherwise)]
    return [f"{_WHOSE}: {params.path}: {text}" for text in (*kept_notes(cells, rows, params), *alike)]


def _number_columns(inputs: Sequence[str], params: TableFileParams) -> list[str]:
    return list(dict.fromkeys((*params.groups, *(name for name in inputs if name not in params.categorical))))


def _feature(rows: Cells, name: str, params: TableFileParams, problems: list[str]) -> Feature:
    if name in params.categorical:
        declared = params.categories.get(name, ())
        if not declared and tells_rows_apart(rows.columns[name]):
            problems.append(identifier_problem(name, rows.columns[name]))
            return Feature(name, (name,), np.zeros((len(rows), 1)), 0.0, 1.0, one_hot=True, integer=False)
        labels = labelled(rows, name, declared, problems)
        values = np.eye(len(labels.names))[labels.places]
        return Feature(
            name, tuple(f"{name}={one}" for one in labels.names), values, 0.0, 1.0, one_hot=True, integer=False
        )
    values = numbers(rows, name)
    low, high = params.bounds.get(name, (float(values.min()), float(values.max())))
    if np.isfinite(values).all():
        problems += _bound_problems(rows, name, values, params)
    whole = bool((values == values.round()).all())
    return Feature(name, (name,), values[:, None], low, high, one_hot=False, integer=whole)


def _bound_problems(rows: Cells, name: str, values: NDArray[np.float64], params: TableFileParams) -> list[str]:
    found = f"{values.min():g} to {values.max():g}"
    if name not in params.bounds:
        if params.other_bounds == "error":
            apart = tells_rows_apart(rows.columns[name])
            where = "drop (if it is an identifier, it must not be an input)" if apart else "categorical or in drop"
            return [
                f"the column {name} has no bounds (the file holds {found}): declare them in bounds, name it in "
                f"{where}, or set other_bounds to from-file"
            ]
        if np.float32(values.min()) == np.float32(values.max()):
            return [f"the column {name} is {values.min():g} in every row: name it in drop, or declare its bounds"]
        return []
    low, high = params.bounds[name]
    outside = [rows.places[i] for i in np.flatnonzero((values < low) | (values > high))]
    if outside:
        return [f"the column {name} leaves its bounds {low:g} to {high:g} (the file holds {found}) in {some(outside)}"]
    with np.errstate(over="ignore"):
        least, most = np.float32(low), np.float32(high)
    if not least < most or not np.isfinite([least, most]).all():
        return [
            f"the bounds {low!r} to {high!r} of the column {name} are not two numbers in single precision, in which "
            "models compute: change its unit, or subtract a constant from it"
        ]
    return []


def _placed(features: Sequence[Feature]) -> list[tuple[Feature, tuple[int, ...]]]:
    ends = np.cumsum([len(feature.names) for feature in features]).tolist()
    return [(one, tuple(range(end - len(one.names), end))) for end, one in zip(ends, features, strict=True)]


def _feasible(features: Sequence[Feature], immutable: Sequence[str]) -> Feasible:
    placed = _placed(features)
    return Feasible(
        low=tuple(feature.low for feature, span in placed for _ in span),
        high=tuple(feature.high for feature, span in placed for _ in span),
        immutable=tuple(i for feature, span in placed if feature.column in immutable for i in span),
        one_hot=tuple(span for feature, span in placed if feature.one_hot),
        integer=tuple(span[0] for feature, span in placed if feature.integer),
    )
