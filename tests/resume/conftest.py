"""What tests of killed and resumed runs share: processes that end with the test, a small plugin, and fresh runs."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import importlib_metadata
import pytest

sys.path.append(str(Path(__file__).parent))

from counting import outcome
from toy import MODULES

from amulet_core import api
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import Registry, discover
from amulet_core.results import Results
from amulet_core.running.conduct import prepared
from amulet_core.storage.store import Store

Config = dict[str, Any]


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts Python with these arguments; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, **pipes | options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


@pytest.fixture
def load(process) -> None:
    """Keep a processor busy beside the test."""
    process("-c", "while True: pass")


@pytest.fixture
def toy(packages) -> Callable[[], Registry]:
    """Install the small plugin; return a function that discovers it anew, as a new process would."""
    packages.add("toy", MODULES["toy_components"], module="toy_components")
    for name, text in MODULES.items():
        if name != "toy_components":
            (packages.folder / f"{name}.py").write_text(text)

    def found() -> Registry:
        for name in set(MODULES) & set(sys.modules):
            del sys.modules[name]
        importlib.invalidate_caches()
        own = importlib_metadata.entry_points(group="amulet.v1", name="builtin")
        registry = discover(entry_points=[*packages.entry_points(), *own])
        assert registry.warnings == ()
        return registry

    return found


@pytest.fixture
def command(toy, packages, process, tmp_path) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts ``amulet`` in a process of its own, with the small plugin and a cache."""
    toy()
    paths = os.pathsep.join([str(packages.folder), os.environ.get("PYTHONPATH", "")])
    own = os.environ | {"PYTHONPATH": paths, "AMULET_PLUGINS": "toy"}

    def start(*arguments: str, cache: str = "cache") -> subprocess.Popen[str]:
        options = {"cwd": tmp_path, "env": own | {"AMULET_CACHE": str(tmp_path / cache)}}
        return process("-m", "amulet_core.commands.cli", *arguments, **options)

    return start


def config_with(**changes: Any) -> Config:
    """Return a configuration that takes a second: two rows beside none and placebo, two risks beside utility."""
    return {
        "dataset": "toy/blobs",
        "model": "toy/linear",
        "training": {"epochs": 2, "batch_size": 25, "learning_rate": 0.05},
        "data": {"train": 50, "val": 10, "test": 60, "aux": 20},
        "defenses": ["toy/keep", "toy/halve"],
        "risks": {
            "evasion": {"attacks": ["toy/nudge", "toy/shove"]},
            "membership-inference": {"attacks": [{"name": "lira", "params": {"shadow_models": 4}}]},
        },
        "seeds": 1,
        "stack": 5,
    } | changes


@pytest.fixture
def config() -> Callable[..., Config]:
    """Return a function that makes the small configuration, with changes."""
    return config_with


@pytest.fixture
def run(toy, tmp_path) -> Callable[..., Results]:
    """Return a function that runs a configuration, as a new process would: with this test's cache, unless told else."""

    def started(config: Config, out: str = "", *, cache: str = "cache") -> Results:
        place = {"out": tmp_path / out} if out else {}
        return api.run(config, registry=toy(), cache=tmp_path / cache, **place)

    return started


@pytest.fixture(scope="session")
def outcomes() -> dict[str, Mapping[str, Any]]:
    """Keep what configurations come to, so that tests of one configuration share the run that nothing was known to."""
    return {}


@pytest.fixture
def fresh(toy, tmp_path_factory, outcomes) -> Callable[[Config], Mapping[str, Any]]:
    """Return a function that gives what a configuration comes to if nothing is known before."""

    def found(config: Config) -> Mapping[str, Any]:
        config = {key: value for key, value in config.items() if key != "executor"}
        name = json.dumps(config)
        if name not in outcomes:
            results = api.run(config, registry=toy(), cache=tmp_path_factory.mktemp("fresh"))
            assert results.provenance.reused == 0
            assert {cell.status for cell in results.cells} == {"ok"}
            outcomes[name] = outcome(results)
        return outcomes[name]

    return found


@pytest.fixture(scope="session")
def trunk(tmp_path_factory) -> Path:
    """Give a folder for a run that many tests start from."""
    return tmp_path_factory.mktemp("trunk")


@pytest.fixture
def known(toy, trunk, tmp_path) -> Path:
    """Leave the cache, and the folder ``out``, of a run of the small configuration; return the folder of both."""
    if not (trunk / "out").exists():
        api.run(config_with(), registry=toy(), out=trunk / "out", cache=trunk / "cache")
    for name in ("cache", "out"):
        shutil.copytree(trunk / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def entries(toy, tmp_path) -> Callable[[Config], Mapping[str, Path]]:
    """Return a function that gives the files of the cache where outputs are, or would be, by the label of their job."""

    def found(config: Config) -> Mapping[str, Path]:
        ready = prepared(resolve(config, toy()), Store(tmp_path / "cache"))
        paths = {job.label: ready.store.path(key) for key, job in ready.plan.jobs.items()}
        assert len(paths) == len(ready.plan.jobs)
        return paths

    return found
