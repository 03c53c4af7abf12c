"""Looking after a cache folder: what is in it, which entries to remove, which are damaged. Light.

Runs may go on meanwhile: a removed entry is computed again where it is needed. Nothing that is not the cache's own is
touched, and nothing is made.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from amulet_core.storage.store import FORMAT, entry_paths, fault_of, is_key, is_marked, release_unused
from amulet_core.storage.writing import is_temporary

_HOUR: Final = 3600.0
_NOTES_KEPT: Final = 30 * 24 * _HOUR
"""Workers that start late read the note of their run: it stays for longer than runs take, whatever is pruned."""
_WRITTEN: Final = (".FORMAT.*", "[0-9a-f][0-9a-f]/.*.entry.*", "runs/.*.json.*", "durations/.*.json.*")
_RECORD: Final = 1 << 20
"""The longest record that is read, in bytes, to say what kind of job an entry is of."""


@dataclass(frozen=True)
class Amount:
    """A number of files, and their bytes together."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Info:
    """What is in a cache folder.

    ``format`` is empty where there is no cache. ``oldest_use`` and ``newest_use`` are ISO 8601 (UTC), None without
    entries. ``leftovers`` are temporary files of writers that were killed.
    """

    folder: str
    format: str
    entries: Amount
    oldest_use: str | None
    newest_use: str | None
    kinds: Mapping[str, Amount]
    leftovers: Amount


@dataclass(frozen=True)
class Trouble:
    """A file, what is wrong with it, and whether it was removed."""

    path: str
    reason: str
    removed: bool = False


@dataclass(frozen=True)
class Pruned:
    """What was removed (in a dry run: what would have been), and what is left.

    ``other`` are temporary files of killed writers, locks that nobody holds and notes of old runs.
    """

    folder: str
    dry_run: bool
    removed: Amount
    left: Amount
    other: Amount
    failures: tuple[Trouble, ...]


@dataclass(frozen=True)
class Verified:
    """Which entries were read, and which of them are damaged; ``leftovers`` are removed with them."""

    folder: str
    checked: Amount
    damaged: tuple[Trouble, ...]
    leftovers: Amount
    failures: tuple[Trouble, ...]


@dataclass(frozen=True)
class _File:
    path: Path
    bytes: int
    used: int


def info(folder: Path) -> Info:
    """Describe a cache folder; one that is not there is empty.

    Raises:
        OSError: if it cannot be read.
        RequestError: if it is of a newer version, or no cache.
    """
    mark = FORMAT if is_marked(folder) else ""
    found = _entries(folder)
    kinds: dict[str, list[_File]] = {}
    for one in found:
        if kind := _kind(one.path):
            kinds.setdefault(kind, []).append(one)
    uses = [one.used for one in found]
    return Info(
        folder=str(folder),
        format=mark,
        entries=_amount(found),
        oldest_use=_moment(min(uses)) if uses else None,
        newest_use=_moment(max(uses)) if uses else None,
        kinds={kind: _amount(files) for kind, files in sorted(kinds.items())},
        leftovers=_amount(_leftovers(folder)),
    )


def prune(folder: Path, *, unused_seconds: float | None, max_bytes: int | None, dry_run: bool = False) -> Pruned:
    """Remove the entries not used for so long, and then those unused for longest until the others fit into a size.

    Raises:
        OSError: if the folder cannot be read.
        RequestError: if it is of a newer version, or no cache.
    """
    is_marked(folder)
    found = sorted(_entries(folder), key=lambda one: (one.used, one.path.name))
    doomed = found[: max(_count_unused(found, unused_seconds), _count_beyond(found, max_bytes))]
    other = [*_leftovers(folder), *_old(_keyed(folder.glob("locks/*.lock")), _HOUR)]
    if unused_seconds is not None:
        other += _old(_keyed(folder.glob("runs/*.json")), max(unused_seconds, _NOTES_KEPT))
    if dry_run:
        return Pruned(str(folder), dry_run, _amount(doomed), _amount(found[len(doomed) :]), _amount(other), ())
    failures: list[Trouble] = []
    removed, swept = _remove(doomed, failures), _remove(other, failures)
    left = _minus(_amount(found), _amount(removed))
    return Pruned(str(folder), dry_run, _amount(removed), left, _amount(swept), tuple(failures))


def verify(
    folder: Path, *, remove: bool, advanced: Callable[[int, int], None] = lambda _done, _total: None
) -> Verified:
    """Read every entry and compare it with its checksum; on demand, remove those that differ, and leftovers.

    ``advanced`` is told how many of how many are done.

    Raises:
        OSError: if the folder cannot be read.
        RequestError: if it is of a newer version, or no cache.
    """
    is_marked(folder)
    found = _entries(folder)
    damaged: list[Trouble] = []
    failures: list[Trouble] = []
    for done, one in enumerate(found, start=1):
        if fault := _fault(one):
            damaged.append(_condemned(one, fault) if remove else Trouble(str(one.path), fault))
        advanced(done, len(found))
    leftovers = _leftovers(folder)
    if remove:
        leftovers = _remove(leftovers, failures)
    return Verified(str(folder), _amount(found), tuple(damaged), _amount(leftovers), tuple(failures))


def _entries(folder: Path) -> list[_File]:
    return list(_stated(entry_paths(folder))) if folder.exists() else []


def _leftovers(folder: Path) -> list[_File]:
    """List the temporary files that nobody has written to for an hour."""
    found = (path for place in _WRITTEN for path in folder.glob(place))
    return _old((path for path in found if is_temporary(path.name)), _HOUR)


def _keyed(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that are named by a key or a like hash: others are not the cache's."""
    return (path for path in paths if is_key(path.stem))


def _old(paths: Iterable[Path], seconds: float) -> list[_File]:
    limit = time.time_ns() - int(seconds * 1e9)
    return [one for one in _stated(paths) if one.used < limit]


def _stated(paths: Iterable[Path]) -> Iterator[_File]:
    """Yield files with their sizes and times, but for those that another process removed meanwhile."""
    for path in paths:
        with suppress(FileNotFoundError):
            state = path.stat()
            yield _File(path, state.st_size, state.st_mtime_ns)


def _count_unused(found: list[_File], seconds: float | None) -> int:
    limit = 0 if seconds is None else time.time_ns() - int(seconds * 1e9)
    return sum(one.used < limit for one in found)


def _count_beyond(found: list[_File], size: int | None) -> int:
    """Count how many of these files, from the first on, have to go for the rest to fit into ``size`` bytes."""
    total, count = sum(one.bytes for one in found), 0
    while size is not None and total > size:
        total, count = total - found[count].bytes, count + 1
    return count


def _remove(doomed: Iterable[_File], failures: list[Trouble]) -> list[_File]:
    """Remove files; return those that are gone, and add to ``failures`` what could not be removed."""
    gone = []
    for one in doomed:
        try:
            if _removed(one):
                gone.append(one)
        except OSError as error:
            failures.append(Trouble(str(one.path), f"it cannot be removed: {error.strerror or error}"))
    return gone


def _removed(one: _File) -> bool:
    """Remove a file, unless it was used or replaced meanwhile; say whether it is gone."""
    try:
        if one.path.stat().st_mtime_ns != one.used:
            return False
        if one.path.suffix == ".lock":
            return release_unused(one.path)
        one.path.unlink()
    except FileNotFoundError:
        return True
    return True


def _fault(one: _File) -> str:
    try:
        return fault_of(one.path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"


def _condemned(one: _File, fault: str) -> Trouble:
    failures: list[Trouble] = []
    removed = bool(_remove([one], failures))
    return Trouble(str(one.path), "; ".join([fault, *(failure.reason for failure in failures)]), removed)


def _kind(path: Path) -> str:
    """Return what kind of job an entry's record says it is of, if it does. The rest is not read."""
    try:
        with path.open("rb") as stream:
            stream.readline(_RECORD)
            kind = json.loads(stream.readline(_RECORD))["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return kind if isinstance(kind, str) else ""


def _amount(files: Iterable[_File]) -> Amount:
    sizes = [one.bytes for one in files]
    return Amount(len(sizes), sum(sizes))


def _minus(all_: Amount, some: Amount) -> Amount:
    return Amount(all_.files - some.files, all_.bytes - some.bytes)


def _moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 10**9, tz=UTC).isoformat()
