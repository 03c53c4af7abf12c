"""What the driver costs by the number of cells: planning, time per job beside the jobs themselves, memory, disk.

Run it as ``python benchmarks/scale.py --cells 1000 10000``. The components are made up and quick, in a plugin in a
temporary folder; every measurement is a process of its own. The limits are printed, not enforced.
"""

import argparse
import contextlib
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SEEDS = 5
CELLS = 8
"""How many cells a row has for each seed: see ``RISKS``."""
RISKS = {
    "evasion": {"threat": {"rows": 100}, "attacks": ["copy", "again"]},
    "membership-inference": {"threat": {"population": 50}, "attacks": ["guess"]},
    "discriminatory-behavior": {},
    "utility": {},
}
SECONDS_PER_JOB = 0.005
MEMORY_MB = 500
COMPONENTS = Path(__file__).with_name("scale_components.py")
TIMED = {
    "resolve the configuration": "amulet_core.api:resolve",
    "import components": "amulet_core.api:load_all",
    "plan": "amulet_core.running.conduct:plan",
    "known results": "amulet_core.running.conduct:_known",
    "what is to be done": "amulet_core.running.conduct:todo_of",
    "all jobs": "amulet_core.api:conduct",
    "  one job": "amulet_core.performing.workbench:Workbench.do",
    "    its own work": "amulet_core.performing.craft:GroundedCraft.perform",
    "    to bytes": "amulet_core.performing.craft:GroundedCraft.pack",
    "    put into the store": "amulet_core.storage.store:Store.put",
    "      of it fsync": "os:fsync",
    "    get from the store": "amulet_core.storage.store:Store.get",
    "  fill a cell": "amulet_core.running.loop:_fill",
    "entries and verdicts": "amulet_core.api:entries",
    "results.csv and .json": "amulet_core.api:write_results",
    "report.html": "amulet_core.results:Results.report",
    "results as JSON": "amulet_core.results:Results.model_dump",
}
"""What is timed, by the name under which it is shown: ``module:function`` or ``module:class.method``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a table for each number of cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[1000, 10000], help="about how many cells")
    parser.add_argument("--processes", type=int, default=1000, help="up to how many cells are run with processes too")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.measure:
        what, folder, executor = given.measure
        print(json.dumps(measured(what, Path(folder), executor)))
        return 0
    for cells in given.cells:
        with tempfile.TemporaryDirectory() as folder:
            show(cells, Path(folder), with_processes=cells <= given.processes)
    return 0


def show(cells: int, folder: Path, *, with_processes: bool) -> None:
    """Measure a matrix of about this many cells, and print what was found."""
    make_plugin(folder)
    config = made_config(max(3, round(cells / CELLS / SEEDS)))
    (folder / "config.json").write_text(json.dumps(config))
    first = measure("first", folder)
    show_first(first, folder)
    if first["failed"]:
        raise SystemExit(f"{first['failed']} cells were not measured: the figures above say nothing")
    for title, what in (("gone on with", "first"), ("in another folder", "second")):
        again = measure(what, folder)
        print(f"all known, {title:18} {took(again)}, {again['cpu'] / again['cells'] * 1e3:.2f} ms of CPU a cell")
    dry = measure("dry", folder)
    print(f"dry run, all known            {took(dry)}, {'with' if dry['torch'] else 'without'} torch")
    if with_processes:
        show_processes(measure("processes", folder, executor="processes"))
    print(flush=True)


def took(found: dict[str, Any]) -> str:
    """Return the time and the memory of a process as text."""
    return f"{found['wall']:8.2f} s {found['cpu']:8.2f} s   {found['memory']:5.0f} MB at most"


def show_first(found: dict[str, Any], folder: Path) -> None:
    """Print what a first run took, and how that divides."""
    jobs, parts = found["jobs"], found["parts"]
    print(f"{found['cells']} cells, {jobs} jobs, {found['models']} models, executor inline")
    print(f"{'':30}    wall        CPU")
    print(f"first run                     {took(found)}, of which:")
    for name, (wall, cpu, calls) in parts.items():
        times = f"{calls:7} times, {wall / calls * 1e3:.2f} ms ({cpu / calls * 1e3:.2f} ms) each" if calls > 1 else ""
        print(f"  {name:28}{wall:8.2f} s {cpu:8.2f} s {times}")
    own_work = parts["    its own work"]
    wall, cpu = ((all_ - own) / jobs * 1e3 for all_, own in zip(parts["all jobs"][:2], own_work[:2], strict=True))
    aim = f"aim: below {SECONDS_PER_JOB * 1e3:g} ms"
    print(f"a job, beside its own work    {wall:8.2f} ms{cpu:8.2f} ms   {aim}; with fsync, which waits for the disk")
    show_sizes(found, folder)


def show_sizes(found: dict[str, Any], folder: Path) -> None:
    """Print what a first run needed of the memory and the disk."""
    peaks, more = found["peaks"], found["memory"] - found["peaks"]["imported"]
    told = ", ".join(f"{value:.0f} MB {name}" for name, value in peaks.items())
    print(f"memory of the driver          {found['memory']:8.0f} MB     aim: below {MEMORY_MB} MB; peaks: {told}")
    print(f"  beside the imports          {more:8.0f} MB")
    files = [(path.name, path.stat().st_size) for path in sorted((folder / "first").iterdir())]
    print("disk                          " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in files if size))
    entries = [path.stat() for path in (folder / "cache").rglob("*.entry")]
    used, blocks = sum(one.st_size for one in entries) / 1e6, sum(one.st_blocks for one in entries) * 512 / 1e6
    print(f"cache                         {used:8.1f} MB     {len(entries)} entries, {blocks:.1f} MB of blocks")


def show_processes(found: dict[str, Any]) -> None:
    """Print what the same run took with worker processes, in a cache of its own."""
    (wall, cpu, _), workers, jobs = found["parts"]["all jobs"], found["workers"], found["jobs"]
    # After the first answer: workers take seconds to start, whatever the number of jobs.
    each = (found["span"] - found["performing"] / workers) / jobs
    print(f"executor processes            {took(found)}, {workers} workers")
    print(
        f"  all jobs                    {wall:8.2f} s {cpu:8.2f} s   {wall - found['span']:.1f} s to the first answer"
    )
    print(f"a job, beside its own work    {each * 1e3:8.2f} ms{cpu / jobs * 1e3:8.2f} ms   CPU of the driver alone")


def made_config(rows: int) -> dict[str, Any]:
    """Return a configuration with this many rows, ``none`` and ``placebo`` included."""
    lazy = [{"label": f"lazy {n}", "chain": [{"name": "lazy", "params": {"number": n}}]} for n in range(rows - 2)]
    return {
        "name": "scale",
        "dataset": "blobs",
        "model": "linear",
        "training": {"epochs": 1, "batch_size": 50},
        "data": {"train": 50, "val": 20, "test": 100, "aux": 50},
        "defenses": lazy,
        "risks": RISKS,
        "seeds": SEEDS,
    }


def make_plugin(folder: Path) -> None:
    """Make an importable module with the metadata of an installed package."""
    site = folder / "site"
    metadata = site / "amulet_plugin_scale-1.0.dist-info"
    metadata.mkdir(parents=True)
    shutil.copy(COMPONENTS, site)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: amulet-plugin-scale\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[amulet.v1]\nscale = scale_components\n")


def measure(what: str, folder: Path, *, executor: str = "inline") -> dict[str, Any]:
    """Return what a process of its own measured."""
    cache = folder / ("cache" if executor == "inline" else f"cache-{executor}")
    path = os.pathsep.join([str(folder / "site"), str(Path(__file__).parents[1])])
    more = {"AMULET_PLUGINS": "scale", "AMULET_CACHE": str(cache), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--measure", what, str(folder), executor]
    told = subprocess.run(command, check=True, env=os.environ | more, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


def measured(what: str, folder: Path, executor: str) -> dict[str, Any]:
    """Run, or forecast, in this process, and return what that took."""
    return forecast(folder) if what == "dry" else run(folder, folder / what, executor)


def run(folder: Path, out: Path, executor: str) -> dict[str, Any]:
    """Run the configuration in a folder and return what that took."""
    from amulet_core import api
    from amulet_core.running import conduct

    parts: dict[str, list[float]] = {name: [0.0, 0.0, 0] for name in TIMED}
    peaks = {"imported": peak_mb()}
    answers: list[tuple[float, float]] = []
    kept: list[Any] = []
    for name, target in TIMED.items():
        time_calls(target, parts[name])
    replaced(conduct, "recorded", noting_answers(answers))
    replaced(conduct, "plan", lambda true, *args: kept.append(true(*args)) or kept[-1])
    for name, when in (("prepared", "planned"), ("conduct", "jobs done")):
        replaced(api, name, noted(peaks, when))
    config = json.loads((folder / "config.json").read_text()) | {"executor": executor}
    start = time.perf_counter()
    results = api.run(config, out=out)
    return {
        "wall": time.perf_counter() - start,
        "cpu": time.process_time(),
        "cells": len(results.cells),
        "failed": sum(cell.status != "ok" for cell in results.cells),
        "jobs": len(kept[0].jobs),
        "models": sum(len(job.work.places) for job in kept[0].jobs.values() if hasattr(job.work, "places")),
        "workers": len(os.sched_getaffinity(0)),
        "performing": sum(seconds for _, seconds in answers[1:]),
        "span": answers[-1][0] - answers[0][0] if answers else 0.0,
        "parts": parts,
        "peaks": peaks,
        "memory": peak_mb(),
    }


def forecast(folder: Path) -> dict[str, Any]:
    """Forecast the run in a folder and return what that took."""
    from amulet_core.commands.dry_run import dry_run
    from amulet_core.discovery.registry import discover

    start = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        dry_run(str(folder / "config.json"), out=str(folder / "second"), overrides=(), registry=discover())
    wall = time.perf_counter() - start
    return {"wall": wall, "cpu": time.process_time(), "torch": "torch" in sys.modules, "memory": peak_mb()}


def noting_answers(answers: list[tuple[float, float]]) -> Callable[..., Any]:
    """Return what notes when each job was done, and how many seconds it took beside all that surrounds it."""

    def note(true: Callable[..., Any], *args: Any, **more: Any) -> Any:
        answers.append((time.perf_counter(), more["seconds"]))
        return true(*args, **more)

    return note


def noted(peaks: dict[str, float], name: str) -> Callable[..., Any]:
    """Return what calls a function and notes the peak of the memory after it."""

    def call(true: Callable[..., Any], *args: Any, **more: Any) -> Any:
        given = true(*args, **more)
        peaks[name] = peak_mb()
        return given

    return call


def peak_mb() -> float:
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def time_calls(target: str, into: list[float]) -> None:
    """Add up the seconds and the calls of a function, named as in ``TIMED``."""
    module, _, name = target.partition(":")
    *owners, last = name.split(".")
    place: Any = importlib.import_module(module)
    for owner in owners:
        place = getattr(place, owner)

    def timed(true: Callable[..., Any], *args: Any, **more: Any) -> Any:
        start = time.perf_counter(), time.process_time()
        try:
            return true(*args, **more)
        finally:
            into[0] += time.perf_counter() - start[0]
            into[1] += time.process_time() - start[1]
            into[2] += 1

    replaced(place, last, timed)


def replaced(place: Any, name: str, by: Callable[..., Any]) -> None:
    """Have calls of a function go to ``by``, which gets the true one first."""
    true = getattr(place, name)
    setattr(place, name, lambda *args, **more: by(true, *args, **more))


if __name__ == "__main__":
    sys.exit(main())
