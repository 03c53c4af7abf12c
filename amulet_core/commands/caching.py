"""The command ``amulet cache``: what is asked for, and what was found or done, as text or JSON. Light."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Final

from amulet_core.errors import RequestError
from amulet_core.storage.store import CACHE, cache_folder
from amulet_core.storage.upkeep import Amount, Info, Pruned, Trouble, Verified, info, prune, verify

_AGES: Final = {"h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_SIZES: Final = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_NUMBER: Final = re.compile(r"(\d{1,15}(?:\.\d{1,15})?) ?([a-z]+)", re.ASCII)
_SHOWN: Final = 20


def run_cache(arguments: argparse.Namespace) -> int:
    """Do what ``amulet cache`` was asked for, print what came of it, and return the exit code.

    It is 1 where a damaged entry stays, or a file that should go could not be removed.

    Raises:
        RequestError: if the request is wrong, or the cache cannot be read.
    """
    folder = cache_folder()
    try:
        done, text = _done(arguments, folder)
    except OSError as error:
        place = error.filename or folder
        raise RequestError(
            f"the cache {folder} cannot be read: {place}: {error.strerror or error}. Mend that, or set {CACHE} to "
            "another folder."
        ) from error
    shown = json.dumps(asdict(done), indent=2) if arguments.json else text
    sys.stdout.write(f"{shown}\n")
    sys.stdout.flush()
    return 1 if _failed(done) else 0


def info_text(found: Info) -> str:
    """Return what is in a cache as text."""
    if not found.format and not found.entries.files:
        return f"There is no cache at {found.folder} yet: 0 entries."
    rows = [("cache", found.folder), ("format", found.format or "not marked"), ("entries", _size(found.entries))]
    if found.entries.files:
        rows.append(("last used", f"between {found.oldest_use} and {found.newest_use}"))
    rows += [(f"  {kind}", _size(amount)) for kind, amount in found.kinds.items()]
    if found.leftovers.files:
        rows.append(("leftovers", f"{_size(found.leftovers)}, of writers that were killed; prune removes them"))
    column = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{column}}  {value}" for name, value in rows)


def pruned_text(done: Pruned) -> str:
    """Return what was removed from a cache, and what is left, as text."""
    would = "would be removed" if done.dry_run else "removed"
    lines = [f"{would}: {_entries(done.removed)}", f"left: {_entries(done.left)}, in {done.folder}"]
    if done.other.files:
        lines.insert(1, f"{would}: {_size(done.other)} of leftovers, unused locks and notes of old runs")
    return "\n".join([*lines, *_listed(done.failures)])


def verified_text(done: Verified) -> str:
    """Return which entries of a cache are damaged, as text."""
    removed = sum(one.removed for one in done.damaged)
    verdict = f"{len(done.damaged)} damaged" if done.damaged else "none damaged"
    lines = [f"read: {_entries(done.checked)}, {verdict}, in {done.folder}", *_listed(done.damaged)]
    if removed:
        lines.append(f"removed: {removed} damaged; what runs miss they compute again")
    elif done.damaged:
        lines.append("They are never used. Remove them: amulet cache verify --remove")
    return "\n".join([*lines, *_listed(done.failures)])


def _done(arguments: argparse.Namespace, folder: Path) -> tuple[Info | Pruned | Verified, str]:
    match arguments.action:
        case "info":
            found = info(folder)
            return found, info_text(found)
        case "prune":
            age, size = _limits(arguments.older_than, arguments.max_size)
            pruned = prune(folder, unused_seconds=age, max_bytes=size, dry_run=arguments.dry_run)
            return pruned, pruned_text(pruned)
        case _:
            verified = verify(folder, remove=arguments.remove, advanced=_progress())
            return verified, verified_text(verified)


def _limits(age: str | None, size: str | None) -> tuple[float | None, int | None]:
    """Return the limits of a pruning in seconds and bytes, or raise one error with all that is wrong with them."""
    if age is None and size is None:
        raise RequestError(
            "amulet cache prune needs to know what to remove: give --older-than AGE (such as 30d), "
            "--max-size SIZE (such as 5GB), or both."
        )
    seconds, limit = _measure(age, _AGES), _measure(size, _SIZES)
    problems = []
    if age is not None and seconds is None:
        problems.append(f'--older-than "{age}" is no age: give hours, days or weeks, such as 12h, 30d or 2w.')
    if size is not None and limit is None:
        forms = "give a number and B, KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 500MB or 1.5GB"
        problems.append(f'--max-size "{size}" is no size: {forms}.')
    if problems:
        raise RequestError(*problems)
    return None if seconds is None else float(seconds), None if limit is None else int(limit)


def _measure(text: str | None, units: Mapping[str, int]) -> Decimal | None:
    """Return a number times its unit; None if there is no text, or it has another form."""
    found = _NUMBER.fullmatch((text or "").strip().lower())
    if found is None or found[2] not in units:
        return None
    return Decimal(found[1]) * units[found[2]]


def _progress() -> Callable[[int, int], None]:
    """Return what shows how many entries are read, in one line that goes away: on a terminal only."""
    if not sys.stderr.isatty():
        return lambda _done, _total: None

    def show(done: int, total: int) -> None:
        if done == total:
            sys.stderr.write("\r\x1b[K")
        elif done * 100 // total != (done - 1) * 100 // total:
            sys.stderr.write(f"\rverifying: {done * 100 // total} % of {total} entries")
        sys.stderr.flush()

    return show


def _failed(done: Info | Pruned | Verified) -> bool:
    match done:
        case Pruned():
            return bool(done.failures)
        case Verified():
            return bool(done.failures) or not all(one.removed for one in done.damaged)
    return False


def _listed(troubles: Iterable[Trouble]) -> Iterator[str]:
    rows = [f"  {one.path}: {one.reason}" for one in troubles]
    yield from rows[:_SHOWN]
    if len(rows) > _SHOWN:
        yield f"  and {len(rows) - _SHOWN} more; --json lists all"


def _entries(amount: Amount) -> str:
    return f"{amount.files} {'entry' if amount.files == 1 else 'entries'} ({_bytes(amount.bytes)})"


def _size(amount: Amount) -> str:
    return f"{amount.files} ({_bytes(amount.bytes)})"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
