"""Columns of a user's table as labels, groups and numbers; each function adds what is wrong to a list of problems."""

from collections.abc import Sequence
from math import isfinite
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amulet_core.errors import did_you_mean
from amulet_plugins_builtin.catalogue.own_datasets import OwnParams
from amulet_plugins_builtin.datasets.cells import Cells, some
from amulet_plugins_builtin.datasets.doubtful import advice, spelling_problems
from amulet_plugins_builtin.datasets.tables import Group

MOST_CLASSES: Final = 1000
MOST_GROUPS: Final = 50


class Labels(NamedTuple):
    """The possible values of a column, and the place of each row's among them ``[n]``."""

    names: tuple[str, ...]
    places: NDArray[np.int64]


def unknown_columns(cells: Cells, asked: dict[str, Sequence[str]]) -> list[str]:
    """List the columns asked for that the table does not have, by the parameter that names them."""
    there = list(cells.columns)
    problems = [
        f'{parameter} names the column "{name}", which is not there{did_you_mean(name, there)}'
        for parameter, names in asked.items()
        for name in names
        if name not in there
    ]
    return [*problems, f"the columns are {', '.join(there)}"] if problems else []


def known_rows(cells: Cells, used: Sequence[str], params: OwnParams, problems: list[str]) -> Cells:
    """Return the rows whose values are all known (maybe none), and add where there are others, unless these may go."""
    unknown = frozenset(params.unknown)
    holes = {name: [i for i, cell in enumerate(cells.columns[name]) if cell in unknown] for name in used}
    holes = {name: rows for name, rows in holes.items() if rows}
    dropped = {i for rows in holes.values() for i in rows}
    if holes and params.missing == "error":
        counts = ", ".join(f"{name} ({len(rows)}, first in {cells.places[rows[0]]})" for name, rows in holes.items())
        problems.append(
            f"there are unknown values in {counts}: fill them, or set missing to drop to leave out their rows "
            f"({len(cells) - len(dropped):,} of {len(cells):,} would be kept)"
        )
    if len(dropped) == len(cells):
        problems.append("every row has an unknown value: leave out the columns that are mostly unknown")
    kept = [i for i in range(len(cells)) if i not in dropped]
    columns = {name: [cells.columns[name][i] for i in kept] for name in used}
    return Cells(columns, [cells.places[i] for i in kept], [cells.ids[i] for i in kept])


def label_of(cells: Cells, params: OwnParams, problems: list[str]) -> Labels:
    """Return the classes and each row's."""
    labels = labelled(cells, params.label, params.classes, problems)
    if not params.classes:
        otherwise = ", or name each in classes if they are several"
        problems += spelling_problems(params.label, labels.names, otherwise=otherwise)
    if not 2 <= len(labels.names) <= MOST_CLASSES:
        problems.append(
            f"the label {params.label} has {len(labels.names)} different values ({some(list(labels.names))}): "
            f"expected 2 to {MOST_CLASSES}"
        )
    return labels


def group_of(cells: Cells, name: str, params: OwnParams, problems: list[str]) -> Group:
    """Return a sensitive column as a group: of numbers by the ends that ``groups`` declares, else of its values."""
    if name in params.groups:
        ends = params.groups[name]
        values = numbers(cells, name)
        starts = ("up to", *(f"over {end:g} to" for end in ends[:-1]))
        labels = (*(f"{start} {end:g}" for start, end in zip(starts, ends, strict=True)), f"over {ends[-1]:g}")
        return Group(name, labels, np.searchsorted(np.array(ends), values, side="left").astype(np.int64))
    found = labelled(cells, name, (), problems)
    problems += spelling_problems(name, found.names)
    if len(found.names) < 2:
        problems.append(f"the sensitive column {name} has one value only ({some(list(found.names))}): leave it out")
    if len(found.names) > MOST_GROUPS:
        problems.append(
            f"the sensitive column {name} has {len(found.names)} different values: if they are numbers, give the "
            f"ends of groups, such as groups: {{{name}: [25, 45]}}"
        )
    return Group(name, found.names, found.places)


def labelled(cells: Cells, name: str, declared: Sequence[str], problems: list[str]) -> Labels:
    """Return the values of a column as places among the declared ones, or among those found (numbers by size)."""
    values = cells.columns[name]
    names = tuple(declared) or tuple(sorted(set(values), key=_order))
    place = {one: index for index, one in enumerate(names)}
    strange = sorted(set(values) - set(names))
    if strange:
        problems.append(f"the column {name} holds values that are not declared: {some(strange)}")
    return Labels(names, np.array([place.get(value, 0) for value in values], dtype=np.int64))


def number_problems(cells: Cells, rows: Cells, names: Sequence[str], params: OwnParams) -> list[str]:
    """List the columns of numbers of which ``rows`` hold something else, counted in the whole table ``cells``."""
    problems = []
    for name in names:
        if all(_number(cell) is not None for cell in rows.columns[name]):
            continue
        known = [i for i, cell in enumerate(cells.columns[name]) if cell not in params.unknown]
        wrong = [i for i in known if _number(cells.columns[name][i]) is None]
        values, texts = ([cells.columns[name][i] for i in found] for found in (known, wrong))
        todo = advice(values, texts, grouped=name in params.groups)
        problems.append(
            f"in {len(wrong):,} of {len(cells):,} rows the column {name} is no finite number (first: "
            f'"{texts[0]}" in {cells.places[wrong[0]]}): {todo}'
        )
    return problems


def numbers(cells: Cells, name: str) -> NDArray[np.float64]:
    """Return a column of numbers ``[n]``; not a number is what ``number_problems`` names."""
    parsed = [_number(cell) for cell in cells.columns[name]]
    return np.array([np.nan if number is None else number for number in parsed], dtype=np.float64)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if isfinite(value) and "_" not in cell else None


def _order(value: str) -> tuple[bool, float, str]:
    number = _number(value)
    return (number is None, 0.0 if number is None else number, value)
