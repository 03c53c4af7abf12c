"""Small workers that speak the protocol of the real one, and do what a test's letters tell them."""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amulet_core.components import Resources
from amulet_core.sessions import Done, Outcome, Setting, Task
from amulet_plugins_builtin.catalogue.executors import ProcessesParams
from amulet_plugins_builtin.executors.machine import Machine
from amulet_plugins_builtin.executors.processes import ProcessesSession, started
from amulet_plugins_builtin.executors.workers import Command

FAKE = """
import json, os, signal, subprocess, sys, time
from pathlib import Path

Path(sys.argv[1]).open("a").write(f"{os.getpid()}\\n")
held = []
for line in sys.stdin:
    letter = json.loads(line)
    told = {"kind": "done", "record": {"pid": os.getpid()}}
    first = "once" not in letter or not Path(letter["once"]).exists()
    if "once" in letter:
        Path(letter["once"]).touch()
    print(letter.get("moan", ""), end="", file=sys.stderr, flush=True)
    if "half" in letter and first:
        print(json.dumps(told)[:9], end="", flush=True)
    if "exit" in letter and first:
        os._exit(letter["exit"])
    if "kill" in letter and first:
        os.kill(os.getpid(), letter["kill"])
    if "deaf" in letter:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "child" in letter:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(letter["child"]).write_text(str(child.pid))
    if "eat" in letter:
        held.append(b"x" * letter["eat"])
    if sum(map(len, held)) > letter.get("full", float("inf")) or "hang" in letter:
        if "hang" in letter:
            Path(letter["hang"]).open("w").close()
        time.sleep(600)
    if "meet" in letter:
        Path(letter["meet"]).open(letter["mode"]).close()
    if "long" in letter:
        told["record"]["long"] = "x" * letter["long"]
    print(letter.get("answer") or json.dumps(told), flush=True)
    if "last" in letter:
        os._exit(0)
    if "more" in letter:
        Path(letter["more"][0]).open().close()
        print("more", flush=True)
        Path(letter["more"][1]).open("w").close()
"""
"""Each key of a letter is one thing to do. ``hang``, ``meet`` and ``more`` name FIFOs, which open only for two."""


class Bench:
    """A place to start sessions with fake workers, which notes what they warn of and which processes were started."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.warnings = folder, []
        self.script, self.starts = folder / "fake_worker.py", folder / "starts.txt"
        self.script.write_text(FAKE)
        self.starts.touch()
        self.command = Command((sys.executable, str(self.script), str(self.starts)), {})

    @contextmanager
    def session(
        self, *, cores: int = 2, memory: int = 10**12, command: Command | None = None, **params: Any
    ) -> Iterator[ProcessesSession]:
        setting = Setting(threads=1, cache="", greeting="", warn=self.warnings.append)
        with started(command or self.command, ProcessesParams(**params), setting, Machine(cores, memory)) as session:
            yield session

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self.starts.read_text().split()]

    def fifo(self, name: str) -> str:
        os.mkfifo(self.folder / name)
        return str(self.folder / name)


def task(key: str, *, memory_gb: float = 0.0, **letter: Any) -> Task:
    def elsewhere() -> Any:
        raise AssertionError("a job was done in the driver's process")

    return Task(
        key=key, label=f"job {key}", work=elsewhere, letter=json.dumps(letter), resources=Resources(memory_gb=memory_gb)
    )


def finish(session: ProcessesSession, tasks: list[Task]) -> dict[str, Any]:
    """Have all tasks done, as the core would; return the outcomes by key."""
    waiting, outcomes = list(tasks), {}
    while len(outcomes) < len(tasks):
        while waiting and session.room > 0:
            session.submit(waiting.pop(0))
        key, outcome = session.next()
        assert key not in outcomes
        outcomes[key] = outcome
    return outcomes


def pid_of(outcome: Outcome) -> int:
    """Return the process that did a job, which must have ended well."""
    assert isinstance(outcome, Done)
    pid: int = outcome.record["pid"]
    return pid


def unmeasured(reason: str) -> str:
    """Return a reason without the amount of memory in it, which is never twice the same."""
    return re.sub(r"[\d.]+ GB of memory", "N GB of memory", reason)
