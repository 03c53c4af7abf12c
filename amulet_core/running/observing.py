"""The process of one plugin that observes a run: it calls the hooks for the events that come as lines of JSON.

The first line names the plugin. Every line is answered with another: the hook that was called, and why it failed (null:
it did not). What the plugin prints goes to stderr, and what it reads is empty, so that neither can disturb the lines.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

from amulet_core.discovery.loading import load_plugin
from amulet_core.discovery.plugins import BrokenPlugin, FoundPlugin, LoadedPlugin
from amulet_core.errors import cause_of
from amulet_core.lines import follow, part_from_the_lines

LONGEST_CAUSE: Final = 2000
"""How many characters of an error's text are told: some libraries put whole pages of a server into theirs."""


def main() -> None:
    """Observe a run: events come on stdin, answers leave on what was stdout, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's; this process ends with its stdin
    with os.fdopen(os.dup(0), "rb") as events, os.fdopen(os.dup(1), "wb") as answers:
        part_from_the_lines()
        for hook, cause in _answers(events):
            told = None if cause is None else cause[:LONGEST_CAUSE]
            answers.write(json.dumps([hook, told]).encode() + b"\n")
            answers.flush()


def _answers(events: IO[bytes]) -> Iterator[tuple[str, str | None]]:
    start = json.loads(events.readline())
    threading.Thread(target=follow, args=(start["run"],), kwargs={"grace": start["grace"]}, daemon=True).start()
    plugin = load_plugin(FoundPlugin(**start["plugin"]))
    if isinstance(plugin, BrokenPlugin):
        yield "", plugin.cause
        return
    yield "", None
    for line in events:
        event = json.loads(line)
        yield event["hook"], _failure(plugin, event["hook"], event["arguments"])


def _failure(plugin: LoadedPlugin, hook: str, arguments: Mapping[str, Any]) -> str | None:
    try:
        getattr(plugin.hooks.hook, hook)(**arguments)
    except BaseException as error:  # noqa: BLE001 - whatever an observer raises is told, and the next event comes
        return cause_of(error)
    return None


if __name__ == "__main__":
    main()
