"""Running a plan: jobs on an executor, each outcome kept; a failing component ends its own cells, no more. Light."""

import sys
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from amulet_core.errors import cause_of
from amulet_core.performing.workbench import damage_warning
from amulet_core.planning.jobs import Job
from amulet_core.planning.plan import Plan, PlannedCell
from amulet_core.planning.schedule import Schedule
from amulet_core.results import Cell, Measured
from amulet_core.sessions import Busy, Done, Failed, Lost, Outcome, Session, Task

T = TypeVar("T")


@dataclass
class Progress:
    """What a run has come to so far: built once, filled as outcomes come in, read when the run ends."""

    cells: dict[int, Cell] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    evidence: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    done: int = 0
    reused: int = 0
    """How many cells were known before."""

    def tell(self, warning: str) -> None:
        """Show a warning now, and keep it."""
        if warning not in self.told:
            print(f"warning: {warning}", file=sys.stderr, flush=True)
        self.told.add(warning)
        self.warnings.append(warning)


@dataclass(frozen=True)
class Told:
    """Whom a run tells of what happens: a job that was done (with its record), cells, and how far it is."""

    started: Callable[[PlannedCell], None]
    finished: Callable[[Cell], None]
    advanced: Callable[[int, int, str], None]
    done: Callable[[Job, Done], None]


class Bench(Protocol):
    """What the run asks of whoever keeps the outputs; ``task`` makes a job something that an executor can take."""

    def task(self, job: Job) -> Task:
        """Return a job as a task."""

    def holds(self, key: str) -> bool:
        """Say whether an output can be had without doing its job."""

    def drop(self, keys: Sequence[str]) -> None:
        """Forget outputs that nobody waits for."""


@dataclass(frozen=True)
class Todo:
    """What of a plan is still to be done: the schedule of its jobs, and the cells that each fills."""

    jobs: Mapping[str, Job]
    schedule: Schedule
    cells: Mapping[str, Sequence[tuple[int, PlannedCell]]]


def todo_of(plan: Plan, records: Container[str], *, kept: Callable[[str], bool]) -> Todo:
    """Return what has to be done of a plan, where these ``records`` are known and these outputs are ``kept``."""
    cells: dict[str, list[tuple[int, PlannedCell]]] = {}
    for index, cell in enumerate(plan.cells):
        if not cell.skipped and cell.job not in records:
            cells.setdefault(cell.job, []).append((index, cell))
    return Todo(plan.jobs, Schedule(plan.jobs, cells, kept=kept), cells)


def settle_known(plan: Plan, progress: Progress, records: Mapping[str, Mapping[str, Any]], told: Told) -> None:
    """Fill the cells that are skipped, and those whose record is known."""
    for index, cell in enumerate(plan.cells):
        if cell.skipped:
            progress.cells[index] = unfilled(cell, status="skipped", reason=cell.skipped)
        elif cell.job in records:
            _fill(progress, index, cell, Done(records[cell.job]))
            progress.reused += 1
        if index in progress.cells:
            told.finished(progress.cells[index])


def run_plan(todo: Todo, bench: Bench, session: Session, progress: Progress, told: Told) -> None:
    """Do what is to be done, and fill ``progress`` with its cells.

    Raises:
        ExecutorError: if the executor breaks down; ``progress`` holds what was done until then.
    """
    schedule = todo.schedule
    running: set[str] = set()
    while schedule.ready or running:
        while schedule.ready and (schedule.failure(schedule.ready[0]) or _asked(lambda: session.room) > 0):
            key = schedule.ready.popleft()
            broken = schedule.failure(key)
            if key not in progress.begun:
                progress.begun.add(key)
                for _, cell in todo.cells.get(key, ()):
                    told.started(cell)
            if broken:
                _take(todo, key, broken, bench, progress, told)
            else:
                _asked(partial(session.submit, bench.task(todo.jobs[key])))
                running.add(key)
        if schedule.ready and not running:
            raise ExecutorError("it has no room for a job, though it has none")
        if running:
            key, outcome = _asked(session.next)
            running.discard(key)
            _take(todo, key, outcome, bench, progress, told)


class ExecutorError(RuntimeError):
    """An executor broke down while it ran jobs."""


def _asked(call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:
        raise ExecutorError(cause_of(error)) from error


def _take(todo: Todo, key: str, outcome: Outcome, bench: Bench, progress: Progress, told: Told) -> None:
    """Take note of an outcome: what can be done next, and which cells it fills."""
    job, schedule = todo.jobs[key], todo.schedule
    if isinstance(outcome, Busy):
        if key not in progress.busy:
            progress.busy.add(key)
            print(f"another run is at this job, it is waited for: {job.label}", file=sys.stderr, flush=True)
        schedule.ready.append(key)
        return
    if isinstance(outcome, Lost):
        progress.warnings.append(damage_warning(outcome))
        failed = schedule.lost(key, outcome)
        if failed is None:
            return
        outcome = failed
    bench.drop(schedule.settle(key, outcome if isinstance(outcome, Failed) else None))
    progress.done += 1
    if isinstance(outcome, Done):
        told.done(job, outcome)
        progress.warnings.extend(outcome.warnings)
        progress.timings[job.label] = progress.timings.get(job.label, 0.0) + outcome.seconds
    for index, cell in todo.cells.get(key, ()):
        _fill(progress, index, cell, outcome)
        told.finished(progress.cells[index])
    told.advanced(progress.done, schedule.total, job.label)


def _fill(progress: Progress, index: int, cell: PlannedCell, outcome: Done | Failed) -> None:
    if isinstance(outcome, Failed):
        progress.cells[index] = unfilled(
            cell, status="failed", reason=outcome.reason, blame=outcome.blame, traceback=outcome.traceback
        )
        return
    record = outcome.record
    measured = tuple(Measured.model_validate(one) for one in record["measured"])
    progress.cells[index] = unfilled(cell, status="ok", measured=measured, warnings=tuple(record["warnings"]))
    first = progress.evidence.get(cell.row)
    if record["evidence"] and (first is None or cell.seed < first[0]):
        progress.evidence[cell.row] = (cell.seed, record["evidence"])


def unfilled(cell: PlannedCell, **outcome: Any) -> Cell:
    """Return a planned cell with what came of it: its status, and what goes with that."""
    return Cell(
        row=cell.row,
        risk=cell.risk,
        attack=cell.attack,
        control=cell.control,
        seed=cell.seed,
        adversary=cell.adversary,
        **outcome,
    )
