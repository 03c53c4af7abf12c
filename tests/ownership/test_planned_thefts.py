"""What a thief cannot do is known before anything is trained."""

import pytest

from amulet_core import discover
from amulet_core.configuration.reading import resolve
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.problems import attack_problems
from amulet_plugins_builtin.ownership.planted_theft import SCHEMA


def reasons(attack, *, model="logistic", dataset="digits", defenses=(), **threat):
    config = {
        "defenses": list(defenses),
        "dataset": dataset,
        "model": model,
        "risks": {"unauthorized-model-ownership": {"attacks": [attack], "threat": threat}},
    }
    request = resolve(config, discover())
    (risk,) = [one for one in request.risks if one.game.risk == "unauthorized-model-ownership"]
    (use,) = [one for one in risk.attacks if one.entry.component.name == attack]
    facts = DataFacts(data_schema=SCHEMA, rows=3000, content="", class_rows=(1000,) * len(SCHEMA.classes))
    return list(attack_problems(request, facts, request.rows[-1], risk, use))


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_equation_solving_is_skipped_on_architectures_that_are_not_affine(model):
    assert reasons("equation-solving", model=model) == [
        f"builtin/equation-solving needs an architecture with affine-logits, and builtin/{model} declares none"
    ]


@pytest.mark.parametrize("defense", ["randomized-smoothing", "exponentiated-gradient", "threshold-optimizer"])
def test_equation_solving_is_skipped_where_a_defense_leaves_no_affine_logits(defense):
    assert reasons("equation-solving", defenses=[defense], dataset="compas") == [
        f"builtin/equation-solving needs a model with affine-logits, and those that builtin/{defense} makes have none"
    ]


@pytest.mark.parametrize("defense", ["correlation-remover", "output-rounding"])
def test_equation_solving_is_played_behind_affine_layers_and_on_rounded_answers(defense):
    assert reasons("equation-solving", defenses=[defense], dataset="compas") == []


@pytest.mark.parametrize("oracle", ["labels", "top-k"])
def test_equation_solving_is_skipped_where_the_oracle_tells_less(oracle):
    assert reasons("equation-solving", oracle=oracle) == [
        f"builtin/equation-solving needs all probabilities, and the threat model's oracle tells {oracle}"
    ]


@pytest.mark.parametrize("oracle", ["probabilities", "labels", "top-k"])
@pytest.mark.parametrize("attack", ["model-extraction", "model-copy", "independent-model"])
def test_the_other_thieves_work_on_any_architecture_and_with_any_oracle(attack, oracle):
    assert reasons(attack, oracle=oracle, model="mlp") == []


def test_equation_solving_works_on_logistic_regression():
    assert reasons("equation-solving") == []
