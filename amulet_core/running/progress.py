"""What a run shows while it goes on: a bar with rate and time left, or plain lines where there is no terminal.

No time left is told before a twentieth of the jobs, and five, are done: the first ones train models, and take longer
than most.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

_STEPS: Final = 20
"""Into how many parts plain lines divide a run."""
_FEWEST: Final = 5
"""Jobs by which the others can be judged."""

Advance = Callable[[int, int, str], None]
"""``advance(done, total, label)``: ``label`` names what has just been finished."""


@contextmanager
def shown_progress(total: int, stream: TextIO | None = None) -> Iterator[Advance]:
    """Yield a function that shows progress on ``stream`` (standard error)."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _plain(stream)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class TimeLeft(TimeRemainingColumn):
        """The time left, once enough is done to tell."""

        def render(self, task: Task) -> Text:
            """Return the time, or dashes in its place."""
            known = _tells(int(task.completed), int(task.total or 0))
            return super().render(task) if known else Text("-:--:--", style="progress.remaining")

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeLeft(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        task = progress.add_task("", total=total, rate="")
        start = time.monotonic()

        def advance(done: int, total: int, label: str) -> None:
            rate = f"{done / max(time.monotonic() - start, 1e-9):.1f} jobs/s"
            progress.update(task, completed=done, total=total, description=label, rate=rate)

        yield advance


def _plain(stream: TextIO) -> Advance:
    start = time.monotonic()
    last = [-1]

    def advance(done: int, total: int, label: str) -> None:
        """Print a line for every twentieth of the run, and for the last job."""
        step = done * _STEPS // total
        if step > last[0] or done == total:
            last[0] = step
            seconds = time.monotonic() - start
            left = f", about {seconds / done * (total - done):.0f} s left" if _tells(done, total) else ""
            print(f"[{done}/{total}] {seconds:.0f} s{left}: {label}", file=stream, flush=True)

    return advance


def _tells(done: int, total: int) -> bool:
    """Say whether enough jobs are done for the others to be judged by them."""
    return done * _STEPS >= total and done >= min(_FEWEST, total)
