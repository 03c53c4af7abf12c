"""CelebA (Liu et al. 2014): aligned faces of celebrities and 40 attributes, from a folder or downloaded."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amulet_core.data import Data
from amulet_plugins_builtin.catalogue.more_datasets import CelebaParams
from amulet_plugins_builtin.datasets.attributes import faces, refuse_unknown
from amulet_plugins_builtin.datasets.cells import some
from amulet_plugins_builtin.datasets.idx_images import cache
from amulet_plugins_builtin.datasets.pictures import files
from amulet_plugins_builtin.datasets.places import DATA, data_folder

FOLDER: Final = "celeba"
IMAGES: Final = "img_align_celeba"
ATTRIBUTES: Final = "list_attr_celeba.txt"


def celeba(params: CelebaParams) -> Data:
    """Return the first ``rows`` faces: x ``[n, 3, size, size]`` in 0 .. 1, y and z attributes (1: it is there).

    Raises:
        RequestError: if an attribute is unknown, or pictures of the list are not there.
        FileNotFoundError: if the files are not there and downloading is not allowed, or torchvision cannot be imported.
        ValueError: if the list of attributes is damaged, or pictures cannot be decoded.
        ConnectionError: if the download fails.
    """
    folder = _folder(params)
    names, attributes = _attributes(folder / ATTRIBUTES)
    kept = names[: params.rows]
    asked = {"label": [params.label], "sensitive": params.sensitive}
    refuse_unknown("celeba", list(attributes), asked, folder=folder / IMAGES, names=kept)
    return faces(
        files(folder / IMAGES, kept),
        attributes[params.label][: len(kept)],
        {name: attributes[name][: len(kept)] for name in params.sensitive},
        size=params.size,
        name=params.label,
        whose="celeba",
    )


def _attributes(path: Path) -> tuple[list[str], dict[str, NDArray[np.bool_]]]:
    """Read the list: a count, the names of the attributes, then for each picture its name and 1 or -1 for each."""
    lines = path.read_text(encoding="utf-8").splitlines()
    count, header, rows = lines[:1], lines[1:2], [line.split() for line in lines[2:] if line.strip()]
    known = header[0].split() if header else []
    wrong = [
        str(number)
        for number, row in enumerate(rows, 3)
        if len(row) != len(known) + 1 or not set(row[1:]) <= {"1", "-1"}
    ]
    unsafe = [row[0] for row in rows if row and Path(row[0]).name != row[0]]
    problems = []
    if wrong:
        problems.append(f"the lines {some(wrong)} are not a name and {len(known)} times 1 or -1")
    if unsafe:
        problems.append(f"{some(unsafe)} is not the name of a file in the folder")
    if not count or count[0].strip() != str(len(rows)):
        problems.append(
            f"the first line says {count[0].strip() if count else 'nothing'}, but {len(rows)} pictures follow"
        )
    if not rows:
        problems.append("it lists no pictures")
    if problems:
        raise ValueError(f"celeba: {path}: {'; '.join(problems)}; put a whole copy there")
    table = np.array([row[1:] for row in rows]) == "1"
    return [row[0] for row in rows], {name: table[:, column] for column, name in enumerate(known)}


def _folder(params: CelebaParams) -> Path:
    home = data_folder()
    folder = home / FOLDER if home else None
    if folder and folder.is_dir():
        lacking = [name for name in (IMAGES, ATTRIBUTES) if not (folder / name).exists()]
        if lacking:
            raise FileNotFoundError(f"celeba: {folder} lacks {' and '.join(lacking)}: put the unpacked files there")
        return folder
    missing = (
        f"celeba: there is no {folder} ({DATA} names the folder)"
        if folder
        else f"celeba: the variable {DATA} is not set"
    )
    hint = f"put the folders {IMAGES} and {ATTRIBUTES} into {FOLDER} there"
    if not params.download:
        raise FileNotFoundError(
            f"{missing}: {hint}, or install 'amulet-framework[images]' and set the parameter download to true"
        )
    try:
        from torchvision.datasets import CelebA  # type: ignore[import-untyped]  # optional, without types
    except ImportError as error:
        raise FileNotFoundError(
            f"{missing}, and torchvision, which the download needs, cannot be imported ({error}): {hint}, "
            "or run: pip install 'amulet-framework[images]'"
        ) from error
    try:
        # It downloads a zip file and text files with known MD5 sums, and unpickles nothing.
        CelebA(str(cache()), split="all", download=True)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise ConnectionError(
            f"celeba: torchvision could not download the pictures to {cache()} ({error}); Google limits such "
            f"downloads: try again another day, or {hint} and set {DATA}"
        ) from error
    return cache() / FOLDER
