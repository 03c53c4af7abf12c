"""The pages that a plugin's author needs: hooks, descriptors, and the conformance kit."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final

from amulet_core import components, hooks, vocabulary
from amulet_core.components import Attack, Component, Dataset, Defense, Executor, Metric, Model, Reporter
from amulet_core.discovery.loading import HOOKS
from amulet_core.discovery.plugins import LoadedPlugin
from amulet_core.discovery.registry import Registry
from amulet_core.testing import component_checks
from amulet_core.testing.static import light_import
from reference.markdown import Page, docstring, entry, plain, sentence, table
from reference.sources import Field, fields_of, signature_of

_SECTION: Final = ("Plugin contract",)
_KINDS: Final = (Dataset, Model, Defense, Attack, Metric, Executor, Reporter)
_VALUES: Final = (
    components.Params,
    components.Reference,
    components.LabRequest,
    components.Measure,
    components.Resources,
)
_NO_REASON: Final = {
    "_nothing_against": "no reason",
    "_possible": "no reason",
    "_beside_any": "no reason",
    "_no_needs": "nothing",
}
"""What the functions say that stand where a descriptor gives none."""
_WORDS: Final = ("Kind", "Stage", "Access", "Modality", "Norm", "Better", "Reconstructed")


def contract_pages(registry: Registry) -> Iterator[Page]:
    """Yield the pages of the contract between the framework and a plugin."""
    yield Page(path="reference/hooks.md", title="Hooks", section=_SECTION, text=_hooks())
    yield Page(path="reference/descriptors.md", title="Descriptors", section=_SECTION, text=_descriptors())
    yield Page(path="reference/conformance.md", title="Conformance kit", section=_SECTION, text=_conformance(registry))


def _hooks() -> str:
    observers = [_hook(getattr(hooks, name)) for name in hooks.OBSERVERS]
    (contributing,) = (_hook(getattr(hooks, name)) for name in HOOKS if name not in hooks.OBSERVERS)
    return "\n\n".join([_HOOKS_HEAD, contributing, _OBSERVERS_HEAD, *observers]) + "\n"


def _hook(hook: Callable[..., Any]) -> str:
    text = docstring(inspect.getdoc(hook))
    return f"### {hook.__name__}\n\n```python\n@hookimpl\n{signature_of(hook)} ...\n```\n\n{text}"


_HOOKS_HEAD: Final = """# Hooks

A plugin implements hooks in the module, or object, that its entry point in the group `amulet.v1` names. Each is a
function with the name and the arguments below, decorated with `amulet_core.hookimpl`; arguments that it does not need
may be left out. A misspelt hook, an argument that there is not, and a wrapper break the plugin, with a message that
says so, and nothing else.

## The hook that contributes"""

_OBSERVERS_HEAD: Final = """## The hooks that observe

They are told what a run does and return nothing; nothing that they do reaches the run. A plugin that implements one of
them gets a process of its own for each run, in which its module is imported afresh and which is told events as JSON,
one after the other, some time after what they are about. What it raises there is ignored and becomes one warning; it
may crash, block, or draw random numbers. Where events come faster than it takes them, some are dropped, counted and
reported. Once the run is over it has 30 seconds to finish."""


def _descriptors() -> str:
    words = [(f"`{word}`", ", ".join(f"`{one}`" for one in getattr(vocabulary, word).__args__)) for word in _WORDS]
    parts = [
        "# Descriptors",
        "What a plugin says of each component that it contributes, before any of its code is imported. A descriptor is "
        "frozen; unknown fields are refused. All of them are in `amulet_core`. Functions marked as light are asked "
        "while a run is planned: they import nothing heavy.",
        *(_type(one, 2) for one in (Component, *_KINDS)),
        "## Values in descriptors",
        *(_type(one, 3) for one in _VALUES),
        "## Words",
        table(("type", "its words"), words),
    ]
    return "\n\n".join(parts) + "\n"


def _type(owner: type[Any], level: int) -> str:
    own = [one for one in fields_of(owner) if one.name != "model_config" and not (one.name == "kind" and one.default)]
    return f"{'#' * level} {owner.__name__}\n\n{docstring(owner.__doc__)}\n\n" + "\n".join(map(_field, own))


def _field(field: Field) -> str:
    annotation = field.annotation
    default = "required" if _required(field) else f"by default {_NO_REASON.get(field.default) or _code(field.default)}"
    return entry(field.name, [f"`{annotation}`", default], sentence(docstring(field.text)))


def _required(field: Field) -> bool:
    return not field.default or (field.default.startswith("Field(") and _shown(field.default) == field.default)


def _code(default: str) -> str:
    return f"`{_shown(default)}`"


def _shown(default: str) -> str:
    """Return a default as a reader would write it."""
    if default.startswith("Field(default_factory="):
        return {"dict": "{}", "list": "[]"}[default.removeprefix("Field(default_factory=").rstrip(")")]
    first = default.removeprefix("Field(").partition(",")[0]
    if default.startswith("Field(") and "=" not in first:
        return first
    return default.replace("'", '"')


def _conformance(registry: Registry) -> str:
    of_all, of_kind = _checks(registry)
    parts = [_CONFORMANCE_HEAD, "## Every component", table(("check", "why"), of_all)]
    for title, rows in of_kind.items():
        parts += [f"## {title}", table(("check", "why"), rows)]
    return "\n\n".join(parts) + "\n"


_CONFORMANCE_HEAD: Final = """# Conformance kit

`amulet check PLUGIN` runs these checks of a plugin's components, and those that the components ship, and says of each
that fails what was found, what was expected and how to mend it. `amulet_core.testing.plugin_checks("PLUGIN")` gives the
same checks to pytest. Most run a component on small toy tasks; a check stands in a list where it applies to one of the
built-in components."""


def _checks(registry: Registry) -> tuple[list[tuple[str, str]], dict[str, list[tuple[str, str]]]]:
    """Return the checks that components of several kinds have, and those of one kind or one risk's attacks alone."""
    (plugin,) = (one for one in registry.plugins if isinstance(one, LoadedPlugin))
    owners: dict[tuple[str, str], list[str]] = {}
    for one in registry.entries:
        for check in component_checks(one):
            owners.setdefault((check.name, check.why), []).append(_owner(one.component))
    light = light_import(plugin)
    of_all, of_kind = [(plain(light.name), plain(light.why))], dict[str, list[tuple[str, str]]]()
    for (name, why), found in owners.items():
        row = (plain(name), plain(why))
        if len({owner.partition(":")[0] for owner in found}) > 1:
            of_all.append(row)
        else:
            of_kind.setdefault(_title(set(found)), []).append(row)
    return of_all, dict(sorted(of_kind.items()))


def _owner(component: Component) -> str:
    return f"{component.kind}:{getattr(component, 'risk', '')}" if component.kind == "attack" else component.kind


def _title(owners: set[str]) -> str:
    kind = next(iter(owners)).partition(":")[0]
    risks = {owner.partition(":")[2] for owner in owners}
    titles = {
        "dataset": "Data sets",
        "model": "Models",
        "defense": "Defenses",
        "attack": "Attacks",
        "metric": "Metrics",
    }
    title = titles.get(kind, f"{kind}s".capitalize())
    return f"{title} on {next(iter(risks)).replace('-', ' ')}" if kind == "attack" and len(risks) == 1 else title
