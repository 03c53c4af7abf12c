"""Components and plugins as JSON values: what ``list``, ``show`` and ``plugins`` print with ``--json``."""

from typing import Any, Final

from pydantic import JsonValue

from amulet_core.components import Component, Params
from amulet_core.discovery.entries import Entry
from amulet_core.discovery.plugins import BrokenPlugin, DisabledPlugin, LoadedPlugin, Plugin

Record = dict[str, JsonValue]

LIMITS: Final = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
    "multipleOf": "a multiple of",
    "minLength": "length >=",
    "maxLength": "length <=",
    "minItems": "items >=",
    "maxItems": "items <=",
    "pattern": "matches",
}
"""The keywords of JSON Schema that limit a value, and how they read."""

OF_KIND: Final[dict[str, tuple[str, ...]]] = {
    "dataset": ("licence",),
    "model": ("clippable",),
    "defense": (
        "stages",
        "sok",
        "verify",
        "rebuild",
        "reads_private_rows",
        "accounts_privacy",
        "clippable",
        "stacks_inputs",
        "uses_sensitive",
        "randomised",
        "labels_only",
        "wraps_fit",
        "unmakes",
    ),
    "attack": ("access", "control", "reconstructs", "threat"),
    "metric": ("measures",),
}
"""What the descriptors of a kind say beside what all say."""


def summary(entry: Entry) -> Record:
    """Return the essentials of a component; ``version`` is that of the package that provides it."""
    return {
        "id": entry.id,
        "kind": entry.component.kind,
        "risk": entry.risk,
        "summary": entry.component.summary,
        "distribution": entry.distribution,
        "version": entry.version,
        "name": entry.component.name,
        "plugin": entry.plugin,
    }


def details(entry: Entry) -> Record:
    """Return everything that a component's descriptor says."""
    component = entry.component
    return {
        **summary(entry),
        "component_version": component.version,
        "target": component.target,
        "modality": list(component.modality),
        "requires": list(component.requires),
        "produces": list(component.produces),
        "references": [{"title": reference.title, "where": reference.where} for reference in component.references],
        "parameters": [*parameters(component.params)],
        **_of_kind(component),
    }


def parameters(params: type[Params]) -> list[Record]:
    """Return name, type, default (absent: required), limits and description of each parameter."""
    schema = params.model_json_schema()
    required, definitions = schema.get("required", []), schema.get("$defs", {})
    return [
        _parameter(name, field, name in required, definitions) for name, field in schema.get("properties", {}).items()
    ]


def plugin_record(plugin: Plugin) -> Record:
    """Return a plugin's name, state, package, and its components or what is wrong with it."""
    found = plugin.found
    record: Record = {
        "id": found.name,
        "kind": "plugin",
        "risk": None,
        "summary": _state(plugin),
        "distribution": found.distribution,
        "version": found.version,
        "api": found.api,
        "target": found.target,
        "state": _state(plugin).partition(":")[0],
    }
    match plugin:
        case LoadedPlugin():
            record["seconds"] = round(plugin.seconds, 4)
            record["components"] = [
                f"{component.kind} {found.name}/{component.name}" for component in plugin.components
            ]
        case BrokenPlugin():
            record["cause"] = plugin.cause
            record["traceback"] = plugin.traceback
        case DisabledPlugin():
            record["cause"] = plugin.reason
    return record


def _state(plugin: Plugin) -> str:
    match plugin:
        case LoadedPlugin():
            return f"loaded: {len(plugin.components)} components in {plugin.seconds:.3f} s"
        case BrokenPlugin():
            return f"broken: {plugin.cause}"
        case DisabledPlugin():
            return f"disabled: {plugin.reason}"


def _of_kind(component: Component) -> Record:
    """Return what only the descriptors of this kind say."""
    fields = OF_KIND.get(component.kind, ())
    dumped: dict[str, Any] = component.model_dump(mode="json", include=set(fields))
    return {field: dumped[field] for field in fields}


def _parameter(name: str, field: dict[str, Any], required: bool, definitions: dict[str, Any]) -> Record:
    default: Record = {} if required else {"default": field.get("default")}
    return {
        "name": name,
        "type": _type(field, definitions),
        **default,
        "required": required,
        "limits": _limits(field),
        "description": field.get("description", ""),
    }


def _limits(field: dict[str, Any]) -> Record:
    """Return the limits of a value; those of an optional value are the limits it has when it is given."""
    own: Record = {limit: field[limit] for limit in LIMITS if limit in field}
    for option in field.get("anyOf", []):
        own |= {limit: option[limit] for limit in LIMITS if limit in option}
    return own


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        return _type(definitions[field["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in field:
        return " | ".join(_type(option, definitions) for option in field["anyOf"])
    if "enum" in field:
        return " | ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in field["enum"])
    if "const" in field:
        return f'"{field["const"]}"'
    if field.get("type") == "array":
        items = field.get("items") or {}
        return f"list of {_type(items, definitions)}" if items else "list"
    return str(field.get("type", "anything"))
