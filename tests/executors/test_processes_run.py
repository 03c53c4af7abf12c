"""Runs on `processes` with the real worker: the same results as `inline`, also when components kill their process."""

import json
import os
import select
import subprocess
import sys

import importlib_metadata
import pytest

from amulet_core.api import run
from amulet_core.discovery.registry import discover
from amulet_core.results import Results
from amulet_plugins_builtin.executors.workers import refusal, worker_command

TOY = """
    import os
    import signal

    from pydantic import Field

    from amulet_core.components import Dataset, Defense, Model, Params

    HERE = __name__

    class DeadlyParams(Params):
        number: int = Field(0, ge=0, description="the signal it sends to its own process")
        seed: int = Field(0, ge=0, description="of the rows")

    def blobs(params):
        import torch
        from amulet_core.data import make_data
        from amulet_core.schema import DataSchema, Feasible

        generator = torch.Generator().manual_seed(params.seed)
        y = torch.randint(2, (800,), generator=generator)
        x = (torch.randn(800, 4, generator=generator) * 0.2 + (y * 0.5)[:, None]).clamp(-4, 4)
        feasible = Feasible(low=-4.0, high=4.0)
        return make_data(x, y, DataSchema(modality="tabular", shape=(4,), classes=("no", "yes"), feasible=feasible))

    def linear(params, schema):
        from torch import nn

        return nn.Linear(schema.width, 2)

    def keep(training, params, context):
        if params.number:
            os.kill(os.getpid(), params.number)
        return training

    def nudge(view, params):
        import torch
        from amulet_core.games.evasion import EvasionAnswer

        if params.number == 99:
            print(os.getpid(), file=open(os.environ["TOLD"], "w"), flush=True)
            signal.pause()
        if params.number == 98:
            input()
        if params.number:
            os.kill(os.getpid(), params.number)
        noise = torch.rand_like(view.x) - 0.5
        return EvasionAnswer(x=torch.stack([view.x + epsilon * noise for epsilon in view.epsilons]))

    @hookimpl
    def amulet_components():
        fields = {"params": DeadlyParams}
        yield Dataset(name="blobs", summary="Two clouds of points", target=f"{HERE}:blobs", licence="none", **fields)
        yield Model(name="linear", summary="A linear classifier", target=f"{HERE}:linear", **fields)
        for name in ("keep", "bomb"):
            yield Defense(
                name=name, summary="Leaves training as it is", target=f"{HERE}:keep", risk="evasion",
                stages={"training": f"{HERE}:keep"}, **fields,
            )
        yield attack("nudge", target=f"{HERE}:nudge", access="white-box", **fields)
        yield attack("shove", target=f"{HERE}:nudge", access="white-box", **fields)
"""


SMALL = {
    "dataset": "toy/blobs",
    "model": "toy/linear",
    "training": {"epochs": 2, "batch_size": 50, "learning_rate": 0.05},
    "data": {"train": 50, "val": 20, "test": 100, "aux": 50},
    "defenses": ["toy/keep"],
    "risks": {"evasion": {"attacks": ["toy/nudge"]}},
    "seeds": 1,
}


def _deadly(name, number):
    return {"name": f"toy/{name}", "params": {"number": number}}


def _outcome(results: Results) -> dict:
    """Return all of the results that must be equal, whoever did the jobs."""
    found = results.model_dump(mode="json", exclude={"provenance"})
    del found["config"]["executor"]
    return found


@pytest.fixture
def run_on(packages, tmp_path):
    """Return a function that runs a small configuration on an executor, each time with a new cache."""
    packages.add("toy", TOY)
    builtin = importlib_metadata.entry_points(group="amulet.v1", name="builtin")
    registry = discover(entry_points=[*packages.entry_points(), *builtin])
    assert registry.warnings == ()

    def started(executor, **changes):
        config = SMALL | {"executor": executor} | changes
        return run(config, registry=registry, cache=tmp_path / f"cache of {executor}")

    return started


def test_results_are_equal_to_those_of_inline_bit_for_bit(run_on):
    risks = {"evasion": {"attacks": ["toy/nudge"]}, "membership-inference": {"attacks": ["lira"]}}
    expected, found = (run_on(executor, risks=risks, seeds=2) for executor in ("inline", "processes"))
    assert {cell.status for cell in expected.cells} == {"ok"}
    assert _outcome(found) == _outcome(expected)
    assert found.provenance.warnings == ()


def test_components_that_kill_their_process_fail_their_own_cells_and_nothing_else(run_on):
    harmless = run_on("inline")
    attacks = ["toy/nudge", _deadly("shove", 11)]
    found = run_on(
        {"name": "processes", "params": {"retries": 0}},
        defenses=["toy/keep", _deadly("bomb", 9)],
        risks={"evasion": {"attacks": attacks}},
    )
    failed = [cell for cell in found.cells if cell.status == "failed"]
    harmed = {(cell.row, cell.attack) for cell in failed if cell.row != "bomb"}
    assert harmed == {(row, attack) for row in ("none", "placebo", "keep") for attack in ("toy/shove", "worst case")}
    assert all(cell.status == "failed" for cell in found.cells if cell.row == "bomb")
    assert {cell.blame for cell in failed} == {"builtin/processes"}
    assert [cell for cell in found.cells if cell.status != "failed"] == list(harmless.cells)
    (crashed,) = [cell for cell in failed if (cell.row, cell.attack, cell.seed) == ("none", "toy/shove", 0)]
    assert crashed.reason.startswith("the worker that did it was killed by SIGSEGV; it held ")
    assert "Fatal Python error: Segmentation fault" in crashed.traceback
    assert " in keep" not in crashed.traceback
    assert " in nudge" in crashed.traceback


def test_a_component_that_reads_its_input_finds_nothing_there(run_on):
    found = run_on("processes", risks={"evasion": {"attacks": [_deadly("nudge", 98)]}})
    reasons = {cell.reason for cell in found.cells if cell.status == "failed"}
    assert reasons == {"EOFError: EOF when reading a line"}


def test_a_worker_ends_with_a_driver_that_is_killed_even_if_its_job_would_never_end(run_on, tmp_path, monkeypatch):
    told = tmp_path / "told"
    os.mkfifo(told)
    monkeypatch.setenv("TOLD", str(told))
    endless = {"name": "toy/nudge", "params": {"number": 99}}
    config = SMALL | {"executor": "processes", "risks": {"evasion": {"attacks": [endless]}}}
    (tmp_path / "endless.json").write_text(json.dumps(config))
    command = [
        sys.executable,
        "-m",
        "amulet_core.commands.cli",
        "run",
        str(tmp_path / "endless.json"),
        "--out",
        str(tmp_path),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        worker = os.pidfd_open(int(told.read_text()))
        try:
            driver.kill()
            driver.wait()
            assert select.select([worker], [], [], 60)[0], "the worker is still there"
        finally:
            os.close(worker)


def test_workers_import_what_the_driver_would_and_nothing_of_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "pydantic.py").write_text("raise RuntimeError('imported from the current folder')")
    monkeypatch.chdir(tmp_path)
    assert refusal(worker_command()) is None
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "imported from the current folder" in refusal(worker_command())
