"""Labeled Faces in the Wild (Huang et al. 2007) with the attributes of Kumar et al. (2009), from a folder.

There is no download: torchvision's source is gone, and scikit-learn's has no attributes and keeps pickles.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amulet_core.data import Data
from amulet_plugins_builtin.catalogue.more_datasets import LfwParams
from amulet_plugins_builtin.datasets.attributes import faces, refuse_unknown
from amulet_plugins_builtin.datasets.pictures import files
from amulet_plugins_builtin.datasets.places import DATA, data_folder

FOLDERS: Final = ("lfw", "lfw_funneled", "lfw-deepfunneled")
ATTRIBUTES: Final = "lfw_attributes.txt"


def lfw(params: LfwParams) -> Data:
    """Return the faces: x ``[n, 3, size, size]`` in 0 .. 1, y and z attributes (1: its score is above 0).

    Rows are those of the list of attributes, in its order.

    Raises:
        FileNotFoundError: if the pictures or the list are not in AMULET_DATA.
        RequestError: if an attribute is unknown, or pictures of the list are not there.
        ValueError: if the list is damaged, or pictures cannot be decoded.
    """
    home = data_folder()
    folder = next((home / name for name in FOLDERS if (home / name).is_dir()), None) if home else None
    if home is None or folder is None or not (home / ATTRIBUTES).is_file():
        where = (
            f"{home} ({DATA} names it) lacks "
            if home
            else f"the variable {DATA} is not set; it must name a folder with "
        )
        raise FileNotFoundError(
            f"lfw: {where}a folder of pictures ({', '.join(FOLDERS)}) or the list {ATTRIBUTES}: put both there"
        )
    names, scores = _attributes(home / ATTRIBUTES)
    asked = {"label": [params.label], "sensitive": params.sensitive}
    refuse_unknown("lfw", list(scores), asked, folder=folder, names=names)
    return faces(
        files(folder, names),
        scores[params.label] > 0,
        {name: scores[name] > 0 for name in params.sensitive},
        size=params.size,
        name=params.label,
        whose="lfw",
    )


def _attributes(path: Path) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """Read the list: comments, of which the last names the columns, then person, number of the picture and scores."""
    lines = [line.rstrip("\r\n").split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    comments, rows = ([one for one in lines if one[0].startswith("#") is hashed] for hashed in (True, False))
    header = comments[-1][1:] if comments else []
    wrong = [row[0] for row in rows if len(row) != len(header) or not _is_picture(*row[:2])]
    if header[:2] != ["person", "imagenum"] or wrong or not rows:
        found = (
            f"{len(wrong)} lines have another form (first: {wrong[0]})" if wrong else f"the columns are {header[:3]}"
        )
        raise ValueError(f"lfw: {path} is no list of person, imagenum and attributes: {found}; put a whole copy there")
    try:
        table = np.array([row[2:] for row in rows], dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"lfw: {path} holds scores that are no numbers ({error}); put a whole copy there") from error
    if not np.isfinite(table).all():
        person, number = rows[int(np.argmax(~np.isfinite(table).all(1)))][:2]
        raise ValueError(
            f"lfw: {path} holds scores that are not finite (first: {person} {number}); put a whole copy there"
        )
    people = [(row[0].replace(" ", "_"), int(row[1])) for row in rows]
    names = [f"{person}/{person}_{number:04d}.jpg" for person, number in people]
    return names, {name: table[:, column] for column, name in enumerate(header[2:])}


def _is_picture(person: str, number: str = "") -> bool:
    return bool(person) and "/" not in person and number.isdecimal()
