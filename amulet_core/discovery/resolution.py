"""From a name in a config to the one component that it means, or to an error that says why there is none."""

from collections.abc import Iterable, Sequence

from amulet_core.discovery.entries import Entry
from amulet_core.discovery.plugins import BUILTIN, BrokenPlugin, LoadedPlugin, Plugin, trouble
from amulet_core.errors import RequestError, did_you_mean


def resolve(kind: str | None, name: str, entries: Sequence[Entry], plugins: Sequence[Plugin]) -> Entry:
    """Return the component of ``kind`` (None: of any kind) that ``name`` means.

    ``plugin/name`` always means that plugin's. A bare name means the built-in if there is one, else that of the only
    plugin with one; while the built-in plugin is broken it means nothing, lest it silently mean another's.

    Raises:
        RequestError: when nothing, or more than one component, is meant.
    """
    word = kind or "component"
    same = [entry for entry in _named(name, entries) if kind in (None, entry.component.kind)]
    meant = [entry for entry in same if entry.plugin == BUILTIN] or same
    if len(meant) == 1 and ("/" in name or meant[0].plugin == BUILTIN or not _builtin_is_broken(plugins)):
        return meant[0]
    if len(meant) > 1:
        raise RequestError(f'{word} "{name}" is provided more than once: {_choice(meant)}.')
    raise RequestError(_unknown(kind, name, entries, plugins))


def _named(name: str, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if name in (entry.id, entry.component.name)]


def _choice(meant: list[Entry]) -> str:
    """Say how to tell several components of one name apart: by their kinds, or else by their plugins."""
    kinds = sorted({entry.component.kind for entry in meant})
    if len(kinds) > 1:
        return f"give its kind, {' or '.join(kinds)}"
    return f"write {' or '.join(entry.id for entry in meant)}"


def _builtin_is_broken(plugins: Iterable[Plugin]) -> bool:
    """Tell whether the built-in plugin is there but cannot be used (an impostor beside it is no matter)."""
    builtin = [plugin for plugin in plugins if plugin.found.name == BUILTIN]
    return bool(builtin) and not any(isinstance(plugin, LoadedPlugin) for plugin in builtin)


def _unknown(kind: str | None, name: str, entries: Sequence[Entry], plugins: Sequence[Plugin]) -> str:
    namespace = name.partition("/")[0] if "/" in name else BUILTIN
    owners = [plugin for plugin in plugins if plugin.found.name == namespace]
    word = kind or "component"
    absent = [plugin for plugin in owners if not isinstance(plugin, LoadedPlugin)]
    if absent and len(absent) == len(owners):
        return f'{word} "{name}": ' + " ".join(trouble(plugin) for plugin in absent)
    if "/" in name and not owners:
        known = sorted({plugin.found.name for plugin in plugins})
        hint = did_you_mean(namespace, known)
        return f'{word} "{name}": no plugin is called "{namespace}"{hint} Installed: {", ".join(known) or "none"}.'
    sentences = [f'unknown {word} "{name}"{_hint(kind, name, entries)}', *_elsewhere(name, entries)]
    if "/" not in name:
        sentences += _not_loaded(plugins)
    return " ".join([*sentences, f"To see all: amulet list {kind or ''}".rstrip()])


def _hint(kind: str | None, name: str, entries: Iterable[Entry]) -> str:
    known = [entry for entry in entries if kind in (None, entry.component.kind)]
    return did_you_mean(name, [entry.id if "/" in name else entry.component.name for entry in known])


def _elsewhere(name: str, entries: Iterable[Entry]) -> list[str]:
    kinds = sorted({entry.component.kind for entry in _named(name, entries)})
    return [f"There is one of the kind {', '.join(kinds)}."] if kinds else []


def _not_loaded(plugins: Iterable[Plugin]) -> list[str]:
    absent = [
        f"{plugin.found.name} ({f'broken: {plugin.cause}' if isinstance(plugin, BrokenPlugin) else 'disabled'})"
        for plugin in plugins
        if not isinstance(plugin, LoadedPlugin)
    ]
    return [f"Plugins that are not loaded and may have it: {', '.join(absent)}."] if absent else []
