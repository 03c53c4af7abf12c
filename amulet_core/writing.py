"""Writing a file so that a reader finds the old one or the new one, never half of either."""

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> Path:
    """Write ``text`` (UTF-8) to ``path`` in one step, making its folder, and return ``path``.

    Raises:
        OSError: where the folder cannot be written; nothing half-written stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())  # or a power cut after the rename could leave an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
