"""Ray's own process: joins the cluster, hands it the jobs that come in line by line, and writes a line for each end.

Ray prints, takes over signals, and ends the process that uses it when the cluster's head is gone. None of that may
happen to the run.
"""

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, BinaryIO, Final

from amulet_plugin_ray.cluster import NotJoinedError, joined, performer, problems_of_nodes
from amulet_plugin_ray.jobs import Jobs
from amulet_plugin_ray.messages import Joining, News, Order

_LOOK: Final = 1.0
"""Seconds between two looks at the nodes."""
Ended = tuple[str, Any, Future[str]]


def main() -> None:
    """Serve one run: until its end of our standard input is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started us ends us
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0) as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        joining = Joining.model_validate_json(sys.stdin.buffer.readline())
        serve(joining, sys.stdin.buffer, lambda news: _write(out, news))


def serve(joining: Joining, lines: Iterable[bytes], tell: Callable[[News], None]) -> None:
    """Join the cluster, do the jobs that come in as ``lines``, and leave it when there are no more lines."""
    try:
        with joined(joining):
            tell(News(kind="reached"))
            function = performer(joining)
            found = problems_of_nodes(function, joining)
            if found:
                tell(News(kind="refused", texts=tuple(found)))
            else:
                _work(function, joining, lines, tell)
    except NotJoinedError as error:
        tell(News(kind="refused", texts=(str(error),)))


def _work(function: Any, joining: Joining, lines: Iterable[bytes], tell: Callable[[News], None]) -> None:
    events: queue.SimpleQueue[Order | Ended | None] = queue.SimpleQueue()
    jobs = Jobs(function, joining, tell, lambda *ended: events.put(ended))
    tell(News(kind="joined", room=jobs.room))
    threading.Thread(target=partial(_read, lines, events.put), daemon=True).start()
    looked = time.monotonic()
    try:
        while True:
            event = _next(events)
            if event is None:
                return
            if isinstance(event, Order):
                jobs.submit(event)
            elif event:
                jobs.settle(*event)
            if time.monotonic() - looked >= _LOOK:
                jobs.look()
                looked = time.monotonic()
    finally:
        jobs.drop()


def _next(events: "queue.SimpleQueue[Order | Ended | None]") -> Order | Ended | tuple[()] | None:
    """Return what happened; nothing, after a while in which nothing did; None, when no more jobs come."""
    try:
        return events.get(timeout=_LOOK)
    except queue.Empty:
        return ()


def _read(lines: Iterable[bytes], put: Callable[[Order | None], None]) -> None:
    for line in lines:
        put(Order.model_validate_json(line))
    put(None)


def _write(out: BinaryIO, news: News) -> None:
    out.write(news.line())


if __name__ == "__main__":
    main()
