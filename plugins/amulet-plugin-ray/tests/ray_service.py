"""What workers do in tests, found by its name on the import path: answers without a run, and gates to be met at."""

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from amulet_core.sessions import Done, outcome_json

SECONDS = 90


@dataclass(frozen=True)
class Gate:
    """A named pipe: a job says there that it has come, and waits for ever."""

    path: Path

    def __post_init__(self):
        os.mkfifo(self.path)

    def come(self):
        """Wait for a job at the gate; return the id of its process."""
        came = []
        reader = threading.Thread(target=lambda: came.append(self.path.read_text().split()[0]), daemon=True)
        reader.start()
        reader.join(SECONDS)
        assert came, f"no job came to {self.path} within {SECONDS} s"
        return int(came[0])


def wait_at_gate(path=None):
    path = path or os.environ.get("GATE")
    if path:
        with Path(path).open("w") as gate:  # opens when somebody reads
            gate.write(f"{os.getpid()}\n")
        threading.Event().wait()


def problems(greeting):
    """Complain of whatever the run says in its greeting."""
    return json.loads(greeting)


def answer(letter):
    """Do what a letter says: tell of the surroundings, or something worse."""
    order, _, rest = letter.partition(" ")
    match order:
        case "raise":
            raise RuntimeError("the answer is out of order")
        case "babble":
            return "no outcome"
        case "wait":
            wait_at_gate(rest)
        case "die":
            path, times = rest.split()
            with Path(path).open("a") as tries:
                tries.write("x")
            if Path(path).stat().st_size <= int(times):
                os._exit(3)
        case "gate":
            wait_at_gate()
        case "forever":
            threading.Event().wait()
    return outcome_json(Done({"letter": letter, **_surroundings()}))


def _surroundings():
    import ray

    here = ray.get_runtime_context()
    wanted = ("AMULET_CACHE", "AMULET_DATA", "AMULET_PLUGINS")
    return {
        "environment": {name: os.environ.get(name) for name in wanted},
        "resources": here.get_assigned_resources(),
        "name": here.get_task_name(),
        "cluster": here.gcs_address,
    }
