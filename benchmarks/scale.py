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
SHADOWS = 4
RISKS = {
    "evasion": {"threat": {"rows": 100}, "attacks": ["copy", "again"]},
    "membership-inference": {"threat": {"population": 50}, "attacks": ["guess"]},
    "discriminatory-behavior": {},
    "utility": {},
}
SECONDS_PER_JOB = 0.005
MEMORY_MB = 500
PLUGIN = '''"""Components that take next to no time."""

from amulet_core.components import Attack, Dataset, Defense, LabRequest, Model, Params
from amulet_core.hooks import hookimpl
from pydantic import Field

HERE = __name__


class LazyParams(Params):
    """The settings of a defense that is there many times."""

    number: int = Field(0, ge=0, description="which one it is")


def blobs(params):
    """Return two clouds of points."""
    import torch
    from amulet_core.data import make_data
    from amulet_core.schema import DataSchema, Feasible, Sensitive

    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (400,), generator=generator)
    z = torch.randint(2, (400, 1), generator=generator)
    x = torch.randn(400, 4, generator=generator).clamp(-4, 4) * 0.2 + y[:, None]
    schema = DataSchema(modality="tabular", shape=(4,), classes=("no", "yes"), feasible=Feasible(low=-4.0, high=4.0),
                        sensitive=(Sensitive(name="group", categories=("a", "b")),))
    return make_data(x.clamp(-4, 4), y, schema, z=z)


def linear(params, schema):
    """Return a linear classifier."""
    from torch import nn

    return nn.Linear(schema.width, len(schema.classes))


def lazy(training, params, context):
    """Return models as they are built, each slightly different, without training them."""
    from dataclasses import replace

    import torch
    from amulet_core.training.values import Fitted

    def fit(training, rows, val, streams):
        models = [training.parts["model"]() for _ in rows]
        for model, own in zip(models, streams):
            weight = torch.rand(model.weight.shape, generator=own.generator("lazy"))
            model.load_state_dict({"weight": weight * torch.tensor([[-1.0], [1.0]]), "bias": torch.tensor([1.0, -1.0])})
        return [Fitted(model.eval()) for model in models]

    return replace(training, fit=fit)


def copy(view, params):
    """Leave every row as it is."""
    import torch
    from amulet_core.games.evasion import EvasionAnswer

    return EvasionAnswer(x=torch.stack([view.x] * len(view.epsilons)))


def guess(view, params):
    """Score every candidate by its place."""
    import torch
    from amulet_core.games.membership import MembershipAnswer

    return MembershipAnswer(score=torch.arange(len(view.y), dtype=torch.float64))


def shadows(params, schema):
    """Ask for shadow models."""
    return (LabRequest(models=SHADOWS),)


@hookimpl
def amulet_components():
    """Yield them all."""
    yield Dataset(name="blobs", summary="Two clouds of points", target=f"{HERE}:blobs", licence="none")
    yield Model(name="linear", summary="A linear classifier", target=f"{HERE}:linear", stackable=True)
    yield Defense(name="lazy", summary="Trains nothing at all", target=f"{HERE}:lazy", risk="evasion",
                  stages={"training": f"{HERE}:lazy"}, params=LazyParams)
    for name in ("copy", "again"):
        yield Attack(name=name, summary="Changes nothing", target=f"{HERE}:copy", risk="evasion", access="white-box")
    yield Attack(name="guess", summary="Knows nothing", target=f"{HERE}:guess", risk="membership-inference",
                 access="probabilities", needs=shadows)
'''
TIMED = {
    "find plugins": "amulet_core.api:discover",
    "resolve the configuration": "amulet_core.api:resolve",
    "import torch and components": "amulet_core.api:_load_all",
    "plan": "amulet_core.conduct:plan",
    "known results": "amulet_core.conduct:_known",
    "what is to be done": "amulet_core.conduct:todo_of",
    "conduct": "amulet_core.api:conduct",
    "a job": "amulet_core.workbench:Workbench.do",
    "its own work": "amulet_core.craft:GroundedCraft.perform",
    "to bytes": "amulet_core.craft:GroundedCraft.pack",
    "from bytes": "amulet_core.craft:GroundedCraft.unpack",
    "store: put": "amulet_core.store:Store.put",
    "store: get": "amulet_core.store:Store.get",
    "fill cells": "amulet_core.running:_fill",
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
    for title, what in (("gone on with", "first"), ("in another folder", "second")):
        again = measure(what, folder)
        wall, each = again["wall"], again["wall"] / again["cells"]
        print(f"all known, {title:18} {wall:8.2f} s      {each * 1e3:.2f} ms a cell, {again['memory']:.0f} MB at most")
    dry = measure("dry", folder)
    torch = "with" if dry["torch"] else "without"
    print(f"dry run, all known            {dry['wall']:8.2f} s      {torch} torch, {dry['memory']:.0f} MB at most")
    if with_processes:
        show_processes(measure("processes", folder, executor="processes"))
    print(flush=True)


def show_first(found: dict[str, Any], folder: Path) -> None:
    """Print what a first run took, and how that divides."""
    jobs, parts = found["jobs"], found["parts"]
    print(f"{found['cells']} cells, {jobs} jobs, {found['models']} models, executor inline")
    print(f"first run                     {found['wall']:8.2f} s      of which:")
    for name, (seconds, calls) in parts.items():
        print(f"  {name:28}{seconds:8.2f} s {calls:8} times, {seconds / max(calls, 1) * 1e3:.2f} ms each")
    each = (parts["conduct"][0] - found["performing"]) / jobs
    print(f"a job, beside its own work    {each * 1e3:8.2f} ms     aim: below {SECONDS_PER_JOB * 1e3:g} ms")
    peaks = ", ".join(f"{value:.0f} {name}" for name, value in found["peaks"].items())
    print(f"driver's memory               {found['memory']:8.0f} MB     aim: below {MEMORY_MB} MB; peaks: {peaks}")
    sizes = {path.name: path.stat().st_size for path in sorted((folder / "first").iterdir()) if path.stat().st_size}
    print("disk                          " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()))
    entries = [path.stat() for path in (folder / "cache").rglob("*") if path.is_file()]
    used, blocks = sum(one.st_size for one in entries) / 1e6, sum(one.st_blocks for one in entries) * 512 / 1e6
    print(f"cache                         {used:8.1f} MB     {len(entries)} files, {blocks:.1f} MB of blocks")


def show_processes(found: dict[str, Any]) -> None:
    """Print what the same run took with worker processes, in a cache of its own."""
    wall, workers, jobs = found["parts"]["conduct"][0], found["workers"], found["jobs"]
    each = (wall - found["performing"] / workers) / jobs
    print(f"executor processes            {wall:8.2f} s      {workers} workers, their start included")
    print(f"a job, beside its own work    {each * 1e3:8.2f} ms     of the run's time; {found['memory']:.0f} MB driver")


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
    (site / "scale_components.py").write_text(PLUGIN.replace("SHADOWS", str(SHADOWS)))
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
    from amulet_core import api, conduct

    parts: dict[str, list[float]] = {name: [0.0, 0] for name in TIMED}
    peaks = {"imported": peak_mb()}
    performed: list[float] = []
    kept: list[Any] = []
    for name, target in TIMED.items():
        time_calls(target, parts[name])
    replaced(conduct, "recorded", lambda true, *args, **more: performed.append(more["seconds"]) or true(*args, **more))
    replaced(conduct, "plan", lambda true, *args: kept.append(true(*args)) or kept[-1])
    for name in ("prepared", "conduct"):
        replaced(api, name, noted(peaks, name))
    config = json.loads((folder / "config.json").read_text()) | {"executor": executor}
    start = time.perf_counter()
    results = api.run(config, out=out)
    return {
        "wall": time.perf_counter() - start,
        "cells": len(results.cells),
        "failed": sum(cell.status != "ok" for cell in results.cells),
        "jobs": len(kept[0].jobs),
        "models": sum(len(job.work.places) for job in kept[0].jobs.values() if hasattr(job.work, "places")),
        "workers": len(os.sched_getaffinity(0)),
        "performing": sum(performed),
        "parts": parts,
        "peaks": peaks,
        "memory": peak_mb(),
    }


def forecast(folder: Path) -> dict[str, Any]:
    """Forecast the run in a folder and return what that took."""
    from amulet_core.forecast import dry_run
    from amulet_core.registry import discover

    start = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        dry_run(str(folder / "config.json"), out=str(folder / "second"), overrides=(), registry=discover())
    return {"wall": time.perf_counter() - start, "torch": "torch" in sys.modules, "memory": peak_mb()}


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
        start = time.perf_counter()
        try:
            return true(*args, **more)
        finally:
            into[0] += time.perf_counter() - start
            into[1] += 1

    replaced(place, last, timed)


def replaced(place: Any, name: str, by: Callable[..., Any]) -> None:
    """Have calls of a function go to ``by``, which gets the true one first."""
    true = getattr(place, name)
    setattr(place, name, lambda *args, **more: by(true, *args, **more))


if __name__ == "__main__":
    sys.exit(main())
