"""A worker: does jobs of runs that were started elsewhere, told which by a line of JSON, answering with another.

Outputs go from one worker to the next through the cache folder, which all of them and the driver must see. Nothing is
unpickled, and what components print does not reach the answers.
"""

import os
import platform
import signal
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from amulet_core.configuration.reading import resolve
from amulet_core.configuration.request import load_all
from amulet_core.discovery.registry import discover
from amulet_core.errors import RequestError, cause_of
from amulet_core.lines import follow, part_from_the_lines
from amulet_core.performing.workbench import Recent, Workbench
from amulet_core.planning.plan import Plan, plan
from amulet_core.running.run_note import RunNote, misfits, read_note
from amulet_core.schema import Frozen
from amulet_core.sessions import Failed, Outcome, outcome_json
from amulet_core.storage.fingerprint import note_code
from amulet_core.storage.store import Store

_OUTPUTS = 8
"""How many outputs a worker remembers: a victim and the banks of its shadow models serve several attacks in a row."""


class Greeting(Frozen):
    """Which run a worker is to serve, and the folder where it finds it."""

    run: str
    cache: str


class Letter(Greeting):
    """Which job of the run is to be done."""

    key: str


@dataclass(frozen=True)
class _Place:
    plan: Plan
    bench: Workbench
    content: str


def answer(letter: str) -> str:
    """Do the job that a letter names, and return the outcome as a line of JSON; every trouble is an outcome too."""
    try:
        return outcome_json(_outcome(Letter.model_validate_json(letter)))
    except ValidationError:
        return outcome_json(Failed("amulet", f"{_here()} was sent no letter, but {letter[:80]!r}"))
    except RequestError as error:
        return outcome_json(Failed("amulet", f"{_here()} does not fit the run: {'; '.join(error.problems)}"))
    except Exception as error:  # noqa: BLE001  # a worker must answer, whatever happens
        return outcome_json(Failed("amulet", f"{_here()} failed: {cause_of(error)}"))


def problems(greeting: str) -> list[str]:
    """List why this process cannot serve a run; each text names the machine. An empty list: it can."""
    try:
        given = Greeting.model_validate_json(greeting)
        Store(given.cache)
        note = read_note(Path(given.cache), given.run)
        found = misfits(note)
        if not found:
            resolve(note.config, discover())
    except RequestError as error:
        found = list(error.problems)
    return [f"{_here()} does not fit the run: {problem}" for problem in found]


def main() -> None:
    """Answer letters line by line, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it ends it, by closing its input
    threading.Thread(target=follow, args=(os.getppid(),), kwargs={"grace": 0.0}, daemon=True).start()
    with os.fdopen(os.dup(0), encoding="utf-8") as letters, os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        part_from_the_lines()
        for letter in letters:
            print(answer(letter), file=out, flush=True)


def _outcome(letter: Letter) -> Outcome:
    place = _place(letter.cache, letter.run)
    if letter.key not in place.plan.jobs:
        note = read_note(Path(letter.cache), letter.run)
        raise RequestError(
            *(_content_misfit(note, place) or ["it plans other jobs than the driver, and both look alike"])
        )
    return place.bench.do(letter.key)


@lru_cache(maxsize=1)
def _place(cache: str, run: str) -> _Place:
    """Set up for a run, once: plan it again, and load its data."""
    store, note = Store(cache), read_note(Path(cache), run)
    if found := misfits(note):
        raise RequestError(*found)
    from amulet_core.performing.craft import GroundedCraft
    from amulet_core.performing.ground import lay_ground, load_data
    from amulet_core.planning.facts import facts_of
    from amulet_core.planning.layout import layout_of

    request = resolve(note.config, discover())
    load_all(request)
    note_code(use.entry for use in request.uses)
    data = load_data(request)
    facts = facts_of(data)
    todo = plan(request, facts)
    ground = lay_ground(data, request, layout_of(request, data.schema))
    craft = GroundedCraft(ground, request.threads_per_job)
    bench = Workbench(todo, craft, store, memory=Recent(_OUTPUTS), alone=False)
    return _Place(todo, bench, facts.content)


def _content_misfit(note: RunNote, place: _Place) -> list[str]:
    if note.content == place.content:
        return []
    name = note.config["dataset"]["name"]
    return [f"its copy of the data set {name} has other rows: give all machines the same files"]


def _here() -> str:
    return f"the worker on {platform.node()} (process {os.getpid()})"


if __name__ == "__main__":
    main()
