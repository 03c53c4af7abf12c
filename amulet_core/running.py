"""Running a plan: jobs on an executor, each outcome kept; a failing component ends its own cells and nothing else."""

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from amulet_core.errors import cause_of
from amulet_core.ground import Ground
from amulet_core.jobs import Job
from amulet_core.perform import PlayOutput, perform
from amulet_core.plan import Plan, PlannedCell
from amulet_core.recipes import ComponentError, evidence_json
from amulet_core.results import Cell


@dataclass(frozen=True)
class Done:
    """A job that ended well: its output, and how long it took."""

    output: Any
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A job that did not: who is to blame, why, and where."""

    blame: str
    reason: str
    traceback: str


Outcome = Done | Failed


class Session(Protocol):
    """A started executor: takes tasks as long as it has room, and hands back finished ones in any order."""

    @property
    def room(self) -> int:
        """Count the tasks it would take now."""

    def submit(self, key: str, task: Callable[[], Outcome]) -> None:
        """Take a task."""

    def next(self) -> tuple[str, Outcome]:
        """Wait for a task to finish; return its key and outcome."""


@dataclass
class Progress:
    """What a run has come to so far: built once, filled as outcomes come in, read when the run ends."""

    cells: dict[int, Cell] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)


class Schedule:
    """Which jobs are ready, and which outputs are still waited for. An output nobody waits for is dropped at once."""

    def __init__(self, plan: Plan) -> None:
        """Start with the jobs that need nothing."""
        self._waiting = {key: set(job.needs) for key, job in plan.jobs.items()}
        self._users = Counter(need for job in plan.jobs.values() for need in set(job.needs))
        self._consumers: dict[str, list[str]] = {key: [] for key in plan.jobs}
        for key, needs in self._waiting.items():
            for need in needs:
                self._consumers[need].append(key)
        self.outcomes: dict[str, Outcome] = {}
        self.ready = deque(key for key, needs in self._waiting.items() if not needs)

    def settle(self, job: Job, outcome: Outcome) -> None:
        """Take a job's outcome, and free what only it waited for."""
        self.outcomes[job.key] = outcome
        # Freshly unblocked jobs go first: what they use is in memory, and is dropped sooner.
        for consumer in reversed(self._consumers[job.key]):
            self._waiting[consumer].discard(job.key)
            if not self._waiting[consumer]:
                self.ready.appendleft(consumer)
        for need in set(job.needs):
            self._users[need] -= 1
        for key in (job.key, *job.needs):
            if not self._users[key]:
                self.outcomes.pop(key, None)


def run_plan(
    plan: Plan,
    ground: Ground,
    executor: AbstractContextManager[Session],
    progress: Progress,
    *,
    threads: int,
    started_cell: Callable[[PlannedCell], None],
    finished_cell: Callable[[Cell], None],
    advanced: Callable[[int, int, str], None],
) -> None:
    """Perform all jobs of a plan, each after what it needs, and fill ``progress`` with the cells as they end."""
    schedule = Schedule(plan)
    cells = _cells_by_job(plan, progress, finished_cell)
    running = done = 0
    with executor as session:
        while schedule.ready or running:
            while schedule.ready and session.room > 0:
                key = schedule.ready.popleft()
                for _, cell in cells.get(key, ()):
                    started_cell(cell)
                session.submit(key, _task(plan.jobs[key], schedule.outcomes, ground, threads))
                running += 1
            key, outcome = session.next()
            running, done = running - 1, done + 1
            job = plan.jobs[key]
            schedule.settle(job, outcome)
            _note(plan, job, outcome, progress)
            for index, cell in cells.get(key, ()):
                progress.cells[index] = _cell(cell, outcome)
                finished_cell(progress.cells[index])
            advanced(done, len(plan.jobs), job.label)


def _task(job: Job, outcomes: Mapping[str, Outcome], ground: Ground, threads: int) -> Callable[[], Outcome]:
    inputs = [outcomes[need] for need in job.needs]
    broken = next((given for given in inputs if isinstance(given, Failed)), None)
    if broken is not None:
        failure = broken
        return lambda: failure
    outputs = [given.output for given in inputs if isinstance(given, Done)]
    return lambda: attempt(job, outputs, ground, threads=threads)


def attempt(job: Job, outputs: list[Any], ground: Ground, *, threads: int) -> Outcome:
    """Perform a job; whatever goes wrong becomes a failure that names who is to blame."""
    start = time.monotonic()
    try:
        return Done(perform(job, outputs, ground, threads=threads), time.monotonic() - start)
    except ComponentError as failure:
        text = "".join(traceback.format_exception(failure.cause))
        return Failed(failure.blame, cause_of(failure.cause), text)
    except Exception as error:  # noqa: BLE001  # a fault of the core ends the cell, not the run, and says so
        return Failed("amulet", cause_of(error), traceback.format_exc())


def _cells_by_job(
    plan: Plan, progress: Progress, finished_cell: Callable[[Cell], None]
) -> dict[str, list[tuple[int, PlannedCell]]]:
    """Settle the skipped cells at once; return the others by the job that fills them."""
    cells: dict[str, list[tuple[int, PlannedCell]]] = {}
    for index, cell in enumerate(plan.cells):
        if cell.skipped:
            progress.cells[index] = unfilled(cell, status="skipped", reason=cell.skipped)
            finished_cell(progress.cells[index])
        else:
            cells.setdefault(cell.job, []).append((index, cell))
    return cells


def _note(plan: Plan, job: Job, outcome: Outcome, progress: Progress) -> None:
    if not isinstance(outcome, Done):
        return
    progress.timings[job.label] = progress.timings.get(job.label, 0.0) + outcome.seconds
    for row, (key, place) in plan.victims.items():
        if key == job.key:
            evidence = evidence_json(outcome.output.fitted[place].evidence)
            progress.evidence |= {row: evidence} if evidence else {}


def _cell(cell: PlannedCell, outcome: Outcome) -> Cell:
    if isinstance(outcome, Failed):
        return unfilled(cell, status="failed", reason=outcome.reason, blame=outcome.blame, traceback=outcome.traceback)
    played: PlayOutput = outcome.output
    return unfilled(cell, status="ok", measured=played.measured, warnings=played.warnings)


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
