"""The line to Ray's own process: started with the run, ended with it. Light: imports no Ray."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Final

from amulet_core.lines import ending

from amulet_plugin_ray.messages import Message, News

_PATIENCE: Final = 5.0
"""Seconds that Ray's process may take to leave the cluster."""
_LAST_WORDS: Final = 4000


class CutError(Exception):
    """Ray's process has ended; the text says how, and what it said last."""


class Line:
    """Messages to Ray's process, and news from it."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        """Talk to a process that was started with pipes, and whose standard error goes to ``log``."""
        self._process, self._log = process, log

    def send(self, message: Message) -> None:
        """Send a message. That the process has ended shows when the next news are waited for."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(message.line())
            self._process.stdin.flush()

    def receive(self) -> News:
        """Wait for news.

        Raises:
            CutError: if there will be none.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.endswith(b"\n"):
            return News.model_validate_json(line)
        raise CutError(f"its process {ending(self._process.wait())}, and said last: {self._last_words()}")

    def cut(self) -> None:
        """End the process at once."""
        self._process.kill()

    def _last_words(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - _LAST_WORDS))
        said = [line for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        return said[-1].strip() if said else "nothing"


@contextmanager
def line_to(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Line]:
    """Start a process and yield the line to it; afterwards it may leave the cluster, and is ended if it does not."""
    with tempfile.TemporaryFile() as log:
        # A session of its own: Ctrl-C at the terminal is for the run, which then leaves the cluster in order.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
        try:
            yield Line(process, log)
        finally:
            _end(process)


def command(*, retries: int) -> tuple[list[str], dict[str, str]]:
    """Return how Ray's process is started: it imports what this one would, and Ray sends no usage statistics.

    Ray counts the ends of a job for want of memory apart from its other ``retries``, and knows no limit by default.
    """
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)  # noqa: PTH109 - a string is wanted
    return [sys.executable, "-P", "-m", "amulet_plugin_ray.driver"], os.environ | {
        "PYTHONPATH": path,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_task_oom_retries": str(retries),
    }


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
