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
    """Return or yield the descriptors of all components that the plugin contributes."""


@hookspec
def amulet_run_started(run: Mapping[str, Any]) -> None:
    """Observe that a run has been planned and now starts; ``run`` is its configuration with every name resolved."""


@hookspec
def amulet_cell_started(cell: Mapping[str, Any]) -> None:
    """Observe that a cell starts."""


@hookspec
def amulet_progress(done: int, total: int, label: str) -> None:
    """Observe that ``done`` of ``total`` jobs are finished, the latest being ``label``."""


@hookspec
def amulet_cell_finished(cell: Mapping[str, Any]) -> None:
    """Observe that a cell has ended ok, failed or skipped."""


@hookspec
def amulet_run_finished(results: Mapping[str, Any], folder: str) -> None:
    """Observe that a run has ended; ``results`` is what it found, ``folder`` where it wrote that ("": nowhere)."""
