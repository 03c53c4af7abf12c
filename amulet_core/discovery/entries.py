"""A component together with who provides it, and the importing of its code."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from amulet_core.components import Component
from amulet_core.errors import RequestError, cause_of


@dataclass(frozen=True)
class Entry:
    """A component with the plugin that contributes it and the package that provides that plugin."""

    component: Component
    plugin: str
    distribution: str
    version: str
    module: str = ""
    """The module that holds its descriptor, as the plugin's entry point names it."""

    @property
    def id(self) -> str:
        """Return ``plugin/name``, which always names this component among those of its kind."""
        return f"{self.plugin}/{self.component.name}"

    @property
    def risk(self) -> str | None:
        """Return the risk it belongs to; data sets, models, reporters and executors belong to none."""
        risk: str | None = getattr(self.component, "risk", None)
        return risk

    def load(self, target: str | None = None) -> Any:
        """Import and return the object at ``target`` (``module:name``), by default the component's own.

        Raises:
            RequestError: when the module cannot be imported or has no such object.
        """
        target = target or self.component.target
        module, _, name = target.partition(":")
        try:
            return getattr(import_module(module), name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin's module may raise anything, SystemExit too
            raise RequestError(
                f"{self.component.kind} {self.id}: {target} cannot be loaded: {cause_of(error).rstrip('.')}. "
                f"Install what it needs, or update or uninstall {self.distribution} {self.version}."
            ) from error
