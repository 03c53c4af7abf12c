"""The descriptors of membership inference: complete, light, and honest about what they need."""

import importlib
import subprocess
import sys

import pytest
from pydantic import ValidationError

from amulet_core.components import Attack, LabRequest, Metric
from amulet_core.games.table import GAMES
from amulet_core.vocabulary import RISKS
from amulet_plugins_builtin.catalogue import membership_attacks
from amulet_plugins_builtin.catalogue.membership import COMPONENTS, LiraParams, RmiaParams
from amulet_plugins_builtin.membership.planted import SCHEMA

BY_NAME = {component.name: component for component in COMPONENTS}


def test_the_game_finds_its_attacks_controls_and_metrics() -> None:
    rules = GAMES["membership-inference"]
    assert set(BY_NAME) == {*rules.attacks, *rules.controls, *rules.metrics}
    attacks = [component for component in COMPONENTS if isinstance(component, Attack)]
    assert tuple(attack.name for attack in attacks if attack.control) == rules.controls
    metric = BY_NAME["membership"]
    assert isinstance(metric, Metric)
    assert rules.primary.value in {measure.name for measure in metric.measures}


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_every_descriptor_is_complete(component: Attack | Metric) -> None:
    assert component.risk in RISKS
    assert component.references
    assert component.checks is not None
    for target in (component.target, component.checks):
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(module), function))
    if isinstance(component, Attack):
        assert component.threat
    for name, field in component.params.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize("name", ["lira", "rmia"])
def test_attacks_with_shadow_models_ask_the_lab_for_them(name: str) -> None:
    attack = BY_NAME[name]
    assert isinstance(attack, Attack)
    assert attack.needs(attack.params(shadow_models=12), SCHEMA) == (LabRequest(models=12),)


def test_the_entropy_attack_asks_the_lab_for_its_shadow_models() -> None:
    (entropy,) = [one for one in membership_attacks.COMPONENTS if one.name == "entropy"]
    assert isinstance(entropy, Attack)
    assert entropy.needs(membership_attacks.EntropyParams(shadow_models=12), SCHEMA) == (LabRequest(models=12),)


@pytest.mark.parametrize("name", ["loss-threshold", "random-score"])
def test_the_other_attacks_ask_for_no_shadow_models(name: str) -> None:
    attack = BY_NAME[name]
    assert isinstance(attack, Attack)
    assert attack.needs(attack.params(), SCHEMA) == ()


@pytest.mark.parametrize("params", [LiraParams, RmiaParams])
@pytest.mark.parametrize("shadow_models", [0, 7, 1026])
def test_an_odd_or_absurd_number_of_shadow_models_is_refused(params: type, shadow_models: int) -> None:
    with pytest.raises(ValidationError, match="shadow_models"):
        params(shadow_models=shadow_models)


def test_a_variance_for_each_candidate_from_two_shadow_models_does_not_apply() -> None:
    lira = BY_NAME["lira"]
    assert lira.applicable(LiraParams(shadow_models=2, variance="per-sample"), SCHEMA) == [
        "a variance for each candidate needs two OUT models of it, but 2 shadow models leave one: "
        "set shadow_models to 4 or more, or variance to shared"
    ]
    assert lira.applicable(LiraParams(shadow_models=4, variance="per-sample"), SCHEMA) == []
    assert lira.applicable(LiraParams(shadow_models=2), SCHEMA) == []


def test_the_catalogue_imports_nothing_heavy() -> None:
    code = (
        "import sys, amulet_plugins_builtin.catalogue.membership;"
        "print([name for name in ('torch', 'numpy', 'scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
