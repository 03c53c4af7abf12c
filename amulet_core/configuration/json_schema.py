"""The JSON Schema of a configuration, made from the components that are installed. Light."""

from typing import Any

from amulet_core.configuration.forms import AloneForm, RiskForm, RowForm, Shell
from amulet_core.configuration.request import DataSettings
from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError
from amulet_core.games.table import GAMES
from amulet_core.settings import TrainingSettings

_KINDS = ("dataset", "model", "executor", "reporter", "defense", "attack", "metric")


def json_schema(registry: Registry) -> dict[str, Any]:
    """Return the JSON Schema of a configuration, made from the components that are installed."""
    kinds = {kind: _use_schema(registry, kind) for kind in _KINDS}
    definitions: dict[str, Any] = {}
    schema = Shell.model_json_schema()
    properties = schema["properties"]
    for key in ("dataset", "model", "executor"):
        properties[key] |= {"$ref": f"#/$defs/{key}"}
    properties["training"] |= {"$ref": "#/$defs/training"}
    properties["data"] |= {"$ref": "#/$defs/data"}
    properties["reporters"]["items"] = {"$ref": "#/$defs/reporter"}
    defense = {"$ref": "#/$defs/defense"}
    chain = {"type": "array", "items": defense, "minItems": 1}
    row = RowForm.model_json_schema()
    row["properties"]["chain"] |= {"anyOf": [defense, chain]}
    properties["defenses"]["items"] = {"anyOf": [{"$ref": "#/$defs/row"}, chain, row]}
    kinds["row"] = _use_schema(registry, "defense", label=AloneForm.model_json_schema()["properties"]["label"])
    columns = {risk: _risk_schema(risk) for risk in GAMES}
    properties["risks"] |= {
        "anyOf": [
            {"type": "array", "items": {"enum": list(GAMES)}, "minItems": 1},
            {"type": "object", "properties": columns, "additionalProperties": False, "minProperties": 1},
        ]
    }
    definitions |= {"training": TrainingSettings.model_json_schema(), "data": DataSettings.model_json_schema(), **kinds}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions}


def _use_schema(registry: Registry, kind: str, **more: Any) -> dict[str, Any]:
    """Return what may stand for a component of a kind: its name, or its name with parameters and ``more`` keys."""
    forms: list[dict[str, Any]] = []
    for entry in registry.list(kind):
        names = [entry.id] + ([entry.component.name] if _means(registry, kind, entry.component.name, entry.id) else [])
        params = entry.component.params.model_json_schema()
        form = {"type": "object", "required": ["name"], "additionalProperties": False}
        forms.append({"enum": names, "description": entry.component.summary})
        forms.append(form | {"properties": {"name": {"enum": names}, "params": params, **more}})
    return {"anyOf": forms}


def _means(registry: Registry, kind: str, name: str, component_id: str) -> bool:
    try:
        return registry.find(kind, name).id == component_id
    except RequestError:
        return False


def _risk_schema(risk: str) -> dict[str, Any]:
    schema = RiskForm.model_json_schema()
    schema["properties"]["threat"] = GAMES[risk].threat.model_json_schema()
    schema["properties"]["attacks"] = {"type": "array", "items": {"$ref": "#/$defs/attack"}}
    schema["properties"]["metrics"] = {"type": "array", "items": {"$ref": "#/$defs/metric"}}
    return {"anyOf": [schema, {"type": "null"}]}
