"""Descriptors of the components in ``mutants``, ``mutant_defenses`` and ``mutant_models``."""

from pydantic import Field

from amulet_core.components import Attack, Dataset, Defense, Measure, Metric, Model, Params, Reference
from amulet_core.discovery.entries import Entry

REFERENCES = (Reference(title="A title of a paper", where="arXiv:0000.00000"),)
MEASURES = tuple(Measure(name=name, summary="a share", better="higher") for name in ("robust", "clean"))


def entry(component):
    return Entry(component, plugin="made", distribution="amulet-plugin-made", version="1.0")


def common(function, more, module="mutants"):
    return {
        "name": function.replace("_", "-").lower(),
        "summary": "Made for a test.",
        "target": f"{module}:{function}",
        "references": REFERENCES,
    } | more


def attack(function, **more):
    fields = {"risk": "evasion", "access": "white-box", "threat": "It knows the whole model."} | more
    return entry(Attack(**common(function, fields)))


def membership(function, **more):
    return attack(function, risk="membership-inference", access="probabilities", **more)


def metric(function, **more):
    return entry(Metric(**common(function, {"risk": "evasion", "measures": MEASURES} | more, "mutant_models")))


def defense(stage, function, **more):
    stages = {stage: f"mutant_defenses:{function}"}
    return entry(Defense(**common(function, {"risk": "evasion", "stages": stages} | more, "mutant_defenses")))


def explainer(function):
    return defense("inference", "released", name=function.replace("_", "-"), explain=f"mutant_defenses:{function}")


def verifier(function, **more):
    fields = {"risk": "evasion", "verify": f"mutant_defenses:{function}", "verify_access": "labels"} | more
    return entry(Defense(**common(function, fields, "mutant_defenses")))


def model(function, **more):
    return entry(Model(**common(function, more, "mutant_models")))


def dataset(function, **more):
    return entry(Dataset(**common(function, {"licence": "CC0", "modality": ("tabular",)} | more, "mutant_models")))


class Undescribed(Params):
    steps: int = Field(3, ge=1)
    count: int = Field(3, description="how many")


class Limitless(Params):
    rate: float | None = Field(None, description="the rate")
    cap: int = Field(0, description="the cap (default 0: none)")
    name: str = Field("", description="the name")


class Required(Params):
    steps: int = Field(ge=1, description="the steps")


class Unlike(Params):
    """Settings whose default is a tuple where JSON has a list."""

    order: object = Field((1, 2), description="the order")
