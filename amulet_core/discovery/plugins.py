"""The states of a plugin, and the finding of plugins in the metadata of installed packages; imports none of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import importlib_metadata
from importlib_metadata import EntryPoint, EntryPoints
from pluggy import PluginManager

from amulet_core.components import Component
from amulet_core.errors import cause_of

API: Final = "1"
"""The major version of the plugin API; an entry point's group ends in the one it was made for."""
GROUP: Final = "amulet.v"
BUILTIN: Final = "builtin"
OWN_DISTRIBUTION: Final = "amulet-framework"
UNKNOWN: Final = "unknown"
SELECTION: Final = "AMULET_PLUGINS"
"""The environment variable that selects plugins."""


class Package(Protocol):
    """What is read of an installed package, whichever class of importlib-metadata stands for it."""

    @property
    def metadata(self) -> Any:
        """Its parsed METADATA, a mapping."""

    @property
    def entry_points(self) -> EntryPoints:
        """Its parsed entry_points.txt."""

    def read_text(self, filename: str) -> str | None:
        """Return the text of a file of its metadata; None: there is no such file."""


@dataclass(frozen=True)
class FoundPlugin:
    """A plugin as the metadata of its package names it; none of its code has been imported.

    ``target`` is the module (or ``module:object``) of its entry point, ``api`` the API version it was made for.
    """

    name: str
    distribution: str
    version: str
    target: str
    api: str

    @property
    def whose(self) -> str:
        """The plugin's name and package, as messages say them."""
        return f"{self.name} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin whose hooks and components have been checked; ``seconds`` is what importing it took."""

    found: FoundPlugin
    components: tuple[Component, ...]
    seconds: float
    hooks: PluginManager


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that contributes nothing because something is wrong with it; ``traceback`` is empty if none arose."""

    found: FoundPlugin
    cause: str
    traceback: str = ""


@dataclass(frozen=True)
class DisabledPlugin:
    """A plugin that was not asked for, and of which nothing has been imported."""

    found: FoundPlugin
    reason: str


Plugin = LoadedPlugin | BrokenPlugin | DisabledPlugin


def trouble(plugin: BrokenPlugin | DisabledPlugin) -> str:
    """Say whose a plugin that is not loaded is, why it is not, and what to do."""
    found = plugin.found
    if isinstance(plugin, DisabledPlugin):
        return f"plugin {found.whose} is disabled: {plugin.reason}. Add {found.name} to {SELECTION}."
    cause = plugin.cause.rstrip(".")
    return f"plugin {found.whose} is broken: {cause}. Update, repair or uninstall {found.distribution}."


def find_plugins(entry_points: Iterable[EntryPoint] | None = None) -> tuple[FoundPlugin | BrokenPlugin, ...]:
    """Find the plugins among ``entry_points`` (those of all installed packages by default), sorted by name.

    A package may serve several API versions: of the plugins it gives one name, those for other versions than this
    one are left out where there is one for this. Broken are only packages whose entry points cannot be read.
    """
    everything = (
        _installed() if entry_points is None else [_found(point, *_identity(point.dist)) for point in entry_points]
    )
    found = [plugin for plugin in everything if isinstance(plugin, FoundPlugin)]
    served = {(plugin.name, plugin.distribution) for plugin in found if plugin.api == API}
    kept = [plugin for plugin in found if plugin.api == API or (plugin.name, plugin.distribution) not in served]
    return tuple(sorted(kept + [plugin for plugin in everything if isinstance(plugin, BrokenPlugin)], key=_order))


def same_distribution(one: str, other: str) -> bool:
    """Tell whether two spellings name the same package (lower case; runs of ``-``, ``_`` and ``.`` are one)."""
    return _normal(one) == _normal(other)


def _order(plugin: FoundPlugin | BrokenPlugin) -> tuple[str, str, str, str]:
    found = plugin if isinstance(plugin, FoundPlugin) else plugin.found
    return found.name, _normal(found.distribution), found.api, found.target


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _installed() -> list[FoundPlugin | BrokenPlugin]:
    """Read the entry points of the packages that have some of ours, each package once, as the import system sees it.

    The metadata of other packages are not parsed: a damaged package that is none of our business cannot stop us.
    """
    plugins: list[FoundPlugin | BrokenPlugin] = []
    seen: set[str] = set()
    for candidate in importlib_metadata.distributions():
        try:
            if GROUP not in (candidate.read_text("entry_points.txt") or ""):
                continue
            name, version = _identity(candidate)
            if _normal(name) not in seen:
                plugins.extend(_of_package(_first_on_path(candidate, name)))
        except Exception as error:  # whatever is wrong with the file is that package's fault, and its alone
            name, version = _identity(candidate)
            found = FoundPlugin(name=name, distribution=name, version=version, target="", api=API)
            plugins.append(BrokenPlugin(found, f"its entry_points.txt cannot be read: {cause_of(error)}"))
        seen |= {_normal(name)} - {UNKNOWN}
    return plugins


def _of_package(package: Package) -> list[FoundPlugin]:
    name, version = _identity(package)
    return [_found(point, name, version) for point in package.entry_points if point.group.startswith(GROUP)]


def _first_on_path(candidate: Package, name: str) -> Package:
    """Return the package of that name that shadows all others, which may be another version than the candidate."""
    return candidate if name == UNKNOWN else importlib_metadata.distribution(name)


def _identity(package: Package | None) -> tuple[str, str]:
    """Return the name and version of a package, "unknown" standing for what its metadata do not say."""
    if package is None:
        return UNKNOWN, UNKNOWN
    try:
        metadata = package.metadata
    except Exception:  # a left-over folder without METADATA, which has no name to be blamed by
        return UNKNOWN, UNKNOWN
    return metadata.get("Name") or UNKNOWN, metadata.get("Version") or UNKNOWN


def _found(point: EntryPoint, name: str, version: str) -> FoundPlugin:
    api = point.group.removeprefix(GROUP)
    return FoundPlugin(name=point.name, distribution=name, version=version, target=point.value, api=api)
