"""What a run shows while it goes on: a bar with rate and time left, or plain lines where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

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
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
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
        step = done * 20 // total
        if step > last[0] or done == total:
            last[0] = step
            seconds = time.monotonic() - start
            left = seconds / done * (total - done)
            print(f"[{done}/{total}] {seconds:.0f} s, about {left:.0f} s left: {label}", file=stream, flush=True)

    return advance
