"""The checks that the components of evasion ship: each of them catches what it is there for."""

import pytest

from amulet_core.components import NoParams
from amulet_core.feasible import span
from amulet_core.games.evasion import EvasionAnswer
from amulet_core.schema import DataSchema, Feasible
from amulet_plugins_builtin.catalogue.evasion import COMPONENTS, PgdParams, something_can_change
from amulet_plugins_builtin.evasion import adversarial_training, checks, pgd, random_noise, robustness


def stops_short(view):
    return pgd.attack(view, PgdParams(steps=4, relative_step=0.2, restarts=1, early_stop=False))


def nothing(view):
    return EvasionAnswer(x=view.x.expand(len(view.epsilons), *view.x.shape).clone())


def beyond_the_budget(view):
    return pgd.attack(view.model_copy(update={"epsilons": tuple(2 * e for e in view.epsilons)}), PgdParams())


def against_the_prediction(view):
    predicted = view.model.labels(view.x)
    return pgd.attack(view.model_copy(update={"y": predicted}), PgdParams())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_attack_that_stops_short_is_caught(norm):
    with pytest.raises(AssertionError, match="worst margin"):
        checks.reaches_worst_margin(stops_short, norm=norm)


@pytest.mark.parametrize("wrong", [nothing, beyond_the_budget])
def test_success_that_does_not_follow_the_margins_is_caught(wrong):
    with pytest.raises(AssertionError, match="fooled and can be fooled differ"):
        checks.follows_the_margins(wrong)


def test_an_attack_on_the_predicted_label_is_caught():
    with pytest.raises(AssertionError, match=r"^the attack repaired 100 of 100 misclassified rows, expected 0$"):
        checks.keeps_mistakes(against_the_prediction)


def corners(draws, origin, schema, *, norm, epsilon):
    return origin + epsilon * span(schema) * draws.sign()


def uphill(draws, origin, schema, *, norm, epsilon):
    model, _ = checks.planted.linear_victim(features=100, seed=4)
    return origin + epsilon * span(schema) * model.weight.diff(dim=0).sign()


@pytest.mark.parametrize(
    ("mutant", "check", "text"),
    [
        (lambda draws, origin, schema, *, norm, epsilon: origin, checks.noise_uses_its_budget, "expected .18"),
        (lambda draws, origin, schema, *, norm, epsilon: origin, checks.noise_knows_nothing, "spread of the cost"),
        (corners, checks.noise_knows_nothing, "spread of the cost"),
        (uphill, checks.noise_knows_nothing, "costs up to"),
    ],
)
def test_noise_of_another_distribution_is_caught(monkeypatch, mutant, check, text):
    monkeypatch.setattr(random_noise, "uniform_in_ball", mutant)
    with pytest.raises(AssertionError, match=text):
        check()


def test_a_defense_that_does_nothing_is_caught(monkeypatch):
    monkeypatch.setattr(adversarial_training, "adversarial", lambda objective, params, schema: objective)
    with pytest.raises(AssertionError, match="defended robust accuracy"):
        checks.learns_the_robust_feature()


def test_a_metric_that_counts_mistakes_as_successes_is_caught(monkeypatch):
    def over_all_rows(result, params):
        scores = robustness_measure(result, params)
        wrong = scores["success_rate"].model_copy(update={"estimate": 1 - scores["robust_accuracy"].estimate})
        return scores.model_copy(update={"values": (*scores.values[:2], wrong, *scores.values[3:])})

    robustness_measure = robustness.measure
    monkeypatch.setattr(robustness, "measure", over_all_rows)
    with pytest.raises(AssertionError, match="clean, robust, success, certified"):
        checks.counts_exactly()


def test_data_without_anything_to_change_is_named_before_a_run():
    feasible = Feasible(low=0.0, high=1.0, immutable=(0, 1), one_hot=((1, 2), (3,)))
    schema = DataSchema(modality="tabular", shape=(4,), classes=("a", "b"), feasible=feasible)
    text = "every feature of this data set is immutable: no input can be changed"
    attacks = [component for component in COMPONENTS if component.kind != "metric"]
    assert [component.applicable(component.params(), schema) for component in attacks] == [[text]] * 3
    free = schema.model_copy(update={"feasible": Feasible(low=0.0, high=1.0, immutable=(0, 1))})
    assert something_can_change(NoParams(), free) == []


def test_every_target_of_the_catalogue_is_there():
    for component in COMPONENTS:
        for target in filter(None, (component.target, component.checks)):
            module, name = target.split(":")
            assert callable(getattr(__import__(module, fromlist=[name]), name))
            assert component.references
