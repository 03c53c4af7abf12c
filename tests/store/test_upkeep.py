"""What is in a cache, what pruning takes and leaves, and which entries are damaged."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from amulet_core.errors import RequestError
from amulet_core.storage.store import FORMAT, Missing, Store, Stored
from amulet_core.storage.upkeep import Amount, Info, Pruned, Trouble, Verified, info, prune, verify
from amulet_core.storage.writing import replace_text

DAY = 24 * 3600.0
KEYS = [digit * 64 for digit in "5183"]  # put in this order, so that order of use and order of names differ


def aged(path: Path, days: float) -> Path:
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))
    return path


@pytest.fixture
def old(store: Store) -> Store:
    """Give a store with entries used 40, 30, 20 and 10 days ago, of 1000 bytes of tensors each."""
    for place, key in enumerate(KEYS):
        store.put(key, Stored({"kind": "fit" if place < 3 else "play"}, b"x" * 1000))
        aged(store.path(key), 40 - 10 * place)
    return store


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def check(folder: Path, **options: object) -> Verified:
    return verify(folder, **{"remove": False, "advanced": lambda _done, _total: None} | options)


def cut(folder: Path, **options: object) -> Pruned:
    return prune(folder, **{"unused_seconds": None, "max_bytes": None} | options)


def test_a_folder_that_is_not_there_is_empty_and_is_not_made(tmp_path: Path):
    folder, none = tmp_path / "cache", Amount()
    assert info(folder) == Info(str(folder), "", none, None, None, {}, none)
    assert cut(folder, unused_seconds=0.0, max_bytes=0) == Pruned(str(folder), False, none, none, none, ())
    assert check(folder, remove=True) == Verified(str(folder), none, (), none, ())
    assert not folder.exists()


@pytest.mark.parametrize("look", [info, check, lambda folder: cut(folder, max_bytes=0)])
def test_a_cache_of_a_newer_version_is_not_touched(old: Store, look: Callable[[Path], object]):
    (old.folder / "FORMAT").write_text("amulet-store-2\n")
    before = everything(old.folder)
    with pytest.raises(RequestError, match="made by a newer version"):
        look(old.folder)
    assert everything(old.folder) == before


def test_info_counts_entries_by_kind_and_says_when_they_were_used(old: Store):
    size = [old.path(key).stat().st_size for key in KEYS]
    os.utime(old.path(KEYS[0]), (0, 1_000_000_000))
    os.utime(old.path(KEYS[3]), (0, 2_000_000_000))
    assert info(old.folder) == Info(
        folder=str(old.folder),
        format=FORMAT,
        entries=Amount(4, sum(size)),
        oldest_use="2001-09-09T01:46:40+00:00",
        newest_use="2033-05-18T03:33:20+00:00",
        kinds={"fit": Amount(3, sum(size[:3])), "play": Amount(1, size[3])},
        leftovers=Amount(),
    )


@pytest.mark.parametrize("record", [{}, {"kind": 3}, {"kind": None}])
def test_an_entry_whose_record_names_no_kind_counts_all_the_same(store: Store, record: dict):
    store.put(KEYS[0], Stored(record, b""))
    found = info(store.folder)
    assert found.entries.files == 1
    assert found.kinds == {}


def test_looking_at_entries_is_no_use_of_them(old: Store):
    before = [old.path(key).stat().st_mtime_ns for key in KEYS]
    info(old.folder)
    check(old.folder)
    cut(old.folder, max_bytes=10**9)
    assert [old.path(key).stat().st_mtime_ns for key in KEYS] == before


@pytest.mark.parametrize(("days", "left"), [(50, 4), (35, 3), (25, 2), (15, 1), (5, 0), (0, 0)])
def test_pruning_by_age_takes_what_was_not_used_for_so_long(old: Store, days: int, left: int):
    size = old.path(KEYS[0]).stat().st_size
    done = cut(old.folder, unused_seconds=days * DAY)
    assert list(old.keys()) == sorted(KEYS[4 - left :])
    assert done.removed.files == 4 - left
    assert done.left.files == left
    assert done.left == info(old.folder).entries
    assert done.removed.bytes == pytest.approx(
        (4 - left) * size, abs=10
    )  # two kinds, of names of three and four letters


@pytest.mark.parametrize("left", range(5))
def test_pruning_by_size_takes_what_was_unused_for_longest(old: Store, left: int):
    size = sum(old.path(key).stat().st_size for key in KEYS[4 - left :])
    done = cut(old.folder, max_bytes=size)
    assert list(old.keys()) == sorted(KEYS[4 - left :])
    assert done.left == Amount(left, size)


def test_an_entry_that_was_used_again_outlives_younger_ones(old: Store):
    old.get(KEYS[0])
    cut(old.folder, max_bytes=1500)
    assert list(old.keys()) == [KEYS[0]]


@pytest.mark.parametrize(("days", "size", "left"), [(25, 10**9, 2), (50, 1500, 1), (25, 1500, 1), (15, 10**9, 1)])
def test_pruning_by_age_and_size_satisfies_both(old: Store, days: int, size: int, left: int):
    cut(old.folder, unused_seconds=days * DAY, max_bytes=size)
    assert list(old.keys()) == sorted(KEYS[4 - left :])


def test_a_dry_run_says_the_same_and_removes_nothing(old: Store):
    aged(replace_text(old.folder / "5e" / f".{'5e' * 32}.entry.1.0123abcd.tmp", "half"), 1)
    before = everything(old.folder)
    said = cut(old.folder, unused_seconds=25 * DAY, dry_run=True)
    assert everything(old.folder) == before
    done = cut(old.folder, unused_seconds=25 * DAY)
    assert (
        (said.removed, said.left, said.other) == (done.removed, done.left, done.other) != (Amount(), Amount(), Amount())
    )
    assert (said.dry_run, done.dry_run) == (True, False)


def test_pruning_sweeps_what_killed_writers_left_and_nothing_that_may_be_in_use(old: Store):
    hour, name = 1 / 24, ".{}.1.0123abcd.tmp"
    note = "ab" * 32
    swept = [
        (name.format("FORMAT"), 1.1 * hour),
        (f"5e/{name.format('5e' * 32 + '.entry')}", 1.1 * hour),
        (f"runs/{name.format(note + '.json')}", 1.1 * hour),
        (f"durations/{name.format('cafe.json')}", 1.1 * hour),
        (f"locks/{note}.lock", 1.1 * hour),
        (f"runs/{note}.json", 46),
    ]
    kept = [
        (f"5e/{name.format('5d' * 32 + '.entry')}", 0.9 * hour),
        (f"locks/{'b' * 64}.lock", 0.9 * hour),
        (f"runs/{'b' * 64}.json", 44),
        ("durations/cafe.json", 1000),
        ("runs/mine.json", 1000),
        ("locks/mine.lock", 1000),
        ("elsewhere/.mine.entry.1.0123abcd.tmp", 1000),
        (".mine.1.0123abcd.tmp", 1000),
        ("5e/.mine.entry.1.backup.tmp", 1000),
    ]
    for path, days in swept + kept:
        aged(replace_text(old.folder / path, "1234"), days)
    assert info(old.folder).leftovers == Amount(4, 16)
    assert cut(old.folder, unused_seconds=DAY * 45).other == Amount(6, 24)
    assert [path for path, _ in swept if (old.folder / path).exists()] == []
    assert [path for path, _ in kept if not (old.folder / path).exists()] == []
    assert len(list(old.keys())) == 4


def test_the_note_of_a_run_stays_for_a_month_whatever_is_pruned(old: Store):
    notes = [
        aged(replace_text(old.folder / "runs" / f"{name * 64}.json", "{}"), days)
        for name, days in (("a", 29), ("b", 31))
    ]
    cut(old.folder, unused_seconds=0.0)
    assert [note.exists() for note in notes] == [True, False]


def test_pruning_by_size_alone_leaves_the_notes_of_runs(old: Store):
    note = aged(replace_text(old.folder / "runs" / f"{'a' * 64}.json", "{}"), 1000)
    cut(old.folder, max_bytes=0)
    assert note.exists()


def test_a_lock_that_is_held_stays_however_old_it_is(old: Store, process):
    holder = process(
        """
        with store.locked(key):
            print("held", flush=True)
            sys.stdin.readline()
        """
    )
    assert holder.stdout.readline() == "held\n"
    lock = aged(old.folder / "locks" / f"{'a' * 64}.lock", 10)
    assert cut(old.folder, max_bytes=10**9).other == Amount()
    assert lock.exists()
    holder.kill()
    holder.wait()
    assert cut(old.folder, max_bytes=10**9).other == Amount(1, 0)
    assert not lock.exists()


def test_an_entry_used_while_pruning_goes_on_is_left(old: Store, monkeypatch: pytest.MonkeyPatch):
    unlink = Path.unlink

    def meanwhile(path: Path, **options: bool) -> None:
        old.get(KEYS[1])
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", meanwhile)
    done = cut(old.folder, max_bytes=0)
    assert list(old.keys()) == [KEYS[1]]
    assert (done.removed.files, done.left.files, done.failures) == (3, 1, ())


def test_an_entry_that_another_removes_first_is_no_failure(old: Store, monkeypatch: pytest.MonkeyPatch):
    unlink = Path.unlink

    def meanwhile(path: Path, **options: bool) -> None:
        unlink(old.path(KEYS[2]), missing_ok=True)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", meanwhile)
    assert cut(old.folder, max_bytes=0).failures == ()
    assert list(old.keys()) == []


def test_a_reader_that_has_begun_reads_to_the_end(store: Store):
    store.put(KEYS[0], Stored({}, b"x" * 1_000_000))
    with store.path(KEYS[0]).open("rb") as stream:
        start = stream.readline()
        cut(store.folder, max_bytes=0)
        rest = stream.read()
    assert start.startswith(FORMAT.encode())
    assert rest == b"{}\n" + b"x" * 1_000_000
    assert store.get(KEYS[0]) == Missing()


def test_pruning_under_readers_and_writers_shows_them_whole_entries_or_none(store: Store, process):
    workers = [
        process(
            """
            for number in range(150):
                store.put(key, Stored({}, b"x" * 50_000))
                found = store.get(key)
                assert found in (Stored({}, b"x" * 50_000), Missing()), found
            """,
            key=key,
        )
        for key in KEYS[:2]
    ]
    removed = 0
    while any(worker.poll() is None for worker in workers):
        done = cut(store.folder, max_bytes=0)
        assert done.failures == ()
        removed += done.removed.files
    assert removed > 0
    assert [worker.returncode for worker in workers] == [0, 0]


def test_what_cannot_be_removed_is_named_and_counts_as_left(sealed):
    with sealed() as store:
        path = store.path("a" * 64)
        done = cut(store.folder, max_bytes=0)
        assert done.failures == (Trouble(str(path), "it cannot be removed: Permission denied"),)
        assert done.removed == Amount()
        assert done.left == Amount(1, path.stat().st_size)


def test_a_folder_that_can_only_be_read_is_described_and_verified(sealed):
    with sealed() as store:
        assert info(store.folder).entries.files == 1
        assert check(store.folder).damaged == ()


def test_verifying_finds_every_kind_of_damage_and_removes_nothing_unasked(old: Store):
    paths = [old.path(key) for key in KEYS]
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    paths[1].write_bytes(b"")
    paths[2].unlink()
    paths[2].mkdir()
    before = everything(old.folder)
    done = check(old.folder)
    differs, unread = "its checksum differs", "it cannot be read: Is a directory"
    found = {trouble.path: (trouble.reason, trouble.removed) for trouble in done.damaged}
    assert found == {
        str(paths[0]): (differs, False),
        str(paths[1]): (differs, False),
        str(paths[2]): (unread, False),
    }
    assert done.checked.files == 4
    assert everything(old.folder) == before


def test_verifying_removes_what_is_damaged_on_demand_and_names_what_stays(old: Store):
    paths = [old.path(key) for key in KEYS]
    paths[0].write_bytes(b"torn")
    paths[1].unlink()
    paths[1].mkdir()
    left = aged(replace_text(old.folder / "5e" / f".{'5e' * 32}.entry.1.0123abcd.tmp", "half"), 1)
    done = check(old.folder, remove=True)
    found = {trouble.path: (trouble.reason, trouble.removed) for trouble in done.damaged}
    assert found == {
        str(paths[0]): ("its checksum differs", True),
        str(paths[1]): ("it cannot be read: Is a directory; it cannot be removed: Is a directory", False),
    }
    assert [path.exists() for path in (*paths, left)] == [False, True, True, True, False]
    assert done.leftovers == Amount(1, 4)


def test_verifying_compares_the_name_too(old: Store):
    old.path(KEYS[0]).replace(old.path(KEYS[1]))
    (found,) = check(old.folder).damaged
    assert found.path == str(old.path(KEYS[1]))


def test_verifying_agrees_with_reading_on_every_cut(store: Store):
    store.put(KEYS[0], Stored({"a": 1}, b"some bytes"))
    path = store.path(KEYS[0])
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert (
            bool(check(store.folder).damaged) == (length < len(whole)) == (not isinstance(store.get(KEYS[0]), Stored))
        )


def test_an_entry_that_another_removes_while_it_is_verified_is_not_damaged(old: Store):
    gone = []
    done = check(old.folder, advanced=lambda done, total: gone.append([old.remove(key) for key in KEYS]))
    assert gone
    assert done.damaged == ()


def test_verifying_reports_how_far_it_is(old: Store):
    heard = []
    check(old.folder, advanced=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("look", ["info(store.folder)", "verify(store.folder, remove=False, advanced=lambda *_: None)"])
@pytest.mark.parametrize("content", [b"", b"head\n", b"head\n{}\n"])
def test_large_entries_need_little_memory(store: Store, process, look: str, content: bytes):
    path = store.path("a" * 64)
    path.parent.mkdir()
    path.write_bytes(content)
    os.truncate(path, 100_000_000)
    looker = process(
        f"""
        import resource
        from amulet_core.storage.upkeep import info, verify
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        {look}
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """
    )
    out, _ = looker.communicate()
    assert int(out) < 30
