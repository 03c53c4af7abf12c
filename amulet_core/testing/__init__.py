"""The conformance kit: a plugin's whole test is five lines, the checks that its components ship included.

>>> import pytest
>>> from amulet_core.testing import plugin_checks
>>> @pytest.mark.parametrize("check", plugin_checks("xyz"), ids=str)
... def test_conformance(check):
...     check.run()
"""

from collections.abc import Mapping
from types import MappingProxyType

from amulet_core.discovery.entries import Entry
from amulet_core.discovery.plugins import LoadedPlugin, trouble
from amulet_core.discovery.registry import Registry, discover
from amulet_core.errors import RequestError, did_you_mean
from amulet_core.testing.behaviour import behaviour_checks
from amulet_core.testing.findings import ConformanceCheck, expected_to_fail
from amulet_core.testing.shipped import own_checks, shipped_checks
from amulet_core.testing.static import light_import, static_checks

__all__ = ["component_checks", "own_checks", "plugin_checks", "shipped_checks"]


def plugin_checks(
    name: str, *, expected_failures: Mapping[str, str] = MappingProxyType({}), registry: Registry | None = None
) -> tuple[ConformanceCheck, ...]:
    """Return the conformance checks of an installed plugin and of all its components, and the checks that these ship.

    Each is a ``Check`` whose ``str()`` is ``component: check name``. ``expected_failures`` maps such strings to
    the reason why the check fails; once it passes, that is a failure. ``registry`` replaces the installed plugins.

    Raises:
        RequestError: if there is no such plugin, it is broken, or an expected failure names no check.
    """
    found = registry if registry is not None else discover(select=name)
    plugin = _loaded(name, found)
    entries = [entry for entry in found.entries if entry.plugin == name]
    checks = [light_import(plugin)]
    for entry in entries:
        label = _label(entry, entries)
        checks += [*component_checks(entry, label), *own_checks(entry, label)]
    names = [str(check) for check in checks]
    strange = [
        f'expected_failures: there is no check "{one}"{did_you_mean(one, names)}'
        for one in expected_failures
        if one not in names
    ]
    if strange:
        raise RequestError(*strange)
    return tuple(
        expected_to_fail(check, expected_failures[str(check)]) if str(check) in expected_failures else check
        for check in checks
    )


def component_checks(entry: Entry, label: str = "") -> tuple[ConformanceCheck, ...]:
    """Return the conformance checks of one component, which messages call ``label`` (its name)."""
    component = label or entry.component.name
    return (*static_checks(component, entry), *behaviour_checks(component, entry))


def _loaded(name: str, registry: Registry) -> LoadedPlugin:
    plugins = [plugin for plugin in registry.plugins if plugin.found.name == name]
    for plugin in plugins:
        if isinstance(plugin, LoadedPlugin):
            return plugin
    if plugins:
        raise RequestError(*(trouble(plugin) for plugin in plugins if not isinstance(plugin, LoadedPlugin)))
    known = [plugin.found.name for plugin in registry.plugins]
    raise RequestError(
        f'no plugin is called "{name}"{did_you_mean(name, known)} Installed: {", ".join(known) or "none"}.'
    )


def _label(entry: Entry, entries: list[Entry]) -> str:
    """Return a component's name, after its kind where another kind of the plugin has the same name."""
    names = [other.component.name for other in entries]
    name = entry.component.name
    return f"{entry.component.kind} {name}" if names.count(name) > 1 else name
