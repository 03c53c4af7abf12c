"""Which example ``amulet new`` writes for a kind and a risk, and the small matrix that measures it."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple, get_args

from amulet_core.vocabulary import AUDIT, COLUMNS, RISKS, UTILITY, VERIFICATION

NewKind = Literal["attack", "defense", "metric", "dataset", "model"]
KINDS: Final = get_args(NewKind)
DEFAULT_RISK: Final = "evasion"


class Scene(NamedTuple):
    """A small matrix for a risk: what of a configuration differs from one risk to another, as YAML."""

    dataset: str
    data: str
    defense: str
    threat: str
    attacks: str
    """A cheap list of the risk's attacks; empty where nobody attacks."""


_DIGITS: Final = "{train: 200, val: 50, test: 300, aux: 200}"
_PEOPLE: Final = "{train: 400, val: 50, test: 800, aux: 800}"

SCENES: Final[Mapping[str, Scene]] = {
    "evasion": Scene("digits", _DIGITS, "adversarial-training", "{epsilon: 0.1, curve: []}", "[fgsm]"),
    "poisoning": Scene("digits", _DIGITS, "outlier-removal", "{rate: 0.1}", "[badnets]"),
    "unauthorized-model-ownership": Scene(
        "digits", _DIGITS, "output-rounding", "{budget: 200, curve: []}", "[model-extraction]"
    ),
    VERIFICATION: Scene(
        "digits", "{train: 200, val: 50, test: 300, aux: 400}", "watermark", "{budget: 200}", "[model-extraction]"
    ),
    "membership-inference": Scene("digits", _DIGITS, "label-smoothing", "{population: 200}", "[loss-threshold]"),
    "attribute-inference": Scene("adult", _PEOPLE, "label-smoothing", "{attribute: sex}", "[attribute-mlp]"),
    "distribution-inference": Scene(
        "adult", _PEOPLE, "label-smoothing", "{attribute: sex, victims: 4, models: 4}", "[loss-test]"
    ),
    "data-reconstruction": Scene("digits", _DIGITS, "output-rounding", "{rows: 100}", "[output-decoder]"),
    "discriminatory-behavior": Scene("adult", _PEOPLE, "reweighing", "{attribute: sex}", ""),
    AUDIT: Scene("digits", _DIGITS, "dp-sgd", "{canaries: 100}", "[loss-threshold]"),
    UTILITY: Scene("digits", _DIGITS, "label-smoothing", "{}", ""),
}
"""The matrix of each risk."""

_NOISE_AGAINST: Final = ("evasion", "poisoning")


def risks_of(kind: NewKind) -> tuple[str, ...]:
    """Return the risks that there is an example for (none: a component of this kind is about no risk)."""
    attacked = tuple(risk for risk in RISKS if SCENES[risk].attacks)
    return {"attack": attacked, "defense": RISKS, "metric": COLUMNS, "dataset": (), "model": ()}[kind]


def example_of(kind: NewKind, risk: str) -> str:
    """Return the name that the templates of an example have in common."""
    if kind == "attack":
        return f"attack-{risk}"
    if kind == "defense":
        return "defense-noise" if risk in _NOISE_AGAINST else "defense-confidence"
    return kind


def metric_fields(risk: str) -> dict[str, Any]:
    """Return what the example of a metric says and reads, by the names that its templates use."""
    table: dict[str, dict[str, Any]] = tomllib.loads(template_text("metrics.toml"))
    return {"needs": "NoParams", "sensitive": False} | table[risk]


def readme_texts() -> dict[str, dict[str, str]]:
    """Return what a README says of each example (``about``) and to authors of each kind (``rules``, ``randomness``)."""
    return tomllib.loads(template_text("readme.toml"))


def template_text(name: str) -> str:
    """Return the text of a file beside this module."""
    return files("amulet_core.scaffold").joinpath(name).read_text(encoding="utf-8")


def has_template(name: str) -> bool:
    """Say whether there is such a file."""
    return files("amulet_core.scaffold").joinpath(name).is_file()
