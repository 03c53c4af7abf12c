"""What a run would do, and about how long it would take. Light, once the cache knows the facts of the data set."""

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from amulet_core.configuration.request import Request
from amulet_core.planning.durations import DURATIONS, Duration, estimated, read_durations
from amulet_core.planning.facts import DataFacts, recalled_facts
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
from amulet_core.running.run_folder import JOURNAL
from amulet_core.storage.store import Store

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
