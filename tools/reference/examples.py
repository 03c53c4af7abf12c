"""A small config for a component's page: one that resolves, and whose parts go together."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from amulet_core.commands.describing import parameters
from amulet_core.components import Attack, Component, Dataset, Defense, Executor, Metric, Model
from amulet_core.discovery.entries import Entry
from amulet_core.discovery.registry import Registry
from amulet_core.games.table import GAMES
from reference.refusals import Sort, schema_of

_MODELS: Final = ("mlp", "cnn", "logistic")
_SHOWN: Final = 2
_OF_THE_USER: Final[dict[str, dict[str, Any]]] = {
    "table-file": {"path": "loans.csv", "label": "repaid", "sensitive": ["sex"], "bounds": {"income": [0, 500000]}},
    "image-folder": {"path": "pictures", "colour": "grey"},
}
"""Parameters of loaders that only the user can know."""


def example(entry: Entry, registry: Registry) -> str:
    """Return a config that uses a component, as YAML; an empty text for kinds that none of ours is of."""
    component, threat = entry.component, dict[str, str]()
    columns: dict[str, tuple[str, tuple[str, dict[str, Any]]] | None]
    match component:
        case Attack():
            columns = {component.risk: ("attacks", _used(entry))}
            threat = {} if "linf" in component.norms else {"norm": component.norms[0]}
        case Metric():
            columns = {component.risk: ("metrics", _used(entry))}
        case Defense():
            verifies = ["ownership-verification"] if component.verify else []
            columns = dict.fromkeys((component.risk, *verifies))
        case Dataset() | Model() | Executor():
            columns = {"evasion": None, "membership-inference": None}
        case _:
            return ""
    dataset = _used(entry) if isinstance(component, Dataset) else _dataset(component)
    model = _used(entry) if isinstance(component, Model) else _model(component, registry)
    defense = _used(entry) if isinstance(component, Defense) else _defense(component, registry)
    lines = [*_one("dataset", dataset), *_one("model", model), *_sizes(dataset[0], columns)]
    lines += ["defenses:", *_item(defense, 2), "risks:"]
    for risk, of in columns.items():
        told = [f"    threat: {_flow(threat)}"] if threat else []
        lines += [f"  {risk}: {{}}"] if of is None else [f"  {risk}:", *told, f"    {of[0]}:", *_item(of[1], 6)]
    if isinstance(component, Executor):
        lines += _one("executor", _used(entry))
    return "\n".join(lines) + "\n"


def _used(entry: Entry) -> tuple[str, dict[str, Any]]:
    """Return a component's name and the first of its parameters that have a number or a word as their default."""
    name = entry.component.name
    if name in _OF_THE_USER:
        return name, dict(_OF_THE_USER[name])
    found = [one for one in parameters(entry.component.params) if isinstance(one.get("default"), int | float | str)]
    told = [one for one in found if one["default"] not in ("", True, False)]
    return name, {str(one["name"]): one["default"] for one in told[:_SHOWN]}


def _dataset(component: Component) -> tuple[str, dict[str, Any]]:
    """Return a data set that a component works on, with its groups among the inputs where they must be."""
    if "tabular" not in component.modality:
        return "digits", {}
    refused = component.applicable(component.params(), schema_of(Sort("tabular", "two", "with")))
    return "adult", {"sensitive_in_x": True} if refused or getattr(component, "sensitive_in_x", False) else {}


def _sizes(dataset: str, columns: Mapping[str, Any]) -> list[str]:
    """Return how many rows play which part, where the usual numbers do not do."""
    if dataset == "digits":
        return ["data: {train: 300, val: 100, test: 400, aux: 300}"]
    return ["data: {train: 1000, aux: 2000}"] if "ownership-verification" in columns else []


def _model(component: Component, registry: Registry) -> tuple[str, dict[str, Any]]:
    """Return the first model that produces all that a component requires, on the data of its example."""
    for name in _MODELS:
        model = registry.find("model", name).component
        if set(component.requires) <= set(model.produces) and set(component.modality) & set(model.modality):
            return name, {}
    return _MODELS[0], {}


def _defense(component: Component, registry: Registry) -> tuple[str, dict[str, Any]]:
    """Return a defense of the component's risk, or of membership inference, whose parts every model has."""
    risk = getattr(component, "risk", "evasion")
    if risk in GAMES and GAMES[risk].play == "verification":
        return "watermark", {}
    if isinstance(component, Model) and component.trains_itself:
        return "output-rounding", {}
    own = [one.component for one in registry.list("defense") if one.risk == risk]
    fits = [one.name for one in own if not one.requires and isinstance(one, Defense) and one.stages and not one.verify]
    return (fits or ["dp-sgd"])[0], {}


def _one(key: str, used: tuple[str, dict[str, Any]]) -> list[str]:
    name, params = used
    return [f"{key}:", f"  name: {name}", f"  params: {_flow(params)}"] if params else [f"{key}: {name}"]


def _item(used: tuple[str, dict[str, Any]], indent: int) -> list[str]:
    name, params = used
    space = " " * indent
    return [f"{space}- name: {name}", f"{space}  params: {_flow(params)}"] if params else [f"{space}- {name}"]


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and value.replace("-", "").replace(".", "").isalnum() and not value[0].isdigit():
        return value
    if isinstance(value, float) and "e" in str(value):  # YAML 1.1 takes 1e-05 for a text
        return f"{value:.12f}".rstrip("0")
    return json.dumps(value)
