"""AMULET measures what a defense of an ML model does to every risk it was not designed for.

Importing this package is light: each public name is imported from its module when it is first used (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from amulet_core.api import run as run
    from amulet_core.components import Attack as Attack
    from amulet_core.components import Component as Component
    from amulet_core.components import Dataset as Dataset
    from amulet_core.components import Defense as Defense
    from amulet_core.components import Executor as Executor
    from amulet_core.components import LabRequest as LabRequest
    from amulet_core.components import Measure as Measure
    from amulet_core.components import Metric as Metric
    from amulet_core.components import Model as Model
    from amulet_core.components import NoParams as NoParams
    from amulet_core.components import Params as Params
    from amulet_core.components import Reference as Reference
    from amulet_core.components import Reporter as Reporter
    from amulet_core.data import Data as Data
    from amulet_core.data import make_data as make_data
    from amulet_core.discovery.registry import Registry as Registry
    from amulet_core.discovery.registry import discover as discover
    from amulet_core.errors import RequestError as RequestError
    from amulet_core.hooks import hookimpl as hookimpl
    from amulet_core.results import Results as Results
    from amulet_core.schema import DataSchema as DataSchema
    from amulet_core.schema import Feasible as Feasible
    from amulet_core.schema import Sensitive as Sensitive
    from amulet_core.scores import Scores as Scores
    from amulet_core.scores import Value as Value
    from amulet_core.scores import Withheld as Withheld

_PUBLIC: Final = {
    "api": ("run",),
    "components": (
        "Attack",
        "Component",
        "Dataset",
        "Defense",
        "Executor",
        "LabRequest",
        "Measure",
        "Metric",
        "Model",
        "NoParams",
        "Params",
        "Reference",
        "Reporter",
    ),
    "data": ("Data", "make_data"),
    "errors": ("RequestError",),
    "hooks": ("hookimpl",),
    "discovery.registry": ("Registry", "discover"),
    "results": ("Results",),
    "schema": ("DataSchema", "Feasible", "Sensitive"),
    "scores": ("Scores", "Value", "Withheld"),
}
_MODULE_OF: Final = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = [  # noqa: PLE0604  # computed, so that it cannot differ from the table above
    "__version__",
    *sorted(_MODULE_OF),
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib_metadata").version("amulet-framework")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'amulet_core' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(f"amulet_core.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
