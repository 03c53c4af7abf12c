"""The executor that does jobs in worker processes of this machine, and survives the death of any of them."""

import selectors
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from amulet_core.errors import cause_of
from amulet_core.lines import ending
from amulet_core.sessions import Failed, Outcome, Setting, Task, outcome_of
from amulet_plugins_builtin.catalogue.executors import ProcessesParams
from amulet_plugins_builtin.executors.machine import GB, Machine, fits, this_machine
from amulet_plugins_builtin.executors.workers import Command, Worker, end, refusal, worker_command

_BLAME: Final = "builtin/processes"
_POLL: Final = 0.2
"""The longest time, in seconds, between two looks at the memory and the time that the workers take."""


@contextmanager
def processes(params: ProcessesParams, setting: Setting) -> Iterator["ProcessesSession"]:
    """Yield a session that does several jobs at once, each in a worker process of this machine."""
    with started(worker_command(), params, setting, this_machine()) as session:
        yield session


@contextmanager
def started(
    command: Command, params: ProcessesParams, setting: Setting, machine: Machine
) -> Iterator["ProcessesSession"]:
    """Yield a session whose workers are started by ``command``; end them all afterwards."""
    most = max(1, machine.cores // setting.threads)
    if params.workers is not None and params.workers > most:
        setting.warn(
            f"{_BLAME}: {most} of {params.workers} workers are used: this process may use {machine.cores} cores, "
            f"and a job has {setting.threads}"
        )
    with selectors.DefaultSelector() as selector:
        session = ProcessesSession(
            lambda: Worker(command, selector),
            selector,
            params,
            most=min(params.workers or most, most),
            machine=machine,
            warn=setting.warn,
            why_not=lambda: refusal(command),
        )
        try:
            yield session
        finally:
            end(session.workers)


class ProcessesSession:
    """Keeps workers busy: each has one task at a time, and gets the next when it has answered.

    ``concurrent.futures.ProcessPoolExecutor`` would be shorter. But when one of its processes dies, all tasks that wait
    or run fail with it (``BrokenProcessPool``), and nothing says which of them was to blame.
    """

    def __init__(
        self,
        start: Callable[[], Worker],
        selector: selectors.BaseSelector,
        params: ProcessesParams,
        *,
        most: int,
        machine: Machine,
        warn: Callable[[str], None],
        why_not: Callable[[], str | None],
    ) -> None:
        """Start with no worker: they are started as tasks come in, ``most`` at a time."""
        self.workers: list[Worker] = []
        self._start, self._selector, self._params = start, selector, params
        self._most, self._machine, self._warn, self._why_not = most, machine, warn, why_not
        self._waiting: deque[Task] = deque()
        self._ended: deque[tuple[str, Outcome]] = deque()
        self._again: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._proven, self._weighed = False, 0.0
        self._hopeless: str | None = None

    @property
    def room(self) -> int:
        """Count the tasks it would take now."""
        return self._most - len(self._waiting) - len(self._busy) - len(self._ended)

    def submit(self, task: Task) -> None:
        """Take a task."""
        self._waiting.append(task)

    def next(self) -> tuple[str, Outcome]:
        """Wait for a task to end; return its key and outcome.

        Raises:
            IndexError: if there is none to wait for.
        """
        while not self._ended and (self._waiting or self._busy):
            self._dismiss()
            self._hand_out()
            for ready, _ in self._selector.select(0 if self._ended else _POLL):
                ready.data.read()
            self._weigh()
            for worker in self._busy:
                self._look_at(worker)
        return self._ended.popleft()

    @property
    def _busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.task is not None]

    def _dismiss(self) -> None:
        """End the idle workers that died meanwhile, or that talk unasked: their next answer could not be trusted."""
        for worker in [worker for worker in self.workers if worker.task is None]:
            worker.read()
            if worker.dead or worker.talks:
                worker.stop(signal.SIGKILL)
                self._end([worker])

    def _hand_out(self) -> None:
        """Give tasks to workers, in the order in which they came, as long as the machine has room for the next."""
        while self._waiting and len(busy := self._busy) < self._most:
            if self._hopeless is not None:
                self._fail(self._waiting.popleft(), self._hopeless)
                continue
            running = [worker.task.resources for worker in busy if worker.task is not None]
            if not fits(self._waiting[0].resources, running, self._machine):
                return
            task = self._waiting.popleft()
            try:
                self._worker_for(task).send(task)
            except OSError as error:
                self._fail(
                    task,
                    f"no worker could be started for it: {cause_of(error)}; this machine may be short of processes, "
                    "open files or memory: use fewer workers",
                )

    def _worker_for(self, task: Task) -> Worker:
        idle = next((worker for worker in self.workers if worker.task is None), None)
        if idle is not None and task.key in self._again:
            self._end([idle])
            idle = None
        if idle is None:
            idle = self._start()
            self.workers.append(idle)
        return idle

    def _weigh(self) -> None:
        if time.monotonic() - self._weighed >= _POLL:
            self._weighed = time.monotonic()
            for worker in self._busy:
                worker.weigh()

    def _look_at(self, worker: Worker) -> None:
        """See whether a worker has answered, has died, or has to be stopped."""
        dead = worker.dead
        if dead:
            worker.read()  # what it wrote before
        if worker.said is not None:
            self._take(worker, worker.said)
        elif dead:
            self._lose(worker)
        elif self._overweight(worker):
            self._relieve(worker)
        elif self._late(worker):
            limit = f"{self._params.job_seconds:g} s"
            self._give_up(worker, f"it was not done after {limit}: raise job_seconds of {_BLAME}, or leave it out")

    def _take(self, worker: Worker, said: str) -> None:
        try:
            outcome = outcome_of(said)
        except ValueError:
            self._give_up(
                worker,
                f"the worker did not answer with an outcome, but with {said[:80]!r}: something in the job writes where "
                "only the worker should; run it with the executor inline to see what",
            )
            return
        self._proven = True
        self._ended.append((worker.free().key, outcome))

    def _overweight(self, worker: Worker) -> bool:
        return self._params.memory_gb is not None and worker.memory > self._params.memory_gb * GB

    def _late(self, worker: Worker) -> bool:
        return self._params.job_seconds is not None and time.monotonic() - worker.since > self._params.job_seconds

    def _relieve(self, worker: Worker) -> None:
        """Stop a worker that holds too much. Its task has failed only if no earlier one can have left that behind."""
        if worker.tasks == 1:
            self._give_up(
                worker,
                f"the worker that did it held {worker.memory / GB:.2f} GB of memory, more than the "
                f"{self._params.memory_gb:g} GB that it may: raise memory_gb of {_BLAME}, or leave it out",
            )
        else:
            worker.stop(signal.SIGKILL)
            self._try_again(worker.free())
            self._end([worker])

    def _try_again(self, task: Task) -> None:
        """Have a task done next, by a worker of its own start: what others left behind cannot harm it there."""
        self._again.add(task.key)
        self._waiting.appendleft(task)

    def _give_up(self, worker: Worker, reason: str) -> None:
        """Fail the task of a worker for good, and the worker with it: the same would happen again."""
        words = worker.last_words
        worker.stop(signal.SIGKILL)
        self._fail(worker.free(), reason, words)
        self._end([worker])

    def _lose(self, worker: Worker) -> None:
        """Try the task of a dead worker again, unless it has killed too many, or no worker can be started at all."""
        words, memory = worker.last_words, worker.memory
        task = worker.free()
        self._end([worker])
        how = ending(worker.process.returncode)
        self._deaths[task.key] += 1
        self._check_start()
        if self._hopeless is not None:
            self._fail(task, self._hopeless, words)
        elif self._deaths[task.key] <= self._params.retries:
            self._warn(f"{_BLAME}: {task.label}: the worker that did it {how}; it is tried again")
            self._try_again(task)
        else:
            self._fail(task, _fate(how, times=self._deaths[task.key], memory=memory, words=words), words)

    def _check_start(self) -> None:
        """Find out, once, whether workers die of their jobs or cannot start: then no job needs to be tried."""
        if self._proven or self._hopeless is not None:
            return
        refused = self._why_not()
        self._proven = refused is None
        if refused is not None:
            self._hopeless = f"no worker can be started: {refused}"

    def _fail(self, task: Task, reason: str, words: str = "") -> None:
        self._ended.append((task.key, Failed(_BLAME, reason, words)))

    def _end(self, workers: list[Worker]) -> None:
        for worker in workers:
            self.workers.remove(worker)
        end(workers)


def _fate(how: str, *, times: int, memory: int, words: str) -> str:
    advice = "see in the traceback what it said last" if words else "it said nothing"
    if how.endswith("SIGKILL"):
        advice = "the kernel may have run out of memory: use fewer workers, or set memory_gb to see which jobs take it"
    tried = f" (tried {times} times)" if times > 1 else ""
    return f"the worker that did it {how}{tried}; it held {memory / GB:.2f} GB of memory when last seen; {advice}"
