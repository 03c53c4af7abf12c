"""What tests of the store share: a store, processes to share it with, and a user who may not write."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from amulet_core.storage.store import Store, Stored

NOBODY = 65534
START = """
import sys
from amulet_core.storage.store import Damaged, Missing, Store, Stored
store, key = Store(sys.argv[1]), sys.argv[2]
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "cache")


@pytest.fixture
def process(store: Store) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python processes that have the store and a key, and talk over pipes; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(body: str, key: str = "a" * 64) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", START + dedent(body), str(store.folder), key]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, bufsize=1, **pipes))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


@pytest.fixture
def sealed() -> Iterator[Callable[[], AbstractContextManager[Store]]]:
    """Give a store of one entry that this process may read and not write while the context lasts, root or not."""
    folder = Path(tempfile.mkdtemp())  # tmp_path belongs to its user alone
    store = Store(folder / "cache")
    store.put("a" * 64, Stored({"n": 1}, b"tensors"))
    with store.locked("b" * 64):  # what is imported late is imported now
        pass

    @contextmanager
    def seal() -> Iterator[Store]:
        modes = {path: 0o555 if path.is_dir() else 0o444 for path in (folder, *folder.rglob("*"))}
        for path, mode in modes.items():
            path.chmod(mode)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(NOBODY)
            if not os.access(store.folder / "FORMAT", os.R_OK, effective_ids=True):
                pytest.skip("the folder of temporary files is closed to other users, and root may write everywhere")
            yield store
        finally:
            os.seteuid(user)
            for path, mode in modes.items():
                path.chmod(mode | 0o200)

    yield seal
    shutil.rmtree(folder)
