"""How the jobs of a run are done for real, on the ground of its data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amulet_core.performing.codec import pack, unpack
from amulet_core.performing.ground import Ground
from amulet_core.performing.perform import perform
from amulet_core.performing.workbench import Packed
from amulet_core.planning.jobs import Job
from amulet_core.storage.store import Stored


@dataclass(frozen=True)
class GroundedCraft:
    """Jobs done on the rows of a ground, with a fixed number of threads."""

    ground: Ground
    threads: int

    def perform(self, job: Job, inputs: Sequence[Any]) -> Any:
        """Return the output of a job."""
        return perform(job, inputs, self.ground, threads=self.threads)

    def pack(self, job: Job, output: Any) -> Packed:
        """Return an output as bytes and a record."""
        return pack(job, output, self.ground)

    def unpack(self, job: Job, entry: Stored) -> Any:
        """Return the output that was packed."""
        return unpack(job, entry, self.ground)
