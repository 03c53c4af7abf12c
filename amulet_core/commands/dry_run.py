"""``amulet run --dry-run``: what a run would do, as text. Light, once the cache knows the facts of the data set."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from amulet_core.configuration.reading import read, resolve
from amulet_core.configuration.request import Request
from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError
from amulet_core.planning.facts import DataFacts, facts_of, remember_facts
from amulet_core.running.forecast import Forecast, Line, forecast
from amulet_core.running.run_folder import check_folder, located
from amulet_core.storage.store import Store, cache_folder


def dry_run(path: str, *, out: str | None, overrides: Sequence[str], registry: Registry) -> int:
    """Print what a run of a configuration file, or of a run's folder, would do; return the exit code."""
    file, folder = located(path, out)
    request = resolve(read(file, overrides), registry)
    store, taken = Store(cache_folder()), _taken(folder, request)
    found = forecast(request, store, None if taken else folder, loaded=lambda: _loaded(request, store))
    found = replace(found, notes=(*found.notes, *taken))
    sys.stdout.write(f"{forecast_text(request.name, found)}\n")
    return 0


def forecast_text(name: str, found: Forecast) -> str:
    """Return a forecast as plain text."""
    total, todo = sum(line.jobs for line in found.lines), sum(line.todo for line in found.lines)
    skipped = sum(count for _, count in found.skipped)
    lines = [
        f"{name}: {found.cells} cells ({skipped} skipped), {total} jobs, {total - todo} of them done before",
        *found.data,
        "",
        f"{'':24}{'jobs':>8}{'to do':>8}   time",
        *(f"{line.kind:24}{line.jobs:>8}{line.todo:>8}   {_time(line)}" for line in found.lines),
        "",
        f"Models: {_untrained(found)} are still to be trained.",
        _total(found, todo),
    ]
    lines += [f"skipped ({count}): {reason}" for reason, count in found.skipped]
    lines += [f"warning: {warning}" for warning in found.warnings] + [f"note: {note}" for note in found.notes]
    return "\n".join([*lines, "Nothing was run."])


def _taken(folder: Path, request: Request) -> list[str]:
    """Say why a run could not go into the folder; nothing is written now, so that it keeps nobody from asking."""
    try:
        check_folder(folder, request)
    except RequestError as error:
        return [
            f"{problem} Until then a run is refused; nothing in the folder was counted." for problem in error.problems
        ]
    return []


def _loaded(request: Request, store: Store) -> DataFacts:
    """Load the data for their facts, and keep these, so that the next forecast need not."""
    from amulet_core.performing.ground import load_data

    facts = facts_of(load_data(request))
    with suppress(OSError):  # the next one takes as long, no more
        remember_facts(store, request, facts)
    return facts


def _untrained(found: Forecast) -> str:
    kinds = {
        "independent models": found.independent,
        "models of populations": found.populations,
        "models with audit rows": found.audited,
    }
    more = "".join(f", and {_of(counts)} {kind}" for kind, counts in kinds.items() if counts[0])
    return f"{_of(found.victims)} victims and {_of(found.shadow_models)} shadow models{more}"


def _of(counts: tuple[int, int]) -> str:
    return f"{counts[1]} of {counts[0]}"


def _time(line: Line) -> str:
    if not line.todo:
        return "-"
    if line.unknown == line.todo:
        return "unknown: no job like these was timed here"
    more = f", and {line.unknown} of unknown duration" if line.unknown else ""
    return f"about {_duration(line.seconds)}{more}"


def _total(found: Forecast, todo: int) -> str:
    unknown = sum(line.unknown for line in found.lines)
    if not todo:
        return "All results are there already: the report would be written in seconds."
    if unknown == todo:
        return "No job like these was timed here yet: how long they take is not known."
    more = f" without the {unknown} jobs of unknown duration" if unknown else ""
    seconds = sum(line.seconds for line in found.lines)
    return (
        f"One after the other: about {_duration(seconds)}{more}; about {found.memory_mb / 1024:.1f} GB of memory "
        "for each process that works."
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
