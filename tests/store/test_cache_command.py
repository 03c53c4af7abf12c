"""``amulet cache``: what it prints, what it refuses, and its exit codes."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from amulet_core.commands.cache_arguments import add_cache
from amulet_core.commands.caching import run_cache
from amulet_core.errors import RequestError
from amulet_core.storage.store import Store, Stored
from amulet_core.storage.writing import replace_text

KEYS = [digit * 64 for digit in "0123"]


@pytest.fixture
def cache(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple]:
    """Run the command on the store; return its exit code and what it printed."""
    monkeypatch.setenv("AMULET_CACHE", str(store.folder))
    parser = argparse.ArgumentParser(prog="amulet cache")
    add_cache(parser)

    def run(*arguments: str) -> tuple[int, str]:
        code = run_cache(parser.parse_args(arguments))
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, printed.out

    return run


def fill(store: Store) -> None:
    """Put entries of 1234 bytes, used 40, 30, 20 and 10 days ago."""
    for place, key in enumerate(KEYS):
        store.put(key, Stored({"kind": "fit"}, b"x" * (1234 - 95)))
        path = store.path(key)
        moment = time.time() - (40 - 10 * place) * 24 * 3600
        os.utime(path, (moment, moment))
        assert path.stat().st_size == 1234


def test_info_says_that_there_is_no_cache(cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("AMULET_CACHE", str(tmp_path / "none"))
    assert cache("info") == (0, f"There is no cache at {tmp_path / 'none'} yet: 0 entries.\n")
    assert not (tmp_path / "none").exists()


def test_info_as_text(cache, store: Store):
    fill(store)
    os.utime(store.path(KEYS[0]), (0, 1_000_000_000))
    os.utime(store.path(KEYS[3]), (0, 2_000_000_000))
    path = replace_text(store.folder / "00" / f".{KEYS[0]}.entry.7.0123abcd.tmp", "x" * 123_456)
    os.utime(path, (0, 0))
    assert cache("info") == (
        0,
        f"cache      {store.folder}\n"
        "format     amulet-store-1\n"
        "entries    4 (4.9 KB)\n"
        "last used  between 2001-09-09T01:46:40+00:00 and 2033-05-18T03:33:20+00:00\n"
        "  fit      4 (4.9 KB)\n"
        "leftovers  1 (123 KB), of writers that were killed; prune removes them\n",
    )


def test_info_as_json(cache, store: Store):
    code, out = cache("info", "--json")
    assert code == 0
    assert json.loads(out) == {
        "folder": str(store.folder),
        "format": "amulet-store-1",
        "entries": {"files": 0, "bytes": 0},
        "oldest_use": None,
        "newest_use": None,
        "kinds": {},
        "leftovers": {"files": 0, "bytes": 0},
    }


def test_prune_says_what_it_removed_and_what_is_left(cache, store: Store):
    fill(store)
    path = replace_text(store.folder / "00" / f".{KEYS[0]}.entry.7.0123abcd.tmp", "half")
    os.utime(path, (0, 0))
    limits = ("--older-than", "25d")
    assert cache("prune", *limits, "--dry-run") == (
        0,
        "would be removed: 2 entries (2.5 KB)\n"
        "would be removed: 1 (4 bytes) of leftovers, unused locks and notes of old runs\n"
        f"left: 2 entries (2.5 KB), in {store.folder}\n",
    )
    assert cache("prune", *limits) == (
        0,
        "removed: 2 entries (2.5 KB)\n"
        "removed: 1 (4 bytes) of leftovers, unused locks and notes of old runs\n"
        f"left: 2 entries (2.5 KB), in {store.folder}\n",
    )
    code, out = cache("prune", "--max-size", "1.3KB", "--json")
    assert code == 0
    assert json.loads(out) == {
        "folder": str(store.folder),
        "dry_run": False,
        "removed": {"files": 1, "bytes": 1234},
        "left": {"files": 1, "bytes": 1234},
        "other": {"files": 0, "bytes": 0},
        "failures": [],
    }
    assert list(store.keys()) == [KEYS[3]]


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (("--older-than", "959h"), 3),
        (("--older-than", "961h"), 4),
        (("--older-than", "25D"), 2),
        (("--older-than", "1.5 w"), 1),
        (("--older-than", "1.4w"), 0),
        (("--older-than", "0h"), 0),
        (("--older-than", "999999999999999w"), 4),
        (("--max-size", "0B"), 0),
        (("--max-size", "2467 b"), 1),
        (("--max-size", "2468b"), 2),
        (("--max-size", "3.7KB"), 2),
        (("--max-size", "3.7KiB"), 3),
        (("--max-size", "1mb"), 4),
        (("--max-size", "1MiB"), 4),
        (("--max-size", "0.0000035GB"), 2),
        (("--max-size", "0.0000000035tb"), 2),
        (("--max-size", "0.0000035GiB"), 3),
        (("--max-size", "0.0000000035TiB"), 3),
        (("--max-size", "5GB", "--older-than", "3w"), 2),
    ],
)
def test_ages_and_sizes_are_read_as_people_write_them(cache, store: Store, limit: tuple[str, ...], left: int):
    fill(store)
    assert cache("prune", *limit)[0] == 0
    assert len(list(store.keys())) == left


AGE = '--older-than "{}" is no age: give hours, days or weeks, such as 12h, 30d or 2w.'
SIZE = '--max-size "{}" is no size: give a number and B, KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 500MB or 1.5GB.'
WRONG = (
    "",
    "d",
    "gb",
    "30",
    "-1{}",
    "1e3{}",
    "nan{}",
    "{}3",
    "1,5{}",
    "3{}{}",
    "3{} 4",
    "4 3{}",
    "٣{}",
    "1_0{}",
    "0x1{}",
    ".5{}",
)


@pytest.mark.parametrize("text", [*(text.format("d", "d") for text in WRONG), "3m", "3y", "3 months", "12GB"])
def test_no_other_age_is_accepted(cache, store: Store, text: str):
    fill(store)
    with pytest.raises(RequestError) as caught:
        cache("prune", f"--older-than={text}")
    assert str(caught.value) == AGE.format(text)
    assert len(list(store.keys())) == 4


@pytest.mark.parametrize("text", [*(text.format("gb", "gb") for text in WRONG), "3G", "3 bytes", "50%", "12h"])
def test_no_other_size_is_accepted(cache, store: Store, text: str):
    fill(store)
    with pytest.raises(RequestError) as caught:
        cache("prune", f"--max-size={text}", "--older-than", "1h")
    assert str(caught.value) == SIZE.format(text)
    assert len(list(store.keys())) == 4


def test_all_that_is_wrong_is_said_at_once(cache):
    with pytest.raises(RequestError) as caught:
        cache("prune", "--older-than", "old", "--max-size", "big")
    assert caught.value.problems == (AGE.format("old"), SIZE.format("big"))


def test_prune_removes_nothing_unless_told_what(cache):
    with pytest.raises(RequestError) as caught:
        cache("prune", "--dry-run")
    assert str(caught.value) == (
        "amulet cache prune needs to know what to remove: give --older-than AGE (such as 30d), --max-size SIZE "
        "(such as 5GB), or both."
    )


def test_verify_fails_as_long_as_a_damaged_entry_stays(cache, store: Store):
    fill(store)
    path = store.path(KEYS[1])
    path.write_bytes(path.read_bytes()[:-4] + b"!!!!")
    assert cache("verify") == (
        1,
        f"read: 4 entries (4.9 KB), 1 damaged, in {store.folder}\n"
        f"  {path}: its checksum differs\n"
        "They are never used. Remove them: amulet cache verify --remove\n",
    )
    assert cache("verify", "--remove") == (
        0,
        f"read: 4 entries (4.9 KB), 1 damaged, in {store.folder}\n"
        f"  {path}: its checksum differs\n"
        "removed: 1 damaged; what runs miss they compute again\n",
    )
    assert cache("verify") == (0, f"read: 3 entries (3.7 KB), none damaged, in {store.folder}\n")


def test_verify_as_json_lists_all_damage_and_the_text_the_first_of_it(cache, store: Store):
    keys = [f"{number:064x}" for number in range(23)]
    for key in keys:
        path = store.path(key)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    code, out = cache("verify", "--json")
    assert code == 1
    damaged = [{"path": str(store.path(key)), "reason": "its checksum differs", "removed": False} for key in keys]
    assert json.loads(out) == {
        "folder": str(store.folder),
        "checked": {"files": 23, "bytes": 0},
        "damaged": damaged,
        "leftovers": {"files": 0, "bytes": 0},
        "failures": [],
    }
    _, out = cache("verify")
    assert out.splitlines()[20:22] == [
        f"  {store.path(keys[19])}: its checksum differs",
        "  and 3 more; --json lists all",
    ]


def test_what_cannot_be_removed_is_told_by_the_exit_code(cache, sealed, monkeypatch: pytest.MonkeyPatch):
    with sealed() as store:
        monkeypatch.setenv("AMULET_CACHE", str(store.folder))
        code, out = cache("prune", "--max-size", "0B")
        path = store.path("a" * 64)
        size = path.stat().st_size
    assert (code, out) == (
        1,
        f"removed: 0 entries (0 bytes)\nleft: 1 entry ({size} bytes), in {store.folder}\n"
        f"  {path}: it cannot be removed: Permission denied\n",
    )


def test_a_cache_that_cannot_be_read_is_an_error(cache, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AMULET_CACHE", str(store.folder / "FORMAT"))
    with pytest.raises(RequestError) as caught:
        cache("info")
    folder = store.folder / "FORMAT"
    assert str(caught.value) == (
        f"the cache {folder} cannot be read: {folder / 'FORMAT'}: Not a directory. Mend that, or set AMULET_CACHE to "
        "another folder."
    )


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(store: Store, terminal: bool):
    for number in range(200):
        path = store.path(f"{number:064x}")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    code = """
import argparse
from amulet_core.commands.cache_arguments import add_cache
from amulet_core.commands.caching import run_cache
parser = argparse.ArgumentParser()
add_cache(parser)
run_cache(parser.parse_args(["verify", "--json"]))
"""
    main, end = os.openpty() if terminal else os.pipe()
    environment = os.environ | {"AMULET_CACHE": str(store.folder)}
    command = [sys.executable, "-c", code]
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, env=environment)
    out, _ = done.communicate()
    shown = os.read(main, 100_000) if terminal else b""
    os.close(end)
    if not terminal:
        shown = os.read(main, 100_000)
    os.close(main)
    assert json.loads(out)["checked"]["files"] == 200
    if terminal:
        assert shown.startswith(b"\rverifying: 1 % of 200 entries\rverifying: 2 %")
        assert shown.endswith(b"\rverifying: 99 % of 200 entries\r\x1b[K")
    else:
        assert shown == b""
