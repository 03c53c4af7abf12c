"""The journal of a run: one line for each job that filled a cell, appended as it ends, read when the run goes on.

A line is the SHA-256 of the rest and JSON; a line that is not what was written (torn by a power cut, for example) is
not used, and its job is done again. Light.
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from amulet_core.storage.writing import replace_bytes

_FLUSH_SECONDS: Final = 1.0
"""The disk is told to keep what was written at least this often. A killed process loses nothing even so, and the store,
which flushes every entry, has what a power cut takes from here."""

Append = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Journal:
    """What a journal says: records by the key of their job, and how many lines could not be used."""

    records: Mapping[str, Mapping[str, Any]]
    damaged: int = 0


def read_journal(path: Path) -> Journal:
    """Return what is in a journal; one that is not there is empty.

    Raises:
        OSError: if it is there and cannot be read.
    """
    records, damaged = {}, 0
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Journal({})
    *lines, rest = content.split(b"\n")
    damaged += bool(rest)
    for line in filter(None, lines):
        digest, _, text = line.partition(b" ")
        if digest != _digest(text):
            damaged += 1
            continue
        entry = json.loads(text)
        records[entry["key"]] = entry["record"]
    return Journal(records, damaged)


@contextmanager
def appended(path: Path) -> Iterator[Append]:
    """Yield a function that appends a record to a journal; what it was given survives the death of this process.

    Lines that cannot be used are removed first: they were reported when they were read.

    Raises:
        OSError: if the journal cannot be written.
    """
    known = read_journal(path)
    if known.damaged:
        replace_bytes(path, b"".join(_line(key, record) for key, record in known.records.items()))
    with path.open("ab", buffering=0) as stream:
        flushed, torn = time.monotonic(), b""

        def append(key: str, record: Mapping[str, Any]) -> None:
            nonlocal flushed, torn
            line = torn + _line(key, record)
            torn = b"\n"  # should this line be cut short, the next one starts anew
            if stream.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            torn = b""
            if time.monotonic() - flushed > _FLUSH_SECONDS:
                os.fsync(stream.fileno())
                flushed = time.monotonic()

        yield append
        os.fsync(stream.fileno())


def _line(key: str, record: Mapping[str, Any]) -> bytes:
    text = json.dumps({"key": key, "record": record}, separators=(",", ":"), allow_nan=False).encode()
    return _digest(text) + b" " + text + b"\n"


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
