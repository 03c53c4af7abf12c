"""A plugin of every kind, as an author's pip installs it: its tests pass, it is listed, checked, and part of a matrix."""

import csv
import json
import os
import subprocess
import sys

import pytest
import yaml

from amulet_core.discovery.registry import discover
from amulet_core.scaffold.command import new_plugin
from amulet_core.scaffold.examples import KINDS

CONFIG = {
    "name": "own",
    "dataset": "own-dataset",
    "model": "own-model/own-model",
    "training": {"epochs": 8, "batch_size": 32},
    "data": {"train": 100, "val": 20, "test": 100, "aux": 20},
    "defenses": ["own-defense"],
    "risks": {
        "evasion": {
            "threat": {"epsilon": 0.1, "curve": []},
            "attacks": ["own-attack"],
            "metrics": ["own-metric", "robustness"],
        }
    },
    "seeds": 1,
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Write and install a plugin of each kind; return a function that runs a module of Python beside them."""
    folder = tmp_path_factory.mktemp("own")
    registry = discover(select="")
    for kind in KINDS:
        new_plugin(kind, f"own-{kind}", risk=None, folder=str(folder / kind), registry=registry)
    path = os.pathsep.join(filter(None, (str(folder / "site"), *sys.path)))
    environment = os.environ | {
        "PYTHONPATH": path,
        "AMULET_PLUGINS": ",".join(f"own-{kind}" for kind in KINDS),
        "AMULET_CACHE": str(folder / "cache"),
    }

    def run(*arguments):
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    run("pip", "install", *offline, "--target", str(folder / "site"), *(f"./{kind}" for kind in KINDS))
    return folder, run


def test_each_is_listed(installed):
    _, run = installed
    records = json.loads(run("amulet_core.commands.cli", "--strict", "list", "--json"))
    own = {
        record["id"]: (record["kind"], record["distribution"]) for record in records if record["plugin"] != "builtin"
    }
    assert own == {f"own-{kind}/own-{kind}": (kind, f"amulet-plugin-own-{kind}") for kind in KINDS}


def test_the_tests_of_each_pass(installed):
    _, run = installed
    options = (
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--import-mode=importlib",
        "-c",
        "attack/pyproject.toml",
    )
    shown = run("pytest", *options, *(f"{kind}/tests" for kind in KINDS))
    assert "passed" in shown.splitlines()[-1]
    assert "failed" not in shown.splitlines()[-1]
    assert "skipped" not in shown.splitlines()[-1]


def test_a_user_can_check_one(installed):
    _, run = installed
    assert run("amulet_core.commands.cli", "check", "own-dataset").splitlines()[-1].endswith(" ok")


def test_all_are_part_of_a_matrix(installed):
    folder, run = installed
    (folder / "own.yaml").write_text(yaml.safe_dump(CONFIG))
    run("amulet_core.commands.cli", "run", "own.yaml", "--out", "results")
    with (folder / "results" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    used = {(row["row"], row["attack"], row["metric"]) for row in rows if row["risk"] == "evasion"}
    assert ("own-defense", "own-attack/own-attack", "own-metric/own-metric") in used
    components = json.dumps(json.loads((folder / "results" / "provenance.json").read_text()))
    assert all(f"own-{kind}/own-{kind}" in components for kind in KINDS)
