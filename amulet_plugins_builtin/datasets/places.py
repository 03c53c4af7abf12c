"""Where files of others are: in the folder AMULET_DATA, in the working directory, or at an absolute path."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as zlib_error

import numpy as np
from numpy.typing import NDArray

from amulet_core.errors import RequestError

DATA = "AMULET_DATA"


def data_folder() -> Path | None:
    """Return the folder that AMULET_DATA names, if it names one."""
    folder = os.environ.get(DATA)
    return Path(folder) if folder else None


def place_of(path: str, *, whose: str, parameter: str = "path") -> Path:
    """Return where a file or folder is; a relative path starts in AMULET_DATA, else in the working directory.

    Raises:
        RequestError: with every place that was looked at.
    """
    given = Path(path).expanduser()
    home = data_folder()
    tried = [given] if given.is_absolute() else [*([home / given] if home else []), Path.cwd() / given]
    for one in tried:
        if one.exists():
            return one
    rule = "" if given.is_absolute() else f" ({DATA} {'names the first folder' if home else 'is not set'})"
    raise RequestError(
        f"{whose}: there is no {' and no '.join(str(one) for one in tried)}{rule}: correct {parameter}, or put it there"
    )


def arrays_of(path: Path, *, digest: str = "", whose: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file, none of them pickled.

    Raises:
        ValueError: if its SHA-256 is not ``digest`` (where one is given), or it is no such file.
    """
    if digest:
        found = sha256(path.read_bytes()).hexdigest()
        if found != digest:
            raise ValueError(
                f"{whose}: {path} ({path.stat().st_size:,} bytes) is truncated, changed or of another version: "
                f"expected SHA-256 {digest}, found {found}; put a whole copy there"
            )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, TypeError, AttributeError, BadZipFile, zlib_error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{whose}: {path} is no npz file of plain arrays ({reason})") from error
