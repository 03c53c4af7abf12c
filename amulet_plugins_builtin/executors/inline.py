"""The plain executor: one job after the other, in this process."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from amulet_core.components import NoParams
from amulet_core.sessions import Outcome, Setting, Task


class InlineSession:
    """Holds one task at most, and does it when it is asked for the next outcome."""

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._tasks: deque[Task] = deque()

    @property
    def room(self) -> int:
        """Count the tasks it would take now."""
        return 1 - len(self._tasks)

    def submit(self, task: Task) -> None:
        """Take a task."""
        self._tasks.append(task)

    def next(self) -> tuple[str, Outcome]:
        """Do the task that was taken; return its key and outcome."""
        task = self._tasks.popleft()
        return task.key, task.work()


@contextmanager
def inline(_params: NoParams, _setting: Setting) -> Iterator[InlineSession]:
    """Yield a session that does one job after the other."""
    yield InlineSession()
