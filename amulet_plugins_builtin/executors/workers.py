"""One worker process: letters go in, lines come out, and its last words are kept in case it dies."""

import os
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

import psutil

from amulet_core.lines import ending
from amulet_core.sessions import Task

_CHUNK: Final = 1 << 16
_CHUNKS: Final = 16
"""How many chunks are read at once: all that a pipe can hold, and an end to a worker that writes without end."""
_LAST_WORDS: Final = 8_000
_START: Final = 120.0
"""For how many seconds a worker may start."""
_PATIENCE: Final = 3.0
"""For how many seconds workers that were told to end may take their time."""


@dataclass(frozen=True)
class Command:
    """How a worker is started."""

    arguments: Sequence[str]
    environment: Mapping[str, str]


def worker_command() -> Command:
    """Return the command of a worker that imports what this process would import, and says where it crashed."""
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)  # noqa: PTH109 - a string is wanted
    environment = os.environ | {"PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}
    # -P: without it, -m would put the current folder first, and a random.py there would be imported.
    return Command((sys.executable, "-P", "-m", "amulet_core.worker"), environment)


class Worker:
    """A process with three pipes of its own, and the task it is at.

    Each worker has its own pipes, hence one that is killed in the middle of a line harms nobody else.
    """

    def __init__(self, command: Command, selector: selectors.BaseSelector) -> None:
        """Start the process, and have ``selector`` watch what it writes.

        Raises:
            OSError: if the system starts no process.
        """
        # A fresh interpreter, never a fork of this one: the threads of torch's pools do not live on in a copy, but
        # their locks do. A session of its own: Ctrl-C at the terminal is for the driver, which ends its workers.
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command.arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=command.environment,
            bufsize=0,
            start_new_session=True,
        )
        self.task: Task | None = None
        self.tasks, self.since, self.memory = 0, 0.0, 0
        self._selector = selector
        self._said, self._last_words = b"", b""
        for pipe in (self._stdout, self._stderr):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, self)

    def send(self, task: Task) -> None:
        """Give the worker a task. A worker that is dead already is found out later, as any other that dies."""
        self.task, self.since, self._last_words = task, time.monotonic(), b""
        self.tasks += 1
        with suppress(BrokenPipeError):
            self._stdin.write(task.letter.encode() + b"\n")

    def read(self) -> None:
        """Take what the worker has written since; pass on what it, or a component, said on its standard error."""
        self._said += self._drained(self._stdout)
        words = self._drained(self._stderr)
        self._last_words = (self._last_words + words)[-_LAST_WORDS:]
        if words:
            sys.stderr.write(words.decode(errors="replace"))

    @property
    def said(self) -> str | None:
        """Return what it answered, as soon as that is a whole line (or more, which it should not be)."""
        return self._said.decode(errors="replace") if b"\n" in self._said else None

    @property
    def talks(self) -> bool:
        """Say whether it has begun a line."""
        return bool(self._said)

    @property
    def last_words(self) -> str:
        """Return the end of what it said on its standard error since it got its task."""
        return self._last_words.decode(errors="replace").strip()

    @property
    def dead(self) -> bool:
        """Say whether the process has ended, or closed its output, so that it can answer no more."""
        return self.process.poll() is not None or self._stdout not in self._selector.get_map()

    def free(self) -> Task:
        """Take the task away from the worker, which may then get another, and forget the answer."""
        task = self.task
        assert task is not None
        self.task, self._said = None, b""
        return task

    def weigh(self) -> None:
        """Look up the resident memory of the process, in bytes; of a dead one, the last that was seen stays."""
        with suppress(psutil.Error):
            self.memory = psutil.Process(self.process.pid).memory_info().rss or self.memory

    def stop(self, number: signal.Signals) -> None:
        """Send a signal to the process, and to all it has started, unless it was seen to be dead."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def close_input(self) -> None:
        """Tell the worker that there are no more tasks."""
        self._stdin.close()

    def close(self) -> None:
        """Give back the pipes."""
        for pipe in (self._stdout, self._stderr):
            self._forget(pipe)
            pipe.close()

    def _drained(self, pipe: IO[bytes]) -> bytes:
        if pipe not in self._selector.get_map():
            return b""
        chunks: list[bytes] = []
        with suppress(BlockingIOError):
            while len(chunks) < _CHUNKS:
                chunk = os.read(pipe.fileno(), _CHUNK)
                if not chunk:
                    self._forget(pipe)  # at its end, or it would be ready to be read for ever
                    break
                chunks.append(chunk)
        return b"".join(chunks)

    def _forget(self, pipe: IO[bytes]) -> None:
        with suppress(KeyError):
            self._selector.unregister(pipe)

    @property
    def _stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def _stderr(self) -> IO[bytes]:
        assert self.process.stderr is not None
        return self.process.stderr


def refusal(command: Command) -> str | None:
    """Return why no worker can be started, or None if one can: without any letter, it has nothing to do but end."""
    by_hand = f"See for yourself: {shlex.join(command.arguments)} </dev/null"
    try:
        tried = subprocess.run(  # noqa: S603 - our own interpreter
            command.arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=command.environment,
            timeout=_START,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return f"after {_START:g} s it was still starting. {by_hand}"
    said = tried.stderr.decode(errors="replace").strip() or "nothing"
    last = said.splitlines()[-1]
    return f"it {ending(tried.returncode)}, and said last: {last}. {by_hand}" if tried.returncode else None


def end(workers: Iterable[Worker]) -> None:
    """End workers: the idle ones by themselves, those at a task by a signal, whoever is left after a while by force."""
    ending = list(workers)
    for worker in ending:
        worker.close_input()
        if worker.task is not None:
            worker.stop(signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    for worker in ending:
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        worker.stop(signal.SIGKILL)
        worker.process.wait()
        worker.close()
