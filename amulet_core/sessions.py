"""What the core and an executor agree on: tasks one way, outcomes the other. Light: runs nothing itself.

An executor is a context manager that yields a ``Session``. The core hands it tasks as long as it has room, and takes
outcomes in any order. A task can be done in this process (``task.work()``), or elsewhere: ``task.letter`` is a line of
JSON that ``amulet_core.worker`` answers with another, wherever the same packages are installed and the same
cache folder can be seen.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from amulet_core.components import Resources


@dataclass(frozen=True)
class Done:
    """A job that ended well: what is to be known of its output (JSON), and what it took.

    ``memory_mb`` is the peak of the process that did it, so far. ``reused``: its output was there already.
    """

    record: Mapping[str, Any]
    seconds: float = 0.0
    memory_mb: float = 0.0
    reused: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """A job that did not: who is to blame, why, and where."""

    blame: str
    reason: str
    traceback: str = ""


@dataclass(frozen=True)
class Lost:
    """A job that could not start: the output of the job ``key``, which it needs, is gone or damaged."""

    key: str
    reason: str


@dataclass(frozen=True)
class Busy:
    """A job that another run is doing just now: it is asked for again later, and then found."""

    key: str


Outcome = Done | Failed | Lost | Busy
_KINDS: Final = {"done": Done, "failed": Failed, "lost": Lost, "busy": Busy}


@dataclass(frozen=True)
class Task:
    """A job that can be done now: ``work`` does it in this process, ``letter`` has it done in another."""

    key: str
    label: str
    work: Callable[[], Outcome]
    letter: str = ""
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True)
class Setting:
    """What an executor may know of the run it serves.

    ``threads`` each job uses; ``cache``: the folder through which workers exchange outputs; ``greeting`` is what
    ``amulet_core.worker.problems`` wants, to see whether a worker fits the run; ``warn`` tells the user
    something.
    """

    threads: int
    cache: str
    greeting: str
    warn: Callable[[str], None]


class Session(Protocol):
    """A started executor."""

    @property
    def room(self) -> int:
        """Count the tasks it would take now."""

    def submit(self, task: Task) -> None:
        """Take a task."""

    def next(self) -> tuple[str, Outcome]:
        """Wait for a task to end; return its key and outcome."""


def outcome_json(outcome: Outcome) -> str:
    """Return an outcome as one line of JSON."""
    kind = next(name for name, one in _KINDS.items() if isinstance(outcome, one))
    return json.dumps({"kind": kind, **asdict(outcome)}, allow_nan=False)


def outcome_of(text: str) -> Outcome:
    """Return the outcome that ``outcome_json`` wrote.

    Raises:
        ValueError: if the text is no outcome.
    """
    try:
        given = json.loads(text)
        kind = _KINDS[given.pop("kind")]
        if "warnings" in given:
            given["warnings"] = tuple(given["warnings"])
        outcome: Outcome = kind(**given)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not an outcome: {text[:200]!r}") from error
    return outcome
