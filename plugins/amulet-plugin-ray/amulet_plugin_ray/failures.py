"""What Ray says when a worker gave no answer, in words for a table. Imports Ray: for Ray's own process alone."""

import re
from typing import Final

import ray
from amulet_core.errors import cause_of
from amulet_core.sessions import Failed

from amulet_plugin_ray.settings import ID

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_ADVICE: Final = re.compile(r" (This can happen if|OOM kill reason:|Check python-core-worker).*")
"""Where Ray begins to say how to look into it: the traceback has all of it."""
_LONGEST: Final = 400


def failure(error: ray.exceptions.RayError, *, tries: int) -> Failed:
    """Say what became of a job that no worker gave an outcome of."""
    words = _COLOURS.sub("", str(error))
    if isinstance(error, ray.exceptions.RayTaskError):
        return Failed(ID, cause_of(error.cause), words)
    if isinstance(
        error, ray.exceptions.NodeDiedError | ray.exceptions.WorkerCrashedError | ray.exceptions.OutOfMemoryError
    ):
        return Failed(ID, f"lost with its worker or its node, tried {tries} times; the last: {short(error)}", words)
    return Failed(ID, short(error), words)


def short(error: Exception) -> str:
    """Return an exception as one line of bounded length, without Ray's advice."""
    text = _ADVICE.sub("", _COLOURS.sub("", cause_of(error)))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
