"""Descriptors of the components in ``mutants``."""

from pydantic import Field

from amulet_core.components import Attack, Dataset, Defense, Measure, Metric, Model, NoParams, Params, Reference
from amulet_core.entries import Entry

REFERENCES = (Reference(title="A title of a paper", where="arXiv:0000.00000"),)
MEASURES = tuple(Measure(name=name, summary="a share", better="higher") for name in ("robust", "clean"))


def entry(component):
    return Entry(component, plugin="made", distribution="amulet-plugin-made", version="1.0")


def common(function, more):
    return {
        "name": function.replace("_", "-").lower(),
        "summary": "Made for a test.",
        "target": f"mutants:{function}",
        "references": REFERENCES,
    } | more


def attack(function, **more):
    fields = {"risk": "evasion", "access": "white-box", "threat": "It knows the whole model."} | more
    return entry(Attack(**common(function, fields)))


def membership(function, **more):
    return attack(function, risk="membership-inference", access="probabilities", **more)


def metric(function, **more):
    return entry(Metric(**common(function, {"risk": "evasion", "measures": MEASURES} | more)))


def defense(stage, function, **more):
    return entry(Defense(**common(function, {"risk": "evasion", "stages": {stage: f"mutants:{function}"}} | more)))


def model(function, **more):
    return entry(Model(**common(function, more)))


def dataset(function, **more):
    return entry(Dataset(**common(function, {"licence": "CC0", "modality": ("tabular",)} | more)))


class Undescribed(Params):
    steps: int = Field(3, ge=1)


class Limitless(Params):
    rate: float | None = Field(None, description="the rate")
    cap: int = Field(0, description="the cap (default 0: none)")
    name: str = Field("", description="the name")


class Required(Params):
    steps: int = Field(ge=1, description="the steps")


class Unlike(Params):
    """Settings whose default is a tuple where JSON has a list."""

    order: object = Field((1, 2), description="the order")


__all__ = [
    "Limitless",
    "NoParams",
    "Required",
    "Undescribed",
    "Unlike",
    "attack",
    "dataset",
    "defense",
    "entry",
    "membership",
    "metric",
    "model",
]
