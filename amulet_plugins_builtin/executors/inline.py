"""The plain executor: one job after the other, in this process."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from amulet_core.components import NoParams


class InlineSession:
    """Holds one task at most, and does it when it is asked for the next outcome."""

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._tasks: deque[tuple[str, Callable[[], Any]]] = deque()

    @property
    def room(self) -> int:
        """Count the tasks it would take now."""
        return 1 - len(self._tasks)

    def submit(self, key: str, task: Callable[[], Any]) -> None:
        """Take a task."""
        self._tasks.append((key, task))

    def next(self) -> tuple[str, Any]:
        """Do the task that was taken; return its key and outcome."""
        key, task = self._tasks.popleft()
        return key, task()


@contextmanager
def inline(_params: NoParams) -> Iterator[InlineSession]:
    """Yield a session that does one job after the other."""
    yield InlineSession()
