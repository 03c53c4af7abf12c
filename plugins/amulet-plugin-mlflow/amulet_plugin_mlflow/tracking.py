"""One MLflow run that stands for a run of AMULET. Whoever imports this imports mlflow."""

import atexit
import os
import re
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from amulet_plugin_mlflow import contents

EVERY: Final = 2.0
"""Seconds between requests while the run goes on: many small ones would keep the server and the run's end waiting."""
TROUBLE: Final = (MlflowException, OSError, ImportError)
"""What a server that cannot be used raises: some artifact stores want a package that is not installed."""
PAUSE: Final = 60.0
"""Seconds for which a server that failed is left alone."""


class TrackingError(Exception):
    """The tracking server did not take what was to be logged; the text says what it answered, and where all is."""


class TrackedRun:
    """A run as the server is to know it. What was not taken waits, and is sent again."""

    def __init__(self, uri: str, run: Mapping[str, Any]) -> None:
        """Prepare to log a resolved configuration to the server at ``uri``; nothing is sent yet."""
        self._uri = uri
        self._config = run
        self._rows = contents.row_names(contents.labels_of(run))
        self._began = _now()
        self._client: MlflowClient | None = None
        self._run = ""
        self._described = False
        self._ended = False
        self._known: set[tuple[Any, ...]] = set()
        self._metrics: list[Metric] = []
        self._due = 0.0

    def add(self, cell: Mapping[str, Any]) -> None:
        """Take note of the values of a cell, unless they are known."""
        place = cell["row"], cell["risk"], cell["attack"], cell["seed"]
        if place not in self._known:
            self._known.add(place)
            self._note(contents.cell_metrics(cell, self._rows))

    def send_if_due(self) -> None:
        """Send what waits, unless that was tried a moment ago; what the server does not take goes on waiting."""
        if time.monotonic() < self._due:
            return
        try:
            self._send()
            self._due = time.monotonic() + EVERY
        except TROUBLE:  # ``finish`` tries again, and tells
            self._due = time.monotonic() + PAUSE

    def finish(self, results: Mapping[str, Any], folder: str) -> None:
        """Log all that is missing, and end the run.

        Raises:
            TrackingError: when the server does not take it.
        """
        self._ended = True
        for cell in results["cells"]:
            self.add(cell)
        self._note(contents.entry_metrics(results, self._rows))
        try:
            client, run = self._send()
            told = contents.tags(results, self._rows, version=version("amulet-framework"))
            client.log_batch(run, tags=[RunTag(*tag) for tag in told.items()])
            try:
                for path in (Path(folder) / name for name in contents.FILES if folder):
                    if path.is_file():
                        client.log_artifact(run, str(path))
            finally:  # files may be kept elsewhere, where they may be refused
                client.set_terminated(run, contents.status(results))
        except TROUBLE as error:
            where = f" All of it is in {folder}." if folder else ""
            raise TrackingError(
                f"the MLflow server {_public(self._uri)} did not take the whole run: "
                f"{_public(' '.join(str(error).split())).rstrip('.')}.{where}"
            ) from error

    def _note(self, metrics: list[contents.Metric]) -> None:
        # The time is part of what is sent, so that what is sent twice is the same and counts once.
        self._metrics += [Metric(metric.name, metric.value, _now(), metric.step) for metric in metrics]

    def _send(self) -> tuple[MlflowClient, str]:
        client = self._client = self._client or MlflowClient(tracking_uri=self._uri)
        if not self._run:
            self._run = self._started(client)
            atexit.register(self._abandon)
        if not self._described:
            client.log_batch(self._run, params=[Param(*param) for param in contents.params(self._config).items()])
            self._described = True
        if self._metrics:
            client.log_batch(self._run, metrics=self._metrics)  # the client splits it into requests
            self._metrics.clear()
        return client, self._run

    def _started(self, client: MlflowClient) -> str:
        tags = {"amulet.version": version("amulet-framework"), "mlflow.source.name": "amulet"}
        run = client.create_run(_experiment(client), start_time=self._began, tags=tags, run_name=self._config["name"])
        return str(run.info.run_id)

    def _abandon(self) -> None:
        """Say that the run was killed, where AMULET's process ended without saying how."""
        if self._client is not None and not self._ended:
            self._client.set_terminated(self._run, "KILLED")


def _experiment(client: MlflowClient) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if not name:
        return os.environ.get("MLFLOW_EXPERIMENT_ID") or "0"
    known = client.get_experiment_by_name(name)
    try:
        return str(known.experiment_id if known else client.create_experiment(name))
    except MlflowException:
        known = client.get_experiment_by_name(name)  # another run may have made it meanwhile
        if known is None:
            raise
        return str(known.experiment_id)


def _now() -> int:
    return int(time.time() * 1000)


def _public(text: str) -> str:
    """Take the name and password out of an address: warnings are written into results."""
    return re.sub(r"//[^/\s]*@", "//", text)
