"""A real tracking server, and a small run of AMULET that logs to it; no plugin but the built-in one and this one."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from urllib3 import Retry
from urllib3.poolmanager import PoolManager

CONFIG = {
    "name": "small",
    "dataset": "digits",
    "model": "mlp",
    "training": {"epochs": 2, "batch_size": 50},
    "data": {"train": 60, "val": 20, "test": 100, "aux": 40},
    "defenses": [{"name": "adversarial-training", "params": {"steps": 1}}],
    "risks": {"evasion": {"attacks": [{"name": "pgd", "params": {"steps": 2, "restarts": 1}}], "threat": {"rows": 50}}},
    "seeds": 2,
}


@dataclass(frozen=True)
class Server:
    uri: str
    process: subprocess.Popen

    @property
    def client(self):
        return MlflowClient(tracking_uri=self.uri)

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def runs(self, experiment):
        found = self.client.get_experiment_by_name(experiment)
        return [] if found is None else self.client.search_runs([found.experiment_id])


@dataclass(frozen=True)
class Ended:
    code: int
    warnings: list
    folder: Path

    @property
    def results(self):
        return json.loads((self.folder / "results.json").read_text())


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    port = free_port()
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    command = [sys.executable, "-m", "mlflow", "server", *store, "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log, subprocess.Popen(
        command, cwd=folder, env=os.environ | quiet, stdout=log, stderr=log, process_group=0
    ) as process:  # fmt: skip
        server = Server(f"http://127.0.0.1:{port}", process)
        try:
            PoolManager(retries=Retry(total=180, backoff_factor=0.5, backoff_max=1)).request(
                "GET", f"{server.uri}/health"
            )
            yield server
        finally:
            server.stop()


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AMULET_PLUGINS", "mlflow")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def mortal_server(tmp_path):
    folder = tmp_path / "mortal"
    folder.mkdir()
    with serving(folder) as started:
        yield started


@pytest.fixture(scope="session")
def amulet(tmp_path_factory):
    """Return a function that runs the small configuration in a process of its own; what was computed is reused."""
    cache = tmp_path_factory.mktemp("cache")

    def run(folder, changes=None, **environment):
        folder.mkdir()
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(CONFIG | (changes or {})))
        clean = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
        ours = {"AMULET_PLUGINS": "mlflow", "AMULET_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(
            [sys.executable, "-m", "amulet_core.commands.cli", "run", str(config), "--out", str(folder / "out")],
            cwd=folder,
            env=clean | ours | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        warnings = [line for line in ended.stderr.splitlines() if line.startswith("warning: ")]
        return Ended(ended.returncode, warnings, folder / "out")

    return run


@pytest.fixture
def dead_uri():
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def silent_uri():
    """Give the address of something that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
