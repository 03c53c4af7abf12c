"""Entries come back as they were put, or not at all."""

import errno
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amulet_core.storage.store import Damaged, Missing, Store, Stored

KEY, OTHER = "ab" * 32, "cd" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("cache"))


@settings(max_examples=60, deadline=None)
@given(
    key=st.text("0123456789abcdef", min_size=64, max_size=64), record=st.dictionaries(st.text(), JSON), data=st.binary()
)
def test_an_entry_comes_back_as_it_was_put(shared: Store, key: str, record: dict, data: bytes):
    shared.put(key, Stored(record, data))
    assert shared.get(key) == Stored(record, data)


def test_an_entry_may_be_empty_or_hold_many_lines(store: Store):
    for entry in (Stored({}, b""), Stored({}, b"\n\n"), Stored({"text": "a\nb\r\n\u2028"}, b"\n{}\n")):
        store.put(KEY, entry)
        assert store.get(KEY) == entry


def test_what_was_never_put_is_missing(store: Store):
    assert store.get(KEY) == Missing("it is not in the cache any more")
    assert not store.has(KEY)


def test_what_was_removed_is_missing_and_may_be_removed_again(store: Store):
    store.put(KEY, Stored({}, b""))
    store.remove(KEY)
    store.remove(KEY)
    assert store.get(KEY) == Missing()


def test_an_entry_that_another_machine_removes_while_it_is_read_is_missing(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    def stale(self: Path, mode: str) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(Path, "open", stale)
    assert store.get(KEY) == Missing()


def test_an_entry_cut_anywhere_is_damaged(store: Store):
    store.put(KEY, Stored({"a": 1}, b"bytes\nand more"))
    path = store.path(KEY)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert store.get(KEY) == Damaged(f"{path} is not what was written: its checksum differs"), length
    path.write_bytes(whole)
    assert isinstance(store.get(KEY), Stored)


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
def test_an_entry_with_one_other_byte_anywhere_is_damaged(store: Store, mask: int):
    store.put(KEY, Stored({"a": 1}, b"bytes\nand more"))
    path = store.path(KEY)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
        assert isinstance(store.get(KEY), Damaged), place


@pytest.mark.parametrize("more", [b"x", b"\n", b"\0" * 4096])
def test_an_entry_with_more_at_its_end_is_damaged(store: Store, more: bytes):
    store.put(KEY, Stored({}, b"bytes"))
    with store.path(KEY).open("ab") as stream:
        stream.write(more)
    assert isinstance(store.get(KEY), Damaged)


def test_an_entry_under_the_name_of_another_is_damaged(store: Store):
    store.put(KEY, Stored({}, b"bytes"))
    store.path(OTHER).parent.mkdir()
    store.path(KEY).rename(store.path(OTHER))
    assert isinstance(store.get(OTHER), Damaged)


def test_what_cannot_be_read_is_damaged_and_says_why(store: Store):
    store.path(KEY).mkdir(parents=True)
    (store.folder / OTHER[:2]).write_text("a file where a folder should be")
    assert store.get(KEY) == Damaged(f"{store.path(KEY)} cannot be read: Is a directory")
    assert store.get(OTHER) == Damaged(f"{store.path(OTHER)} cannot be read: Not a directory")
    assert not store.has(KEY)
    assert not store.has(OTHER)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_a_record_that_is_not_json_is_refused_and_leaves_nothing(store: Store, value: object):
    with pytest.raises((ValueError, TypeError)):
        store.put(KEY, Stored({"value": value}, b""))
    assert [path.name for path in store.folder.rglob("*")] == ["FORMAT"]


@pytest.mark.parametrize(
    "key", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "a" * 63 + "/", "٣" * 64]
)
def test_only_a_key_leads_to_a_path(store: Store, key: str):
    message = re.escape(f"not a key: {key[:80]!r}")
    for use in (store.path, store.has, store.get, store.remove, lambda key: store.put(key, Stored({}, b""))):
        with pytest.raises(ValueError, match=f"^{message}$"):
            use(key)
    with pytest.raises(ValueError, match=f"^{message}$"), store.locked(key):
        pytest.fail("the lock was given")


def test_keys_are_in_order_and_files_of_other_names_are_none(store: Store):
    keys = [digit * 64 for digit in "3a0f"]
    for key in keys:
        store.put(key, Stored({}, b""))
    names = ("aa/x.entry", f"aa/{'b' * 64}.entry", f"aa/.{'a' * 64}.entry.1.12345678.tmp", f"zz/{'z' * 64}.entry")
    for name in (*names, f"a/{'a' * 64}.entry", f"aaa/{'a' * 64}.entry"):
        path = store.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (store.folder / "bb").write_bytes(b"a file where a folder could be")
    assert list(store.keys()) == sorted(keys)


def test_a_use_is_noted_for_pruning(store: Store):
    store.put(KEY, Stored({}, b""))
    os.utime(store.path(KEY), (1, 1))
    store.has(KEY)
    assert store.path(KEY).stat().st_mtime == 1
    store.get(KEY)
    assert store.path(KEY).stat().st_mtime > 1
