"""A run of fake jobs, to be killed: the real conduct, schedule, workbench, store and journal, without torch or numpy.

Usage: ``python killable.py CACHE OUT LOG``. It prints a line when it begins and one for each job it performs, and
appends to LOG which job that was, and whether the cache had its output already.
"""

import hashlib
import json
import os
import random
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOBS = 140
ROWS = ("none", "placebo", "made/up")


@dataclass(frozen=True)
class Work:
    """What a fake job does: ``size`` bytes, and a record for a cell if ``plays``."""

    size: int
    plays: bool


@dataclass(frozen=True)
class FakeCraft:
    """Jobs done without data: each output is a function of the job's key and of every byte of its inputs."""

    ground: "Fakes"
    threads: int

    def perform(self, job: Any, inputs: Sequence[bytes]) -> bytes:
        had = self.ground.store.has(job.key)
        os.write(self.ground.log, f"{job.key} {'again' if had else 'new'}\n".encode())
        say(job.label)
        digest = hashlib.sha256(job.key.encode() + b"".join(inputs)).digest()
        for _ in range(300):
            digest = hashlib.sha256(digest * 50).digest()
        return digest * (job.work.size // 32)

    def pack(self, job: Any, output: bytes) -> Any:
        from amulet_core.performing.workbench import Packed
        from amulet_core.results import Measured
        from amulet_core.scores import Scores, Value
        from amulet_core.storage.store import Stored

        if not job.work.plays:
            return Packed(Stored({}, output))
        digest = hashlib.sha256(output).hexdigest()
        estimate = int(digest[:12], 16) / 16**12
        value = Value(name="value", estimate=estimate, method="count", n=1)
        measured = Measured(metric="made/up", scores=Scores(values=(value,)))
        record = {
            "measured": [measured.model_dump(mode="json")],
            "warnings": [digest * (job.work.size // 200)],  # some records are longer than a page of memory
            "evidence": {},
        }
        return Packed(Stored(record, output))

    def unpack(self, _job: Any, entry: Any) -> bytes:
        return bytes(entry.tensors)


@dataclass(frozen=True)
class Fakes:
    """What fake jobs need to know: the store, and the descriptor of the log."""

    store: Any
    log: int


def say(text: str) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def planned() -> Any:
    """Return a plan of fake jobs on top of each other, each of which needs up to three of those just before it."""
    from amulet_core.planning.jobs import Job
    from amulet_core.planning.plan import Plan, PlannedCell

    draws, jobs, cells = random.Random(7), {}, []
    for number in range(JOBS):
        before = list(jobs)[-9:]
        needs = tuple(draws.sample(before, min(len(before), draws.randrange(4))))
        plays = draws.random() < 0.4 or number == JOBS - 1
        work = Work(size=draws.choice((64, 3_000, 40_000, 400_000)), plays=plays)
        job = Job(work, f"job {number}", {"number": number}, needs)
        jobs[job.key] = job
        if plays:
            row, attack = ROWS[number % len(ROWS)], f"made/up-{number}"
            cells.append(PlannedCell(row, "evasion", attack, False, number % 2, "", job.key))
    return Plan(jobs, tuple(cells))


def without_torch() -> None:
    """Put the fake craft and ground in the place of the real ones, which need torch."""
    craft, ground = types.ModuleType("amulet_core.performing.craft"), types.ModuleType("amulet_core.performing.ground")
    craft.GroundedCraft = FakeCraft
    ground.Ground = ground.lay_ground = ground.load_data = None
    sys.modules |= {"amulet_core.performing.craft": craft, "amulet_core.performing.ground": ground}


def main(cache: str, out: str, log: str) -> None:
    """Run, or go on, and write the cells."""
    without_torch()
    from amulet_core.configuration.reading import resolve
    from amulet_core.discovery.registry import discover
    from amulet_core.planning.facts import DataFacts
    from amulet_core.running.conduct import Prepared, conduct
    from amulet_core.running.loop import Progress
    from amulet_core.running.observers import Observers
    from amulet_core.running.run_folder import run_folder
    from amulet_core.schema import DataSchema, Feasible
    from amulet_core.storage.store import Store
    from amulet_core.storage.writing import replace_text

    schema = DataSchema(modality="tabular", shape=(1,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=1.0))
    request = resolve({"dataset": "digits", "risks": {"utility": {}}}, discover())
    store, progress = Store(cache), Progress()
    fakes = Fakes(store, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    ready = Prepared(
        request,
        DataFacts(data_schema=schema, rows=1, content="", class_rows=(1, 0)),
        None,
        fakes,
        planned(),
        store,
    )
    with run_folder(Path(out), request) as folder:
        say("begun")
        complete = conduct(ready, folder, Observers(), progress)
        cells = [progress.cells[index].model_dump(mode="json") for index in sorted(progress.cells)]
        replace_text(folder / "cells.json", json.dumps([complete, cells]))
        replace_text(folder / "warnings.json", json.dumps(progress.warnings))
    heavy = {"torch", "numpy", "pandas", "sklearn", "scipy"} & set(sys.modules)
    if heavy:
        raise SystemExit(f"heavy modules were imported: {heavy}")


if __name__ == "__main__":
    main(*sys.argv[1:])
