"""Which found plugins are imported at all: those selected, made for this API, and with a name that is theirs alone."""

from collections.abc import Set as AbstractSet
from typing import Final

from amulet_core.discovery.loading import load_plugin
from amulet_core.discovery.plugins import (
    API,
    BUILTIN,
    OWN_DISTRIBUTION,
    SELECTION,
    BrokenPlugin,
    DisabledPlugin,
    FoundPlugin,
    Plugin,
    same_distribution,
)

NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def admit(found: tuple[FoundPlugin | BrokenPlugin, ...], chosen: AbstractSet[str] | None) -> tuple[Plugin, ...]:
    """Bring each found plugin into its final state; ``chosen`` names those wanted beside the built-in (None: all).

    Everything that speaks against a plugin is known before any is imported, so the order changes nothing.
    """
    plain = [plugin for plugin in found if isinstance(plugin, FoundPlugin)]
    return tuple(_settled(plugin, plain, chosen) if isinstance(plugin, FoundPlugin) else plugin for plugin in found)


def _settled(plugin: FoundPlugin, found: list[FoundPlugin], chosen: AbstractSet[str] | None) -> Plugin:
    if chosen is not None and plugin.name not in {BUILTIN, *chosen}:
        return DisabledPlugin(plugin, f"{SELECTION} does not name it")
    cause = _refusal(plugin) or _rivalry(plugin, found)
    return BrokenPlugin(plugin, cause) if cause else load_plugin(plugin)


def _refusal(plugin: FoundPlugin) -> str:
    """Say why a plugin may not be imported whatever else is installed (nothing: it may)."""
    if plugin.api != API:
        return f"made for API version {plugin.api}, this is {API}"
    if plugin.name == BUILTIN and not same_distribution(plugin.distribution, OWN_DISTRIBUTION):
        return f'the plugin name "{BUILTIN}" is reserved to {OWN_DISTRIBUTION}'
    if not plugin.name or not NAME_CHARACTERS.issuperset(plugin.name):
        return f'the plugin name "{plugin.name}" must consist of lower case letters, digits and dashes'
    return ""


def _rivalry(plugin: FoundPlugin, found: list[FoundPlugin]) -> str:
    """Say who else claims a plugin's name: then nobody gets it, for the order of installation must not decide."""
    rivals = [o for o in found if o is not plugin and o.name == plugin.name and not _refusal(o)]
    if not rivals:
        return ""
    claims = ", ".join(sorted(f"{rival.distribution} {rival.version} ({rival.target})" for rival in rivals))
    return f'the plugin name "{plugin.name}" is also claimed by {claims}'
