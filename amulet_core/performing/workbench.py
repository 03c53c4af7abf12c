"""Doing the jobs of one plan in this process: inputs from memory or from the store, outputs into both. Light.

How a job is done, and how its output becomes bytes, is the ``Craft`` it is given.
"""

import time
import traceback
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from amulet_core.errors import ComponentError, cause_of, writable
from amulet_core.performing.provenance import peak_memory_mb
from amulet_core.planning.jobs import Job
from amulet_core.planning.plan import Plan
from amulet_core.sessions import Busy, Done, Failed, Lost, Outcome, Task
from amulet_core.storage.store import Damaged, Store, Stored

PATIENCE: Final = 1.0
"""Seconds to wait for a job that another run is doing, before something else is tried."""


@dataclass(frozen=True)
class Packed:
    """An output as the store keeps it, or ``unkept``: why it cannot be kept, and by whose fault, with its record."""

    entry: Stored
    unkept: str = ""
    blame: str = ""


class Craft(Protocol):
    """How jobs are done, and how outputs become bytes and come back."""

    def perform(self, job: Job, inputs: Sequence[Any]) -> Any:
        """Return the output of a job."""

    def pack(self, job: Job, output: Any) -> Packed:
        """Return an output as bytes and a record."""

    def unpack(self, job: Job, entry: Stored) -> Any:
        """Return the output that was packed."""


class Workbench:
    """Jobs done once, by whomever: what the store has is not done again.

    ``memory`` holds outputs by key. ``alone``: their users are in this process, so that an output which cannot be kept
    still serves them.
    """

    def __init__(
        self, plan: Plan, craft: Craft, store: Store, *, memory: MutableMapping[str, Any], alone: bool
    ) -> None:
        """Set up for the jobs of ``plan``."""
        self._jobs, self._craft, self._store = plan.jobs, craft, store
        self._memory, self._alone = memory, alone

    def task(self, job: Job) -> Task:
        """Return a job as a task that is done in this process."""
        return Task(job.key, job.label, partial(self.do, job.key), resources=job.resources)

    def do(self, key: str) -> Outcome:
        """Do a job; whatever goes wrong becomes a failure that names who is to blame."""
        job = self._jobs[key]
        try:
            with self._store.locked(key, seconds=PATIENCE) as ours:
                if not ours:
                    return Busy(key)
                found = self._store.get(key)
                if isinstance(found, Stored):
                    return Done(found.record, reused=True)
                warnings = (damage_warning(found),) if isinstance(found, Damaged) else ()
                return self._made(job, warnings)
        except ComponentError as failure:
            text = writable("".join(traceback.format_exception(failure.cause)))
            return Failed(failure.blame, cause_of(failure.cause), text)
        except Exception as error:  # noqa: BLE001  # a fault of the core ends the cell, not the run, and says so
            return Failed("amulet", cause_of(error), writable(traceback.format_exc()))

    def drop(self, keys: Sequence[str]) -> None:
        """Forget outputs that nobody waits for."""
        for key in keys:
            self._memory.pop(key, None)

    def holds(self, key: str) -> bool:
        """Say whether an output can be had without doing its job."""
        return key in self._memory or self._store.has(key)

    def _made(self, job: Job, warnings: tuple[str, ...]) -> Outcome:
        inputs = []
        for need in job.needs:
            given = self._output(need)
            if isinstance(given, Lost):
                return given
            inputs.append(given)
        start = time.monotonic()
        output = self._craft.perform(job, inputs)
        seconds = time.monotonic() - start
        packed = self._craft.pack(job, output)
        trouble = self._kept(job.key, packed)
        if trouble and not self._alone:
            return Failed(packed.blame or "amulet", packed.unkept or trouble)
        if self._alone:
            self._memory[job.key] = output
        told = (*warnings, trouble) if trouble else warnings
        return Done(packed.entry.record, seconds, peak_memory_mb(), warnings=told)

    def _kept(self, key: str, packed: Packed) -> str:
        """Put an output into the store; return why it could not be."""
        if packed.unkept:
            return f"{packed.blame}: {packed.unkept}. Results are the same; a run that needs it again makes it again"
        try:
            self._store.put(key, packed.entry)
        except OSError as error:
            return unwritable(self._store, error)
        return ""

    def _output(self, key: str) -> Any:
        if key in self._memory:
            return self._memory[key]
        entry = self._store.get(key)
        if isinstance(entry, Damaged):
            return Lost(key, entry.reason)
        if not isinstance(entry, Stored):
            return Lost(key, f"{self._store.path(key)} is not there any more")
        self._memory[key] = self._craft.unpack(self._jobs[key], entry)
        return self._memory[key]


class Recent(dict[str, Any]):
    """A memory of the outputs used last, at most ``size`` of them."""

    def __init__(self, size: int) -> None:
        """Remember ``size`` outputs."""
        super().__init__()
        self._size = size

    def __getitem__(self, key: str) -> Any:
        """Return an output, which is now the latest used."""
        value = super().pop(key)
        super().__setitem__(key, value)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        """Remember an output; forget the one unused for longest if there are too many."""
        super().pop(key, None)
        super().__setitem__(key, value)
        while len(self) > self._size:
            del self[next(iter(self))]


def damage_warning(found: Damaged | Lost) -> str:
    """Say that an entry of the store could not be used."""
    return f"cache: {found.reason}; it was not used, and is computed again"


def unwritable(store: Store, error: OSError) -> str:
    """Say that the store could not be written."""
    return (
        f"the cache {store.folder} cannot be written: {error.strerror or error}. What was computed is not kept there: "
        "free some space, or set AMULET_CACHE to another folder, and run again"
    )
