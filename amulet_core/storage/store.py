"""The store: outputs of jobs by the content hash of all that they are a function of. Light: knows nothing of tensors.

An entry is one file: a line with the format's version and a SHA-256 of its key and of the rest, a line of JSON (the
record), then bytes (safetensors). It is whole, or it is not there; what differs from its checksum is never used.
Nothing is unpickled. When it was used last is the file's modification time.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from amulet_core.errors import RequestError
from amulet_core.storage.writing import replace_bytes, replace_parts

if TYPE_CHECKING:
    from filelock import BaseFileLock

FORMAT: Final = "amulet-store-1"
SUFFIX: Final = ".entry"
CACHE: Final = "AMULET_CACHE"
"""The environment variable that names the cache folder."""

_MARK: Final = f"{FORMAT}\n".encode()
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_SHARD: Final = re.compile(r"[0-9a-f]{2}")
_GONE: Final = (errno.ENOENT, errno.ESTALE)
"""ESTALE is how NFS says that another machine removed a file that is open here."""


@dataclass(frozen=True)
class Stored:
    """An entry as it was put."""

    record: Mapping[str, Any]
    tensors: bytes


@dataclass(frozen=True)
class Missing:
    """There is no entry of that key."""

    reason: str = "it is not in the cache any more"


@dataclass(frozen=True)
class Damaged:
    """There is an entry, and it is not what was written, or cannot be read: it is never used."""

    reason: str


class Store:
    """A folder of entries, which any number of runs, on any number of machines, may share."""

    def __init__(self, folder: str | Path) -> None:
        """Use ``folder``, making it if need be. One that can only be read is read.

        Raises:
            RequestError: if it cannot be made or read, or was made by a newer version.
        """
        self.folder = Path(folder).absolute()  # a component may change the working folder
        try:
            if not is_marked(self.folder):
                replace_bytes(self.folder / "FORMAT", _MARK)
        except OSError as error:
            raise RequestError(
                f"the cache {self.folder} cannot be used: {error.strerror or error}. Set {CACHE} to a folder that can "
                "be written."
            ) from error

    def path(self, key: str) -> Path:
        """Return where the entry of a key is, or would be.

        Raises:
            ValueError: if it is no key, which is 64 hexadecimal digits.
        """
        return self.folder / _checked(key)[:2] / f"{key}{SUFFIX}"

    def has(self, key: str) -> bool:
        """Say whether there is an entry, without reading it."""
        return os.path.isfile(self.path(key))  # noqa: PTH113  # Path.is_file raises where the folder cannot be searched

    def get(self, key: str) -> Stored | Missing | Damaged:
        """Return the entry of a key, its checksum verified, and note that it was used now."""
        path = self.path(key)
        try:
            with path.open("rb") as stream:
                head, record, tensors = stream.readline(), stream.readline(), stream.read()
        except OSError as error:
            if error.errno in _GONE:
                return Missing()
            return Damaged(f"{path} cannot be read: {error.strerror or error}")
        if head != _head(key, record, tensors):
            return Damaged(f"{path} is not what was written: its checksum differs")
        # Files of another user can only be read: their use is not noted, and they are pruned as if unused.
        with suppress(OSError):
            os.utime(path)
        return Stored(json.loads(record), tensors)

    def put(self, key: str, entry: Stored) -> None:
        """Write an entry whole: under another name, flushed to the disk, then renamed.

        Raises:
            OSError: if it cannot be written; nothing is left behind then.
            ValueError: if the record is not JSON, or not finite.
        """
        record = json.dumps(entry.record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        replace_parts(self.path(key), (_head(key, record, entry.tensors), record, entry.tensors))

    @contextmanager
    def locked(self, key: str, *, seconds: float = -1) -> Iterator[bool]:
        """Hold a key: another process that wants it waits here, and then finds the entry.

        Yield False if it was not to be had within so many ``seconds`` (negative: wait as long as it takes).

        The lock is the operating system's: it ends with the process that holds it. Where the folder cannot be written,
        or knows no locks, nothing is held: work may then be done twice, and is still right.
        """
        lock = _lock(self.folder / "locks" / f"{_checked(key)}.lock", wait=True)
        from filelock import Timeout

        ours = True
        try:
            (self.folder / "locks").mkdir(exist_ok=True)
            lock.acquire(timeout=seconds)
        except Timeout:
            ours = False
        except (OSError, NotImplementedError):
            pass  # nothing can be held here
        try:
            yield ours
        finally:
            if lock.is_locked:
                _let_go(lock)

    def keys(self) -> Iterator[str]:
        """Yield the key of every entry, in order."""
        for path in entry_paths(self.folder):
            yield key_of(path)

    def remove(self, key: str) -> None:
        """Remove an entry, if it is there.

        Raises:
            OSError: if it cannot be removed.
        """
        self.path(key).unlink(missing_ok=True)


def cache_folder() -> Path:
    """Return the cache's folder: AMULET_CACHE, or else the platform's cache folder.

    Raises:
        RequestError: if AMULET_CACHE starts with a home folder that there is not.
    """
    from platformdirs import user_cache_path

    given = os.environ.get(CACHE)
    try:
        return (Path(given).expanduser() if given else user_cache_path("amulet", appauthor=False)).absolute()
    except RuntimeError as error:
        raise RequestError(f'{CACHE} is "{given}", and there is no such home folder. Write the whole path.') from error


def is_marked(folder: Path) -> bool:
    """Say whether a folder is marked as a store of this format; a mark that a crash tore counts as none.

    Raises:
        OSError: if the mark cannot be read.
        RequestError: if it is that of a newer version, or of something else.
    """
    try:
        with (folder / "FORMAT").open("rb") as stream:
            found = stream.read(100)
    except FileNotFoundError:
        return False
    if found == _MARK:
        return True
    if _MARK.startswith(found.rstrip(b"\0")):  # a power cut may leave zeros where the text should be
        return False
    text = found.decode(errors="replace").strip()
    if re.fullmatch(r"amulet-store-\d+", text):
        raise RequestError(
            f'the cache {folder} has the format "{text}", made by a newer version: this one reads {FORMAT}. '
            f"Install the latest AMULET, or set {CACHE} to another folder."
        )
    raise RequestError(
        f"the folder {folder} is not a cache of AMULET: its file FORMAT says {text[:40]!r}, not {FORMAT!r}. "
        f"Set {CACHE} to another folder, or remove that file if it is nobody's."
    )


def entry_paths(folder: Path) -> Iterator[Path]:
    """Yield the path of every entry of a cache folder, by key; a file of any other name is no entry.

    Raises:
        OSError: if a folder cannot be read.
    """
    for shard in sorted(path for path in folder.iterdir() if _SHARD.fullmatch(path.name) and path.is_dir()):
        names = sorted(os.listdir(shard))  # noqa: PTH208  # a million names take a fraction of a million paths
        for name in names:
            if name.endswith(SUFFIX) and is_key(name.removesuffix(SUFFIX)) and name.startswith(shard.name):
                yield shard / name


def is_key(text: str) -> bool:
    """Say whether a text is a key: 64 hexadecimal digits."""
    return _KEY.fullmatch(text) is not None


def key_of(path: Path) -> str:
    """Return the key of the entry at a path."""
    return path.name.removesuffix(SUFFIX)


def fault_of(path: Path) -> str:
    """Say why the entry at a path is not what was written; an empty text if it is. It is not kept in memory.

    Raises:
        OSError: if it cannot be read.
    """
    start = _digest(key_of(path))
    with path.open("rb") as stream:
        head = stream.readline(len(_line(start)))
        found = hashlib.file_digest(stream, lambda: start)
    return "" if head == _line(found) else "its checksum differs"


def release_unused(path: Path) -> bool:
    """Remove the file of a lock that nobody holds, and say whether that was so.

    Raises:
        OSError: if the folder cannot be written, or knows no locks.
    """
    from filelock import Timeout

    lock = _lock(path, wait=False)
    try:
        lock.acquire()
    except Timeout:
        return False
    _let_go(lock)
    return True


def _checked(key: str) -> str:
    if not is_key(key):
        raise ValueError(f"not a key: {key[:80]!r}")
    return key


def _digest(key: str) -> "hashlib._Hash":
    # The key is in it, so that an entry under a wrong name is not taken for another.
    return hashlib.sha256(f"{key}\n".encode())


def _line(digest: "hashlib._Hash") -> bytes:
    return f"{FORMAT} {digest.hexdigest()}\n".encode()


def _head(key: str, *parts: bytes) -> bytes:
    digest = _digest(key)
    for part in parts:
        digest.update(part)
    return _line(digest)


def _lock(path: Path, *, wait: bool) -> "BaseFileLock":
    """Return the lock of a file, held by nobody yet. It is never a mere file: that would outlive a killed holder."""
    from filelock import FileLock

    return FileLock(path, timeout=-1 if wait else 0, fallback_to_soft=False)


def _let_go(lock: "BaseFileLock") -> None:
    """Release a lock and remove its file: who waits for the removed file sees that, and makes a new one."""
    with suppress(OSError):
        Path(lock.lock_file).unlink()
    with suppress(OSError):  # it ends with the process then; the work under it stands
        lock.release()
