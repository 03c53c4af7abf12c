"""Where the tests find the files that are too large, or too far from their source, to be in the repository."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest


@pytest.fixture
def original(lacking: Callable[[str, str], NoReturn]) -> Callable[[str], Path]:
    """Find a file in the folder AMULET_DATA; without it skip, or fail where AMULET_REQUIRE asks for it."""

    def find(name: str) -> Path:
        folder = os.environ.get("AMULET_DATA")
        path = Path(folder or ".") / name
        if not (folder and path.is_file()):
            lacking("data", f"AMULET_DATA names no folder with {name}")
        return path

    return find
