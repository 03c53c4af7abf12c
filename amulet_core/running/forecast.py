"""What a run would do, and about how long it would take. Light, once the cache knows the facts of the data set."""

import sys
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from amulet_core.configuration.reading import read, resolve
from amulet_core.configuration.request import Request
from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError
from amulet_core.planning.durations import DURATIONS, Duration, estimated, read_durations
from amulet_core.planning.facts import DataFacts, facts_of, recalled_facts, remember_facts
from amulet_core.planning.jobs import (
    AttackWork,
    AuditPlayWork,
    BankWork,
    CertifyWork,
    DistributionPlayWork,
    FitWork,
    IndependentWork,
    Job,
    PoisonedPlayWork,
    PoisonWork,
    TheftPlayWork,
    TheftWork,
    VerificationPlayWork,
    Work,
    WorstWork,
)
from amulet_core.planning.layout import Place, layout_of
from amulet_core.planning.plan import Plan, plan
from amulet_core.planning.portrait import data_warnings, portrait
from amulet_core.planning.remarks import notes_of, warnings_of
from amulet_core.planning.schedule import Schedule
from amulet_core.running.journal import read_journal
from amulet_core.running.run_folder import JOURNAL, check_folder, located
from amulet_core.storage.store import Store, cache_folder

_KINDS: Final = ("train", "ask shadow models", "ask independent models", "certify", "attack", "observe", "join attacks")


@dataclass(frozen=True)
class Line:
    """The jobs of one kind: how many there are, how many are still to be done, and what these will take.

    ``seconds`` covers those of the jobs to do that are like some job timed before; the others are ``unknown``.
    """

    kind: str
    jobs: int
    todo: int
    seconds: float
    unknown: int


@dataclass(frozen=True)
class Forecast:
    """What a run would do. Models are counted in all, and of these those that nobody has trained yet."""

    cells: int
    skipped: tuple[tuple[str, int], ...]
    lines: tuple[Line, ...]
    victims: tuple[int, int]
    shadow_models: tuple[int, int]
    memory_mb: float
    independent: tuple[int, int] = (0, 0)
    populations: tuple[int, int] = (0, 0)
    audited: tuple[int, int] = (0, 0)
    data: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def forecast(request: Request, store: Store, folder: Path | None, *, loaded: Callable[[], DataFacts]) -> Forecast:
    """Plan a request and compare the plan with what the cache, and the journal in the run's ``folder`` (if any), hold.

    ``loaded`` loads the data; it is called only if the cache does not know their facts.

    Raises:
        RequestError: if the data cannot be loaded, or a component cannot be used on them.
    """
    facts = recalled_facts(store, request) or loaded()
    planned = plan(request, facts)
    layout = layout_of(request, facts.data_schema)
    victims = {layout.victim(seed) for seed in range(request.seeds)}
    todo = _todo(planned, store, folder)
    durations = read_durations(store.folder / DURATIONS)
    jobs = list(planned.jobs.values())
    audits = [job for job in jobs if _audited(job)]
    plain = [job for job in jobs if not _audited(job)]
    by_kind: dict[str, list[Job]] = {}
    for job in jobs:
        by_kind.setdefault(_kind(job), []).append(job)
    known = [one for one in estimated(durations, [job for job in jobs if job.key in todo]) if one]
    return Forecast(
        cells=len(planned.cells),
        skipped=tuple(Counter(cell.skipped for cell in planned.cells if cell.skipped).items()),
        lines=tuple(_line(kind, of_kind, todo, durations) for kind in _KINDS if (of_kind := by_kind.get(kind))),
        victims=_models(plain, todo, lambda place: place in victims),
        shadow_models=_models(plain, todo, lambda place: place not in victims and place.source == "pool"),
        memory_mb=max((one.memory_mb for one in known), default=0.0),
        independent=_models(jobs, todo, lambda place: place.source == "aux"),
        populations=_models(jobs, todo, lambda place: place.population is not None),
        audited=_models(audits, todo, lambda _: True),
        data=tuple(portrait(facts)),
        warnings=(
            *data_warnings(facts, request.data),
            *warnings_of(request, facts.data_schema),
            *planned.warnings,
        ),
        notes=notes_of(request, facts),
    )


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


def _todo(planned: Plan, store: Store, folder: Path | None) -> set[str]:
    """Return the keys of the jobs that would be done."""
    wanted = dict.fromkeys(cell.job for cell in planned.cells if cell.job)
    try:
        records = read_journal(folder / JOURNAL).records if folder else {}
    except OSError:  # a run warns of it, and does without
        records = {}
    missing = [key for key in wanted if key not in records and not store.has(key)]
    return Schedule(planned.jobs, missing, kept=store.has).todo


def _line(kind: str, jobs: Sequence[Job], todo: Container[str], durations: Mapping[str, Duration]) -> Line:
    waiting = [job for job in jobs if job.key in todo]
    found = estimated(durations, waiting)
    seconds = sum(one.seconds for one in found if one)
    return Line(kind, len(jobs), len(waiting), seconds, sum(one is None for one in found))


def _kind(job: Job) -> str:
    if isinstance(job.work, AttackWork) and job.work.attack is None:
        return "observe"
    return _KIND_OF[type(job.work)]


_KIND_OF: Final[Mapping[type[Work], str]] = {
    FitWork: "train",
    BankWork: "ask shadow models",
    IndependentWork: "ask independent models",
    CertifyWork: "certify",
    AttackWork: "attack",
    PoisonWork: "attack",
    TheftWork: "attack",
    VerificationPlayWork: "attack",
    DistributionPlayWork: "attack",
    AuditPlayWork: "attack",
    PoisonedPlayWork: "observe",
    TheftPlayWork: "observe",
    WorstWork: "join attacks",
}


def _audited(job: Job) -> bool:
    return isinstance(job.work, FitWork) and job.work.audited is not None


def _models(jobs: Sequence[Job], todo: Container[str], counts: Callable[[Place], bool]) -> tuple[int, int]:
    """Count the models of such places: all of them, and those still to be trained."""
    fits = [
        (job.key, [place for place in job.work.places if counts(place)])
        for job in jobs
        if isinstance(job.work, FitWork)
    ]
    return sum(len(places) for _, places in fits), sum(len(places) for key, places in fits if key in todo)


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
