"""Pictures of the user's own as rows: a folder with one subfolder a class, or with a CSV file of annotations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from amulet_core.data import Data, make_data
from amulet_core.errors import RequestError
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_plugins_builtin.catalogue.own_datasets import ImageFolderParams
from amulet_plugins_builtin.datasets.cells import Cells, read_cells, some
from amulet_plugins_builtin.datasets.kept import kept_notes
from amulet_plugins_builtin.datasets.own_columns import group_of, known_rows, label_of, number_problems, unknown_columns
from amulet_plugins_builtin.datasets.pictures import SUFFIXES, Shape, decoded, files
from amulet_plugins_builtin.datasets.places import place_of

_WHOSE: Final = "image-folder"
_IGNORED: Final = ("Thumbs.db", "desktop.ini", "__MACOSX")
"""What systems leave in folders, beside all whose name starts with a dot; pictures in there are nobody's."""


def image_folder(params: ImageFolderParams) -> Data:
    """Return the pictures: x ``[n, channels, size, size]`` in 0 .. 1.

    Rows stand in the order of the annotations, or of the sorted names; an id is a row's place before any is dropped.

    Raises:
        RequestError: with everything that is wrong with the folder, or with what is said of it; if there is no Pillow.
        ValueError: naming the pictures that cannot be decoded.
    """
    folder = place_of(params.path, whose=_WHOSE)
    if not folder.is_dir():
        raise RequestError(f"{_WHOSE}: {folder} is no folder: name the folder that holds the pictures in path")
    problems: list[str] = []
    cells = _annotated(folder, params, problems) if params.annotations else _by_subfolder(folder, params, problems)
    _refuse(folder, problems)
    used = [params.file, params.label, *params.sensitive]
    rows = known_rows(cells, used, params, problems) if params.annotations else cells
    if len(rows) == 0:
        _refuse(folder, problems)
    problems += number_problems(cells, rows, list(params.groups), params)
    label = label_of(rows, params, problems)
    groups = [group_of(rows, name, params, problems) for name in params.sensitive]
    names = rows.columns[params.file]
    problems += _file_problems(folder, rows, names) if params.annotations else []
    _refuse(folder, problems)
    shape = Shape(channels=1 if params.colour == "grey" else 3, size=params.size)
    schema = DataSchema(
        modality="image",
        shape=(shape.channels, shape.size, shape.size),
        classes=label.names,
        sensitive=tuple(Sensitive(name=group.name, categories=group.labels) for group in groups),
        feasible=Feasible(low=0.0, high=1.0),
    )
    z = torch.from_numpy(np.stack([group.values for group in groups], axis=1)) if groups else None
    x = decoded(files(folder, names), shape, whose=f"{_WHOSE}: {folder}")
    notes = [f"{_WHOSE}: {params.path}: {text}" for text in kept_notes(cells, rows, params)]
    return make_data(x, torch.from_numpy(label.places), schema, z=z, ids=torch.tensor(rows.ids), notes=notes)


def _refuse(folder: Path, problems: Sequence[str]) -> None:
    if problems:
        raise RequestError(*(f"{_WHOSE}: {folder}: {text}" for text in problems))


def _annotated(folder: Path, params: ImageFolderParams, problems: list[str]) -> Cells:
    path = folder / params.annotations
    if not path.is_file():
        raise RequestError(
            f"{_WHOSE}: {folder} lacks the annotations {params.annotations}: put them there, or name them"
        )
    cells = read_cells(path, delimiter=params.delimiter, whose=_WHOSE)
    problems += unknown_columns(
        cells, {"file": [params.file], "label": [params.label], "sensitive": list(params.sensitive)}
    )
    return cells


def _by_subfolder(folder: Path, params: ImageFolderParams, problems: list[str]) -> Cells:
    found = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
    seen = [name for name in found if not _ignored(name)]
    loose = [name for name in seen if name.count("/") != 1]
    others = [name for name in seen if name not in loose and not name.lower().endswith(SUFFIXES)]
    if loose:
        problems.append(f"{some(loose)} is in no subfolder of it that could be its class, or in one of a subfolder")
    if others:
        problems.append(f"{some(others)} is no picture of a known kind ({', '.join(SUFFIXES)})")
    if not seen:
        problems.append(f"it holds no pictures ({', '.join(SUFFIXES)})")
    columns = {params.file: seen, params.label: [name.partition("/")[0] for name in seen]}
    return Cells(columns, [f"the name {name}" for name in seen], list(range(len(seen))))


def _ignored(name: str) -> bool:
    return any(part.startswith(".") or part in _IGNORED for part in name.split("/"))


def _file_problems(folder: Path, rows: Cells, names: Sequence[str]) -> list[str]:
    home, problems = folder.resolve(), []
    outside = [name for name in names if not (folder / name).resolve().is_relative_to(home)]
    absent = [name for name in names if name not in outside and not (folder / name).is_file()]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    for wrong, what in (
        (outside, "outside of it, where nothing is read"),
        (absent, "not there"),
        (twice, "annotated more than once"),
    ):
        if wrong:
            first = rows.places[list(names).index(wrong[0])]
            problems.append(f"{len(wrong)} pictures of the annotations are {what}: {some(wrong)} ({first})")
    return problems
