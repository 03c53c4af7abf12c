"""From a name in a config to the one component that it means, or to an error that says why there is none."""

from collections.abc import Iterable, Sequence

from amulet_core.entries import Entry
from amulet_core.errors import RequestError, did_you_mean
from amulet_core.plugins import BUILTIN, BrokenPlugin, LoadedPlugin, Plugin, trouble


def resolve(kind: str, name: str, entries: Sequence[Entry], plugins: Sequence[Plugin]) -> Entry:
    """Return the component of ``kind`` that ``name`` means.

    ``plugin/name`` always means that plugin's. A bare name means the built-in if there is one, else that of the only
    plugin with one; while the built-in plugin is broken it means nothing, lest it silently mean another's.

    Raises:
        RequestError: when nothing, or more than one component, is meant.
    """
    same = [entry for entry in entries if entry.component.kind == kind and name in (entry.id, entry.component.name)]
    builtin = [entry for entry in same if entry.plugin == BUILTIN]
    if builtin or (len(same) == 1 and ("/" in name or not _broken_builtin(plugins))):
        return (builtin or same)[0]
    if len(same) > 1:
        candidates = " or ".join(entry.id for entry in same)
        raise RequestError(f'{kind} "{name}" is provided by several plugins: write {candidates}.')
    raise RequestError(_unknown(kind, name, entries, plugins))


def _broken_builtin(plugins: Iterable[Plugin]) -> list[BrokenPlugin]:
    builtin = [plugin for plugin in plugins if plugin.found.name == BUILTIN]
    loaded = any(isinstance(plugin, LoadedPlugin) for plugin in builtin)
    return [] if loaded else [plugin for plugin in builtin if isinstance(plugin, BrokenPlugin)]


def _unknown(kind: str, name: str, entries: Sequence[Entry], plugins: Sequence[Plugin]) -> str:
    namespace = name.partition("/")[0] if "/" in name else BUILTIN
    owners = [plugin for plugin in plugins if plugin.found.name == namespace]
    absent = [plugin for plugin in owners if not isinstance(plugin, LoadedPlugin)]
    if absent and len(absent) == len(owners):
        return f'{kind} "{name}": ' + " ".join(trouble(plugin) for plugin in absent)
    if "/" in name and not owners:
        known = sorted({plugin.found.name for plugin in plugins})
        hint = did_you_mean(namespace, known)
        return f'{kind} "{name}": no plugin is called "{namespace}"{hint} Installed: {", ".join(known) or "none"}.'
    sentences = [f'unknown {kind} "{name}"{_hint(kind, name, entries)}', *_elsewhere(name, entries)]
    if "/" not in name:
        sentences += _not_loaded(plugins)
    return " ".join([*sentences, f"All there are: amulet list {kind}"])


def _hint(kind: str, name: str, entries: Iterable[Entry]) -> str:
    same_kind = [entry for entry in entries if entry.component.kind == kind]
    return did_you_mean(name, [entry.id if "/" in name else entry.component.name for entry in same_kind])


def _elsewhere(name: str, entries: Iterable[Entry]) -> list[str]:
    kinds = sorted({entry.component.kind for entry in entries if name in (entry.id, entry.component.name)})
    return [f"There is one of the kind {', '.join(kinds)}."] if kinds else []


def _not_loaded(plugins: Iterable[Plugin]) -> list[str]:
    absent = [
        f"{plugin.found.name} ({f'broken: {plugin.cause}' if isinstance(plugin, BrokenPlugin) else 'disabled'})"
        for plugin in plugins
        if not isinstance(plugin, LoadedPlugin)
    ]
    return [f"Plugins that are not loaded and may have it: {', '.join(absent)}."] if absent else []
