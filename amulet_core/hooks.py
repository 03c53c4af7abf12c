"""The hooks that a plugin may implement: one contributes components, the others observe a run and return nothing.

Those that observe are called one after the other in a process of the plugin's own, some time after what they are about.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from amulet_core.components import Component

hookspec: Final = HookspecMarker("amulet")
hookimpl: Final = HookimplMarker("amulet")

OBSERVERS: Final = (
    "amulet_run_started",
    "amulet_cell_started",
    "amulet_progress",
    "amulet_cell_finished",
    "amulet_run_finished",
)
"""The hooks that are broadcast while a run goes on."""


@hookspec
def amulet_components() -> Iterable["Component"]:  # type: ignore[empty-body]
    """Return or yield the descriptors of all components that the plugin contributes.

    It is called once in each process that discovers plugins, after the plugin's module was imported and before any
    command does its work: it imports nothing heavy. Whatever it raises, and a descriptor that is wrong, breaks the
    plugin alone.
    """


@hookspec
def amulet_run_started(run: Mapping[str, Any]) -> None:
    """Observe that a run has been planned and now starts; ``run`` is its configuration with every name resolved.

    It is told once, before all others, and never dropped.
    """


@hookspec
def amulet_cell_started(cell: Mapping[str, Any]) -> None:
    """Observe that a cell starts: the job that fills it is about to be done.

    ``cell`` has row, risk, attack, control, seed, adversary, job and skipped. Cells whose results are known before, and
    those that are skipped, never start.
    """


@hookspec
def amulet_progress(done: int, total: int, label: str) -> None:
    """Observe that ``done`` of ``total`` jobs are finished, the latest being ``label``.

    Jobs whose outputs are known before are no part of the total.
    """


@hookspec
def amulet_cell_finished(cell: Mapping[str, Any]) -> None:
    """Observe that a cell has ended ok, failed or skipped.

    ``cell`` is an ``amulet_core.results.Cell`` as JSON: row, risk, attack, control, seed, status, reason, blame,
    traceback, adversary, measured and warnings. Cells whose results are known before are told of, too.
    """


@hookspec
def amulet_run_finished(results: Mapping[str, Any], folder: str) -> None:
    """Observe that a run has ended; ``results`` is what it found, ``folder`` where it wrote that ("": nowhere).

    ``results`` is an ``amulet_core.results.Results`` as JSON. It is told after the files are written, once, and never
    dropped; an interrupted run ends, too.
    """
