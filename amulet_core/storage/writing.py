"""Writing a file so that a reader finds the old one or the new one, never half of either."""

import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_TEMPORARY: Final = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp")


def replace_text(path: Path, text: str) -> Path:
    """Write ``text`` (UTF-8) to ``path`` in one step, making its folder, and return ``path``.

    Raises:
        OSError: where the folder cannot be written; nothing half-written stays behind.
    """
    return replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> Path:
    """Write ``content`` to ``path`` in one step, making its folder, and return ``path``.

    Raises:
        OSError: where the folder cannot be written; nothing half-written stays behind.
    """
    return replace_parts(path, (content,))


def replace_parts(path: Path, parts: Iterable[bytes]) -> Path:
    """Write ``parts``, one after the other, to ``path`` in one step, making its folder, and return ``path``.

    Raises:
        OSError: where the folder cannot be written; nothing half-written stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    stream = temporary.open("xb")
    try:
        with stream:
            stream.writelines(parts)
            stream.flush()
            os.fsync(stream.fileno())  # or a power cut after the rename could leave an empty file
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # what went wrong is told, not what it led to
            temporary.unlink()
        raise
    return path


def is_temporary(name: str) -> bool:
    """Say whether a file of this name is one being written, or what a writer that was killed left behind."""
    return _TEMPORARY.fullmatch(name) is not None
