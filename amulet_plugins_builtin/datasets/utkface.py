"""UTKFace (Zhang et al. 2017): faces whose file names say age, gender and race; or a pack of 10,000 small ones."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_plugins_builtin.catalogue.more_datasets import UtkfaceParams
from amulet_plugins_builtin.datasets.pictures import SUFFIXES, Picture, Shape, decoded, files, packed
from amulet_plugins_builtin.datasets.places import DATA, arrays_of, data_folder
from amulet_plugins_builtin.datasets.tables import Group, age_groups

GENDERS: Final = ("male", "female")
RACES: Final = ("White", "Black", "Asian", "Indian", "Other")
FOLDER: Final = "UTKFace"
PACK: Final = "utkface_32_10k_jpegpack.npz"
PACK_SHA256: Final = "5bcad59a58d3a0fb014d980605b507155dee4d3f518f733f44b4a89dd412890d"
_NAME: Final = re.compile(r"(\d{1,3})_([01])_([0-4])_\d+\D*", re.ASCII)
"""``[age]_[gender]_[race]_[date and time].jpg.chip.jpg``; a few published names lack a part."""


@dataclass(frozen=True)
class Faces:
    """Pictures with what is known of each: years of age, and places among ``GENDERS`` and ``RACES``, all ``[n]``."""

    pictures: list[Picture]
    age: NDArray[np.int64]
    gender: NDArray[np.int64]
    race: NDArray[np.int64]
    ids: NDArray[np.int64]


def utkface(params: UtkfaceParams, *, pack_sha256: str = PACK_SHA256) -> Data:
    """Return UTKFace: x ``[n, 3, size, size]`` in 0 .. 1; y gender, race or age group; z the other two.

    An id is a picture's place among the sorted names of the folder, or in the pack.

    Raises:
        FileNotFoundError: if the folder or the pack is not in AMULET_DATA.
        ValueError: naming the files whose names lack an attribute, or that cannot be decoded; or a damaged pack.
    """
    home = data_folder()
    path = home / (PACK if params.images == "jpegpack" else FOLDER) if home else None
    if path is None or not path.exists():
        missing = f"there is no {path} ({DATA} names the folder)" if path else f"the variable {DATA} is not set"
        raise FileNotFoundError(
            f"utkface: {missing}: put the folder {FOLDER} of the aligned and cropped faces there, or {PACK} and set "
            "images to jpegpack"
        )
    faces = _of_pack(path, pack_sha256) if params.images == "jpegpack" else _of_folder(path, params)
    groups = {
        "gender": Group("gender", GENDERS, faces.gender),
        "race": Group("race", RACES, faces.race),
        "age": age_groups(pd.Series(faces.age), upper=params.ages),
    }
    label = groups.pop(params.label)
    schema = DataSchema(
        modality="image",
        shape=(3, params.size, params.size),
        classes=label.labels,
        sensitive=tuple(Sensitive(name=group.name, categories=group.labels) for group in groups.values()),
        feasible=Feasible(low=0.0, high=1.0),
    )
    x = decoded(faces.pictures, Shape(channels=3, size=params.size), whose="utkface")
    z = torch.from_numpy(np.stack([group.values for group in groups.values()], axis=1))
    return make_data(x, torch.from_numpy(label.values), schema, z=z, ids=torch.from_numpy(faces.ids))


def _of_pack(path: Path, digest: str) -> Faces:
    arrays: dict[str, Any] = arrays_of(path, digest=digest, whose="utkface")
    age, gender, race = (arrays[name].astype(np.int64) for name in ("age", "gender", "race"))
    return Faces(packed(arrays["jpeg"], arrays["offset"], name="jpeg"), age, gender, race, np.arange(len(age)))


def _of_folder(folder: Path, params: UtkfaceParams) -> Faces:
    names = sorted(one.name for one in folder.iterdir() if one.suffix.lower() in SUFFIXES)
    if not names:
        raise FileNotFoundError(f"utkface: {folder} holds no pictures ({', '.join(SUFFIXES)}): put the faces there")
    parts = [_NAME.fullmatch(name) for name in names]
    odd = [name for name, found in zip(names, parts, strict=True) if found is None]
    if odd and params.missing == "error":
        shown = ", ".join(odd[:5]) + (f" and {len(odd) - 5} more" if len(odd) > 5 else "")
        raise ValueError(
            f"utkface: the names of {len(odd)} files are not AGE_GENDER_RACE_DATE (gender 0 or 1, race 0 to 4): "
            f"{shown}; correct them, or set missing to drop"
        )
    kept = [(place, found) for place, found in enumerate(parts) if found is not None]
    values = np.array([[int(part) for part in found.groups()] for _, found in kept], dtype=np.int64).reshape(-1, 3)
    ids = np.array([place for place, _ in kept], dtype=np.int64)
    return Faces(files(folder, [names[place] for place, _ in kept]), values[:, 0], values[:, 1], values[:, 2], ids)
