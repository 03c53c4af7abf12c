"""Conducting a run: what is known already, what is still to be done, on which executor, and what it has come to."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amulet_core.configuration.request import Request
from amulet_core.errors import RequestError, cause_of
from amulet_core.performing.craft import GroundedCraft
from amulet_core.performing.ground import Ground, lay_ground, load_data
from amulet_core.performing.workbench import Workbench, damage_warning, unwritable
from amulet_core.planning.durations import DURATIONS, Duration, recorded, write_durations
from amulet_core.planning.facts import DataFacts, facts_of, recalled_facts, remember_facts
from amulet_core.planning.jobs import Job
from amulet_core.planning.layout import Layout, layout_of
from amulet_core.planning.plan import Plan, PlannedCell, plan
from amulet_core.results import Cell
from amulet_core.running.journal import Append, Journal, appended, read_journal
from amulet_core.running.letters import Letters
from amulet_core.running.loop import ExecutorError, Progress, Todo, Told, run_plan, settle_known, todo_of, unfilled
from amulet_core.running.observers import Observers
from amulet_core.running.progress import shown_progress
from amulet_core.running.run_folder import JOURNAL
from amulet_core.running.run_note import note_of, write_note
from amulet_core.sessions import Done, Session, Setting
from amulet_core.storage.store import Damaged, Store, Stored


@dataclass(frozen=True)
class Prepared:
    """A request with all that is known before anything runs."""

    request: Request
    facts: DataFacts
    layout: Layout
    ground: Ground
    plan: Plan
    store: Store


def prepared(request: Request, store: Store) -> Prepared:
    """Load the data and plan.

    Raises:
        RequestError: if the data cannot be loaded or do not suffice, or a component cannot be used on them.
    """
    data = load_data(request)
    facts, layout = facts_of(data), layout_of(request, data.schema)
    todo = plan(request, facts)
    return Prepared(request, facts, layout, lay_ground(data, request, layout), todo, store)


def conduct(ready: Prepared, folder: Path | None, observers: Observers, progress: Progress) -> bool:
    """Do what is still to be done, and fill ``progress``; return False if it was interrupted (Ctrl-C).

    Raises:
        RequestError: if the executor cannot be started; nothing has been run then.
    """
    for warning in ready.plan.warnings:
        progress.tell(warning)
    journal = _journaled(folder / JOURNAL, progress) if folder is not None else Journal({})
    records = _known(ready, journal, progress)
    bench = _bench(ready)
    todo = todo_of(ready.plan, records, kept=bench.holds)
    with ExitStack() as stack:
        durations = stack.enter_context(_durations(ready, progress))
        append = stack.enter_context(_journal(folder, progress))
        for key in records.keys() - journal.records.keys():
            append(key, records[key])  # so that the folder goes on without the cache

        def done(job: Job, outcome: Done) -> None:
            if job.key in todo.cells:
                append(job.key, outcome.record)
            if not outcome.reused:
                recorded(durations, job, seconds=outcome.seconds, memory_mb=outcome.memory_mb)

        def advanced(finished: int, total: int, label: str) -> None:
            show(finished, total, label)
            observers.tell("amulet_progress", {"done": finished, "total": total, "label": label})

        def started(cell: PlannedCell) -> None:
            observers.tell("amulet_cell_started", {"cell": asdict(cell)})

        def finished(cell: Cell) -> None:
            if observers.watched:
                observers.tell("amulet_cell_finished", {"cell": cell.model_dump(mode="json")})

        session = stack.enter_context(_session(ready, bench, progress)) if todo.schedule.total else None
        observers.tell("amulet_run_started", {"run": ready.request.canonical()})
        show = stack.enter_context(shown_progress(todo.schedule.total))
        told = Told(started=started, finished=finished, advanced=advanced, done=done)
        settle_known(ready.plan, progress, records, told)
        return session is None or _done(ready, todo, bench, session, progress, told)


def _done(
    ready: Prepared, todo: Todo, bench: Workbench | Letters, session: Session, progress: Progress, told: Told
) -> bool:
    try:
        run_plan(todo, bench, session, progress, told)
    except KeyboardInterrupt:
        return False
    except ExecutorError as error:
        for index, cell in enumerate(ready.plan.cells):
            if index not in progress.cells:
                blame = ready.request.executor.id
                progress.cells[index] = unfilled(cell, status="failed", reason=str(error), blame=blame)
                told.finished(progress.cells[index])
    return True


def _known(ready: Prepared, journal: Journal, progress: Progress) -> Mapping[str, Mapping[str, Any]]:
    """Return the records of jobs that fill cells and were done before: in this folder, or by any run of this cache."""
    wanted = {cell.job for cell in ready.plan.cells if cell.job}
    known = {key: record for key, record in journal.records.items() if key in wanted}
    for key in sorted(wanted - set(known)):
        found = ready.store.get(key)
        if isinstance(found, Stored):
            known[key] = found.record
        elif isinstance(found, Damaged):
            progress.warnings.append(damage_warning(found))
    return known


def _journaled(path: Path, progress: Progress) -> Journal:
    """Return what a journal says; what of it cannot be used is told."""
    try:
        journal = read_journal(path)
    except OSError as error:
        progress.warnings.append(f"journal: {path} cannot be read: {error.strerror or error}; it was not used")
        return Journal({})
    if journal.damaged:
        lines = "1 line" if journal.damaged == 1 else f"{journal.damaged} lines"
        progress.warnings.append(f"journal: {lines} of {path}, not as written, could not be used")
    return journal


@contextmanager
def _journal(folder: Path | None, progress: Progress) -> Iterator[Append]:
    """Yield what appends to the folder's journal; where that fails, the results are still written in the end."""
    if folder is None:
        yield lambda _key, _record: None
        return
    path, opened = folder / JOURNAL, ExitStack()

    def tried(call: Callable[..., Any], *given: Any) -> Any:
        try:
            return call(*given)
        except OSError as error:
            progress.warnings.append(f"journal: {path} cannot be written: {error.strerror or error}")
            return None

    append = tried(opened.enter_context, appended(path))
    try:
        yield lambda key, record: tried(append, key, record) if append else None
    finally:
        tried(opened.close)


@contextmanager
def _durations(ready: Prepared, progress: Progress) -> Iterator[dict[str, Duration]]:
    """Yield where durations are noted; keep them, and the facts of the data, for later plans."""
    durations: dict[str, Duration] = {}
    try:
        if recalled_facts(ready.store, ready.request) != ready.facts:
            remember_facts(ready.store, ready.request, ready.facts)
    except OSError as error:
        progress.warnings.append(unwritable(ready.store, error))
    try:
        yield durations
    finally:
        with suppress(OSError):  # an estimate less; what matters has been reported where it was to be written
            write_durations(ready.store.folder / DURATIONS, secrets.token_hex(8), durations)


def _bench(ready: Prepared) -> Workbench | Letters:
    request, store = ready.request, ready.store
    if getattr(request.executor.entry.component, "in_process", True):
        craft = GroundedCraft(ready.ground, request.threads_per_job)
        return Workbench(ready.plan, craft, store, memory={}, alone=True)
    try:
        return Letters(store, write_note(store.folder, note_of(request, ready.facts.content)))
    except OSError as error:
        reason = f"the workers of {request.executor.id} exchange outputs through it"
        raise RequestError(
            f"the cache {store.folder} cannot be written: {error.strerror or error}; {reason}. "
            "Set AMULET_CACHE to a folder that can be written."
        ) from error


@contextmanager
def _session(ready: Prepared, bench: Workbench | Letters, progress: Progress) -> Iterator[Session]:
    """Start the executor.

    Raises:
        RequestError: if it cannot be started.
    """
    use = ready.request.executor
    setting = Setting(
        threads=ready.request.threads_per_job,
        cache=str(ready.store.folder.resolve()),
        greeting=bench.greeting if isinstance(bench, Letters) else "",
        warn=progress.tell,
    )
    with ExitStack() as stack:
        try:
            session: Session = stack.enter_context(use.entry.load()(use.params, setting))
        except RequestError:
            raise
        except Exception as error:  # whatever a plugin raises, the request names it
            raise RequestError(f"executor: {use.id} cannot be started: {cause_of(error)}") from error
        yield session
        try:
            stack.pop_all().close()
        except Exception as error:  # noqa: BLE001  # whatever a plugin raises now, all was done
            progress.warnings.append(f"executor: {use.id} did not end well: {cause_of(error)}")
