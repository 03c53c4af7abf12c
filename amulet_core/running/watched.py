"""One plugin that observes a run, in a process of its own: events go to it by a thread, answers come by another."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import IO, Final

from amulet_core.discovery.plugins import SELECTION, FoundPlugin
from amulet_core.lines import ending

ALWAYS_TOLD: Final = frozenset({"amulet_run_started", "amulet_run_finished"})
SECONDS_TO_DIE: Final = 5.0
"""How long a killed process is waited for: one that hangs in a dead file system cannot even be killed."""


def whose(found: FoundPlugin) -> str:
    """Name a plugin as its warnings begin."""
    return f"plugin {found.whose}"


class Watched:
    """A plugin's process, and what is known of it: events told, taken and dropped, and failures by hook.

    Raises:
        OSError: when the process cannot be started.
    """

    def __init__(self, found: FoundPlugin, hooks: AbstractSet[str], *, grace: float, room: int) -> None:
        """Start the process; of the observer hooks, the plugin implements ``hooks``."""
        self.hooks = hooks
        self._whose = whose(found)
        self._room = room
        self._lock = Lock()
        self._ended = Event()
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._told = self._taken = self._dropped = 0
        self._unloaded = ""
        self._failures: dict[str, tuple[str, int]] = {}
        self._deaf = False
        self._exit: int | None = None
        self._stopped = ""
        self._process = _started()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        start = {"plugin": asdict(found), "grace": grace, "run": os.getpid()}
        first = json.dumps(start).encode() + b"\n"
        self._waiting = len(first)
        self._lines.put(first)
        self._writer = Thread(target=self._write, args=(self._process.stdin,), daemon=True)
        self._reader = Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._writer.start()
        self._reader.start()

    def tell(self, hook: str, line: bytes) -> None:
        """Queue an event, or drop it where there is no room; never wait."""
        with self._lock:
            if self._waiting + len(line) > self._room and hook not in ALWAYS_TOLD:
                self._dropped += 1
                return
            self._told += 1
            if self._deaf:
                return
            self._waiting += len(line)
        self._lines.put(line)

    def tell_no_more(self) -> None:
        """Let the process end when it has taken what it was told."""
        self._lines.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until the process has ended, but no longer than ``seconds``."""
        self._ended.wait(max(0.0, seconds))

    def stop(self, when: str) -> None:
        """Kill the process if it has not ended, with whatever it has started; warnings say that it was ``when``."""
        if not self._ended.is_set():
            self._stopped = when
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join(SECONDS_TO_DIE)
        self._writer.join(SECONDS_TO_DIE)

    def warnings(self) -> tuple[str, ...]:
        """Return what went wrong so far."""
        with self._lock:
            failed = [
                f"{self._whose}: its {hook} failed and was ignored: {cause.rstrip('.')}{_times(count)}."
                for hook, (cause, count) in self._failures.items()
            ]
            return tuple(text for text in (self._loss(), *failed, self._end()) if text)

    def _loss(self) -> str:
        if not self._dropped:
            return ""
        return (
            f"{self._whose}: it takes events more slowly than they come, and {self._dropped} of "
            f"{self._dropped + self._told} were dropped. What it records of this run is incomplete."
        )

    def _end(self) -> str:
        left = f"with {self._told - self._taken} of {self._told} events not taken"
        if self._unloaded:
            cause = self._unloaded.rstrip(".")
            return f"{self._whose}: it could not be loaded to observe, and was told nothing of this run: {cause}."
        if self._stopped:
            return (
                f"{self._whose}: it had not ended {self._stopped} and was stopped, {left}. "
                f"What it records of this run is incomplete. See what it waits for, or leave it out by {SELECTION}."
            )
        if self._exit is not None and (self._exit or self._told > self._taken):
            return (
                f"{self._whose}: the process in which it observes {ending(self._exit)}, {left}. "
                "What it records of this run is incomplete."
            )
        return ""

    def _write(self, pipe: IO[bytes]) -> None:
        with suppress(BrokenPipeError), pipe:
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()
                with self._lock:
                    self._waiting -= len(line)
        with self._lock:
            self._deaf = True

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                if line.endswith(b"\n"):  # else the process was killed while it wrote
                    self._note(*json.loads(line))
        code = self._process.wait()
        with self._lock:
            self._exit = code
        self._ended.set()

    def _note(self, hook: str, cause: str | None) -> None:
        with self._lock:
            if not hook:
                self._unloaded = cause or ""
                return
            self._taken += 1
            if cause is not None:
                first, count = self._failures.get(hook, (cause, 0))
                self._failures[hook] = first, count + 1


def _started() -> subprocess.Popen[bytes]:
    """Start the process, where what this one can import can be imported, and where no Ctrl-C reaches it."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100 - "" is this folder too
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "amulet_core.running.observing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        process_group=0,
    )


def _times(count: int) -> str:
    return f" (the first of {count} times)" if count > 1 else ""
