"""The folder of a store: made, found again, of another version, closed to writers, or not a store at all."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from amulet_core.errors import RequestError
from amulet_core.storage.store import Missing, Store, Stored, cache_folder

KEY = "a" * 64


def refusal(folder: Path) -> str:
    with pytest.raises(RequestError) as caught:
        Store(folder)
    return str(caught.value)


def test_a_folder_is_made_and_marked_once(tmp_path: Path):
    folder = tmp_path / "deep" / "cache"
    Store(folder)
    mark = folder / "FORMAT"
    os.utime(mark, (1, 1))
    Store(folder)
    assert mark.read_bytes() == b"amulet-store-1\n"
    assert mark.stat().st_mtime == 1


@pytest.mark.parametrize("torn", [b"", b"amulet-st", b"amulet-store-1", b"\0" * 15, b"amulet\0\0\0\0"])
def test_a_mark_that_a_crash_tore_is_written_again(store: Store, torn: bytes):
    store.put(KEY, Stored({}, b"kept"))
    (store.folder / "FORMAT").write_bytes(torn)
    assert Store(store.folder).get(KEY) == Stored({}, b"kept")
    assert (store.folder / "FORMAT").read_bytes() == b"amulet-store-1\n"


def test_a_cache_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "FORMAT").write_text("amulet-store-12\n")
    assert refusal(tmp_path) == (
        f'the cache {tmp_path} has the format "amulet-store-12", made by a newer version: this one reads amulet-store-1. '
        "Install the latest AMULET, or set AMULET_CACHE to another folder."
    )
    assert (tmp_path / "FORMAT").read_text() == "amulet-store-12\n"


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "FORMAT").write_bytes(b"\xff\x1b[31m" + b"x" * 100_000)
    assert refusal(tmp_path) == (
        f"the folder {tmp_path} is not a cache of AMULET: its file FORMAT says "
        f"{chr(0xFFFD) + chr(27) + '[31m' + 'x' * 34!r}, not 'amulet-store-1'. "
        "Set AMULET_CACHE to another folder, or remove that file if it is nobody's."
    )


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "cache").write_text("")
    assert refusal(tmp_path / "cache") == (
        f"the cache {tmp_path / 'cache'} cannot be used: Not a directory. Set AMULET_CACHE to a folder that can be written."
    )


def test_a_folder_that_can_only_be_read_is_read(sealed):
    with sealed() as store:
        again = Store(store.folder)
        assert again.get(KEY) == Stored({"n": 1}, b"tensors")
        assert again.get("b" * 64) == Missing()
        with again.locked("b" * 64):
            pass
        for write in (lambda: again.put("b" * 64, Stored({}, b"")), lambda: again.remove(KEY)):
            with pytest.raises(PermissionError):
                write()


def test_a_folder_that_cannot_be_made_is_refused(sealed):
    with sealed() as store:
        assert refusal(store.folder / "new") == (
            f"the cache {store.folder / 'new'} cannot be used: Permission denied. "
            "Set AMULET_CACHE to a folder that can be written."
        )


def test_a_store_stays_where_it_was_when_the_working_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    store = Store("cache")
    monkeypatch.chdir("/")
    store.put(KEY, Stored({}, b""))
    assert (tmp_path / "cache" / "aa" / f"{KEY}.entry").is_file()


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)
    found = {}
    for given in ("/some/where", "~/mine", "near", ""):
        monkeypatch.setenv("AMULET_CACHE", given)
        found[given] = cache_folder()
    assert found["/some/where"] == Path("/some/where")
    assert found["~/mine"] == tmp_path / "mine"
    assert found["near"] == tmp_path / "near"
    assert found[""].is_relative_to(tmp_path)
    assert found[""].name == "amulet"


def test_a_home_folder_that_there_is_not_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AMULET_CACHE", "~nobody-of-that-name/cache")
    message = 'AMULET_CACHE is "~nobody-of-that-name/cache", and there is no such home folder. Write the whole path.'
    with pytest.raises(RequestError, match=f"^{re.escape(message)}$"):
        cache_folder()


def test_the_store_and_its_command_import_nothing_heavy():
    code = """
import sys
import amulet_core.commands.cache_arguments, amulet_core.commands.caching, amulet_core.storage.store, amulet_core.storage.upkeep
amulet_core.storage.store.cache_folder()
print(sorted({"torch", "numpy", "pydantic", "pandas", "filelock", "rich"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
