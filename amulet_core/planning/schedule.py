"""Which jobs are to be done, and which can be done now. Light: knows neither outputs nor how jobs are done."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from amulet_core.planning.jobs import Job
from amulet_core.sessions import Failed, Lost

LOSSES: Final = 3
"""How often the output of one job may turn out to be gone before its users fail: a disk that eats what it is given."""


class Schedule:
    """The jobs that have to be done for some others to be known. It grows when an output turns out to be gone.

    Only what is asked for is done: a job whose output is ``kept`` already is not, and neither is what only it needs.
    """

    def __init__(self, jobs: Mapping[str, Job], wanted: Iterable[str], *, kept: Callable[[str], bool]) -> None:
        """Plan for the jobs ``wanted``; ``kept`` says whether the output of a job can be had without doing it."""
        self._jobs, self._kept = jobs, kept
        self._waits: dict[str, set[str]] = {}
        self._users: dict[str, list[str]] = {}
        self._needed: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._failures: dict[str, Failed] = {}
        self.ready: deque[str] = deque()
        self.total = 0
        for key in wanted:
            self._demand(key)
        order = {key: place for place, key in enumerate(jobs)}
        self.ready = deque(sorted(self.ready, key=order.__getitem__))

    @property
    def todo(self) -> set[str]:
        """Return the jobs that are not done yet."""
        return set(self._waits)

    def failure(self, key: str) -> Failed | None:
        """Return why a job cannot be done: the failure of one that it needs."""
        return next((self._failures[need] for need in self._jobs[key].needs if need in self._failures), None)

    def settle(self, key: str, failed: Failed | None = None) -> list[str]:
        """Take note that a job has ended; return the jobs whose outputs nobody waits for any more."""
        if failed is not None:
            self._failures[key] = failed
        else:
            self._failures.pop(key, None)  # it failed before, and was made after all
            for need in self._jobs[key].needs:
                self._lost.pop(need, None)  # it was there when it was wanted: only losses in a row count
        # Freshly unblocked jobs go first: what they use is in memory, and is dropped sooner.
        for user in reversed(self._users.pop(key, [])):
            self._waits[user].discard(key)
            if not self._waits[user]:
                self.ready.appendleft(user)
        del self._waits[key]
        needs = set(self._jobs[key].needs)
        self._needed.subtract(needs)
        return [one for one in (key, *needs) if not self._needed[one]]

    def lost(self, key: str, loss: Lost) -> Failed | None:
        """Have the lost output made again, and the job after it; or return the failure, if it was lost too often."""
        if loss.key not in self._waits:  # else another job missed it too, and it is being made again
            self._lost[loss.key] += 1
            if self._lost[loss.key] >= LOSSES:
                return Failed("amulet", f"what it needs was lost {LOSSES} times: {loss.reason}")
            self._demand(loss.key)
        self._waits[key].add(loss.key)
        self._users.setdefault(loss.key, []).append(key)
        return None

    def _demand(self, wanted: str) -> None:
        """Add a job, and all that has to be done before it."""
        stack = [wanted]
        while stack:
            key = stack.pop()
            if key in self._waits:
                continue
            needs = set(self._jobs[key].needs)
            missing = {need for need in needs if need in self._waits or not self._available(need)}
            self._waits[key] = missing
            self._needed.update(needs)
            self.total += 1
            for need in missing:
                self._users.setdefault(need, []).append(key)
            stack.extend(missing)
            if not missing:
                self.ready.append(key)

    def _available(self, key: str) -> bool:
        return key in self._failures or self._kept(key)
