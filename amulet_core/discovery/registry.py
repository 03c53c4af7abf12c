"""What is installed: plugins in their states, and their components by kind, risk and name."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from importlib_metadata import EntryPoint

from amulet_core.discovery.admission import admit
from amulet_core.discovery.entries import Entry
from amulet_core.discovery.plugins import BUILTIN, SELECTION, BrokenPlugin, LoadedPlugin, Plugin, find_plugins, trouble
from amulet_core.discovery.resolution import resolve
from amulet_core.errors import RequestError, did_you_mean
from amulet_core.vocabulary import COLUMNS, KINDS


@dataclass(frozen=True)
class Registry:
    """All plugins found, the components of those that were loaded, a warning for each thing wrong, and who is slow."""

    plugins: tuple[Plugin, ...]
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]
    slow: tuple[str, ...] = ()

    def list(self, kind: str | None = None, risk: str | None = None) -> tuple[Entry, ...]:
        """Return the components of a kind and a risk, sorted by kind, risk, plugin (built-ins first) and name.

        Raises:
            RequestError: when there is no such kind or risk.
        """
        _check(self.entries, kind=kind, risk=risk)
        return tuple(e for e in self.entries if kind in (None, e.component.kind) and risk in (None, e.risk))

    def find(self, kind: str | None, name: str) -> Entry:
        """Return the component of that kind (None: of any kind) which ``name`` or ``plugin/name`` means.

        A bare name means the built-in if there is one, else that of the only plugin with one.

        Raises:
            RequestError: when there is no such kind, or when nothing or more than one component is meant.
        """
        _check(self.entries, kind=kind)
        return resolve(kind, name, self.entries, self.plugins)


def discover(
    *,
    select: str | None = None,
    entry_points: Iterable[EntryPoint] | None = None,
    strict: bool = False,
    slow_seconds: float = 1.0,
) -> Registry:
    """Find, select, import and check the installed plugins.

    ``select`` names the plugins to load beside the built-in ones, separated by commas ("": only the built-in ones);
    without it the environment variable AMULET_PLUGINS does, and without that all are loaded. What is not selected is
    not imported. ``entry_points`` replaces those of the installed packages. A plugin that takes more than
    ``slow_seconds`` to import is loaded, and named in ``slow``: no warning of results, which do not depend on it.

    Raises:
        RequestError: if ``strict``, when a plugin is broken or a selected one is not installed.
    """
    selection = os.environ.get(SELECTION) if select is None else select
    chosen = None if selection is None else {name.strip() for name in selection.split(",")} - {""}
    plugins = admit(find_plugins(entry_points), chosen)
    faults = [trouble(plugin) for plugin in plugins if isinstance(plugin, BrokenPlugin)]
    faults += _not_installed(chosen or set(), [plugin.found.name for plugin in plugins])
    if strict and faults:
        raise RequestError(*faults)
    loaded = [plugin for plugin in plugins if isinstance(plugin, LoadedPlugin)]
    slow = [_slow(plugin) for plugin in loaded if plugin.seconds > slow_seconds]
    entries = sorted((entry for plugin in loaded for entry in _entries(plugin)), key=_order)
    return Registry(plugins, tuple(entries), tuple(faults), tuple(slow))


def _check(entries: Iterable[Entry], *, kind: str | None = None, risk: str | None = None) -> None:
    """Refuse a kind or a risk that there is not, both in one error."""
    added = sorted({entry.risk for entry in entries if entry.risk} - set(COLUMNS))
    problems = [
        f'unknown {word} "{given}"{did_you_mean(given, known)} There are: {", ".join(known)}.'
        for word, given, known in (("kind", kind, KINDS), ("risk", risk, (*COLUMNS, *added)))
        if given is not None and given not in known
    ]
    if problems:
        raise RequestError(*problems)


def _not_installed(chosen: set[str], installed: list[str]) -> list[str]:
    return [
        f'{SELECTION} names "{name}", which is not installed{did_you_mean(name, installed)}'
        f" Installed: {', '.join(installed) or 'none'}."
        for name in sorted(chosen.difference(installed))
    ]


def _slow(plugin: LoadedPlugin) -> str:
    return (
        f"plugin {plugin.found.whose} took {plugin.seconds:.2f} s to import, which slows every command. "
        f"Its authors should import heavy libraries only where its targets are; {SELECTION} can leave it out."
    )


def _entries(plugin: LoadedPlugin) -> Iterator[Entry]:
    found = plugin.found
    for component in plugin.components:
        yield Entry(
            component,
            plugin=found.name,
            distribution=found.distribution,
            version=found.version,
            module=found.target.partition(":")[0],
        )


def _order(entry: Entry) -> tuple[int, tuple[int, str], bool, str, str]:
    risk = entry.risk or ""

    place = (COLUMNS.index(risk), "") if risk in COLUMNS else (len(COLUMNS), risk)
    return KINDS.index(entry.component.kind), place, entry.plugin != BUILTIN, entry.plugin, entry.component.name
