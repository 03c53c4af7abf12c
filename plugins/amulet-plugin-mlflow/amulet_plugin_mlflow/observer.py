"""What AMULET tells of a run, handed on to MLflow where MLFLOW_TRACKING_URI says that somebody wants it."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from amulet_core import hookimpl

if TYPE_CHECKING:
    from amulet_plugin_mlflow.tracking import TrackedRun

DEFAULTS: Final = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}
"""Where the user has set nothing, mlflow sends no usage data, and gives a server that is gone up within seconds."""


class Observer:
    """The observer hooks. AMULET gives it a process of its own, in which it is told of one run."""

    def __init__(self) -> None:
        """Know of no run, and import nothing."""
        self._tracked: TrackedRun | None = None

    @hookimpl
    def amulet_run_started(self, run: Mapping[str, Any]) -> None:
        """Start an MLflow run with the resolved configuration as its params."""
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            return
        for name, text in DEFAULTS.items():
            os.environ.setdefault(name, text)  # before mlflow is imported, which reads some of them then
        from amulet_plugin_mlflow.tracking import TrackedRun

        self._tracked = TrackedRun(uri, run)
        self._tracked.send_if_due()

    @hookimpl
    def amulet_cell_finished(self, cell: Mapping[str, Any]) -> None:
        """Log the values of a cell, together with those of other cells that end soon after."""
        if self._tracked is not None:
            self._tracked.add(cell)
            self._tracked.send_if_due()

    @hookimpl
    def amulet_run_finished(self, results: Mapping[str, Any], folder: str) -> None:
        """Log what is missing of the cells, the effects, the verdicts and the files, and end the MLflow run.

        Raises:
            TrackingError: when the server does not take them.
        """
        if self._tracked is not None:
            self._tracked.finish(results, folder)
