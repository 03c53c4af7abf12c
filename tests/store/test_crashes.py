"""Whatever happens to a writer, a reader finds a whole entry or none."""

import errno
import os
import random
from pathlib import Path

import pytest

from amulet_core.storage.store import Damaged, Missing, Store, Stored
from amulet_core.storage.writing import is_temporary, replace_bytes, replace_parts, replace_text

KEY = "a" * 64


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_writer_killed_in_the_middle_leaves_no_entry(store: Store, process):
    writer = process(
        """
        from amulet_core.storage.writing import replace_parts

        def parts():
            yield b"x" * 100_000
            print("half", flush=True)
            sys.stdin.read()

        replace_parts(store.path(key), parts())
        """
    )
    assert writer.stdout.readline() == "half\n"
    writer.kill()
    writer.wait()
    assert store.get(KEY) == Missing()
    (left,) = [name for name in names(store.folder) if name != "FORMAT"]
    assert is_temporary(left)


def test_writers_killed_at_random_moments_leave_whole_entries_only(store: Store, process):
    moments, whole = random.Random(3), 0
    for _ in range(8):
        writer = process(
            """
            import hashlib, itertools

            for number in itertools.count():
                print(number, flush=True)
                key = hashlib.sha256(str(number % 5).encode()).hexdigest()
                store.put(key, Stored({"number": number % 5}, bytes([number % 5]) * 500_000))
            """
        )
        for _ in range(moments.randrange(1, 12)):
            writer.stdout.readline()
        writer.kill()
        writer.wait()
        for key in list(store.keys()):
            found = store.get(key)
            assert isinstance(found, Stored)
            assert found.tensors == bytes([found.record["number"]]) * 500_000
            whole += 1
    assert whole > 0


def test_writers_of_one_key_never_show_a_reader_a_mixture(store: Store, process):
    body = """
    for number in range(40):
        store.put(key, Stored({"number": number}, bytes([number]) * 300_000))
    """
    writers = [process(body) for _ in range(3)]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        found = store.get(KEY)
        assert not isinstance(found, Damaged)
        if isinstance(found, Stored):
            reads += 1
            assert found.tensors == bytes([found.record["number"]]) * 300_000
    assert reads > 0
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert names(store.folder) == ["FORMAT", f"{KEY}.entry"]


def test_a_full_disk_leaves_the_old_entry_and_nothing_else(store: Store, process):
    store.put(KEY, Stored({}, b"old"))
    writer = process(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        for other in (key, "b" * 64):
            try:
                store.put(other, Stored({}, b"x" * 50_000))
            except OSError as error:
                print(error.errno)
        store.put("c" * 64, Stored({}, b"small"))
        """
    )
    out, _ = writer.communicate()
    assert out.split() == [str(errno.EFBIG)] * 2
    assert store.get(KEY) == Stored({}, b"old")
    assert names(store.folder) == ["FORMAT", f"{KEY}.entry", f"{'c' * 64}.entry"]


@pytest.mark.parametrize("failing", ["fsync", "replace", "interrupt"])
def test_a_write_that_fails_late_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, failing: str):
    error = KeyboardInterrupt() if failing == "interrupt" else OSError(errno.ENOSPC, "No space left on device")

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(*((Path, "replace") if failing == "replace" else (os, "fsync")), fail)
    with pytest.raises(type(error)) as caught:
        store.put(KEY, Stored({}, b"bytes"))
    assert caught.value is error
    assert names(store.folder) == ["FORMAT"]


def test_what_was_written_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    events = []
    fsync, replace = os.fsync, Path.replace

    def flushed(number: int) -> None:
        events.append(("flushed", os.fstat(number).st_size))
        fsync(number)

    def renamed(path: Path, target: Path) -> Path:
        events.append(("renamed", path.stat().st_size))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    replace_parts(tmp_path / "file", [b"one", b"two"])
    assert events == [("flushed", 6), ("renamed", 6)]


def test_files_are_replaced_whole_and_returned(tmp_path: Path):
    path = tmp_path / "new" / "file.txt"
    assert replace_text(path, "a\r\né\n") == path
    assert path.read_bytes() == "a\r\né\n".encode()
    assert replace_bytes(path, b"\0") == path
    assert path.read_bytes() == b"\0"
    assert names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("name", ["FORMAT", "x.entry", ".x.tmp", "x.entry.1.12345678.tmp", ".x.entry.1.1234567.tmp"])
def test_no_other_file_is_taken_for_a_temporary_one(name: str):
    assert not is_temporary(name)
    assert is_temporary(f".{name}.{os.getpid()}.0123abcd.tmp")
