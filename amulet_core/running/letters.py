"""Jobs as letters to workers: what is sent where a job is not done in the driver's own process. Light."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from amulet_core.planning.jobs import Job
from amulet_core.sessions import Outcome, Task, outcome_of
from amulet_core.storage.store import Store


@dataclass(frozen=True)
class Letters:
    """The bench of a run whose outputs are made elsewhere, and exchanged through the store."""

    store: Store
    run: str

    @property
    def greeting(self) -> str:
        """Return what ``amulet_core.worker.problems`` wants to know."""
        return json.dumps({"run": self.run, "cache": self._cache})

    def task(self, job: Job) -> Task:
        """Return a job as a task whose letter any worker can answer."""
        letter = json.dumps({"run": self.run, "cache": self._cache, "key": job.key})
        return Task(job.key, job.label, partial(_answered, letter), letter, job.resources)

    def holds(self, key: str) -> bool:
        """Say whether an output can be had without doing its job."""
        return self.store.has(key)

    def drop(self, _keys: Sequence[str]) -> None:
        """Forget nothing: the store keeps outputs for later runs too."""

    @property
    def _cache(self) -> str:
        return str(self.store.folder.resolve())


def _answered(letter: str) -> Outcome:
    from amulet_core.worker import answer

    return outcome_of(answer(letter))
