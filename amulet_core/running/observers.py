"""Telling plugins of a run as it goes on: each in a process of its own, so that none can fail, block or disturb it."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from amulet_core.discovery.plugins import LoadedPlugin
from amulet_core.discovery.registry import Registry
from amulet_core.errors import cause_of
from amulet_core.hooks import OBSERVERS
from amulet_core.running.watched import Watched, whose

GRACE: Final = 30.0
"""Seconds that observers may take once a run is over: enough to upload some files, not too long for whoever waits."""
ROOM: Final = 32 * 2**20
"""Bytes of events that may wait for one plugin: minutes of a busy run, and little beside the run's own memory."""


@dataclass(frozen=True)
class Observers:
    """The plugins that observe a run, each in its process; ``unstarted`` says which processes could not be started."""

    watched: tuple[Watched, ...] = ()
    unstarted: tuple[str, ...] = ()

    def tell(self, hook: str, arguments: Mapping[str, Any]) -> None:
        """Have an observer hook called with these arguments (JSON), in every plugin that implements it; do not wait.

        Calls of one plugin keep their order. What does not fit into its queue is dropped, counted and reported, but for
        the start and the end of a run, which are always told.

        Raises:
            ValueError: when ``hook`` is not one of ``amulet_core.hooks.OBSERVERS``.
            TypeError: when the arguments are not JSON.
        """
        if hook not in OBSERVERS:
            raise ValueError(f"{hook} is not an observer hook; the observer hooks are {', '.join(OBSERVERS)}")
        interested = [one for one in self.watched if hook in one.hooks]
        if interested:
            line = json.dumps({"hook": hook, "arguments": arguments}).encode() + b"\n"
            for one in interested:
                one.tell(hook, line)

    def warnings(self) -> tuple[str, ...]:
        """Return what went wrong so far, one text a plugin and matter; all of it is known once the context is left."""
        return (*self.unstarted, *(text for one in self.watched for text in one.warnings()))


@contextmanager
def observed(registry: Registry, *, grace: float = GRACE, room: int = ROOM) -> Iterator[Observers]:
    """Start a process for every loaded plugin that observes runs, yield them all, and end them.

    On leaving, plugins have ``grace`` seconds to take what they were told, all together; then, or when Ctrl-C is
    pressed, they are killed, with a warning each. ``room`` is the bytes of events that may wait for one plugin.
    """
    watched: list[Watched] = []
    unstarted: list[str] = []
    try:
        for plugin in registry.plugins:
            if isinstance(plugin, LoadedPlugin) and (hooks := _observer_hooks(plugin)):
                try:
                    watched.append(Watched(plugin.found, hooks, grace=grace, room=room))
                except OSError as error:
                    unstarted.append(_unstarted(plugin, error))
        yield Observers(tuple(watched), tuple(unstarted))
    finally:
        _part(watched, grace)


def _observer_hooks(plugin: LoadedPlugin) -> frozenset[str]:
    return frozenset(hook for hook in OBSERVERS if getattr(plugin.hooks.hook, hook).get_hookimpls())


def _unstarted(plugin: LoadedPlugin, error: OSError) -> str:
    return (
        f"{whose(plugin.found)}: the process in which it observes could not be started: {cause_of(error).rstrip('.')}. "
        "It was told nothing of this run."
    )


def _part(watched: list[Watched], grace: float) -> None:
    when = f"{grace:g} s after the run"
    try:
        for one in watched:
            one.tell_no_more()
        deadline = time.monotonic() + grace
        for one in watched:
            one.wait(deadline - time.monotonic())
    except KeyboardInterrupt:  # the run is over: who presses Ctrl-C now does not want to wait for observers
        when = "when Ctrl-C was pressed"
    for one in watched:
        one.stop(when)
