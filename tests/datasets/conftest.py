"""Where the tests find the files that are too large, or too far from their source, to be in the repository."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def original() -> Callable[[str], Path]:
    """Find a file in the folder AMULET_DATA; without it skip, or fail where AMULET_REQUIRE=1 asks for it."""

    def find(name: str) -> Path:
        folder = os.environ.get("AMULET_DATA")
        path = Path(folder or ".") / name
        if folder and path.is_file():
            return path
        reason = f"AMULET_DATA names no folder with {name}"
        if os.environ.get("AMULET_REQUIRE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

    return find
