"""Confidence at benign and at adversarial inputs: closed forms, where the thresholds come from, what is refused."""

import math

import pytest
import torch
from pydantic import ValidationError
from scipy.stats import norm
from torch import nn

from amulet_core.components import Attack
from amulet_core.schema import DataSchema, Feasible
from amulet_core.statistics.membership import auc
from amulet_core.victims import ProbabilityOracle, WhiteBox
from amulet_plugins_builtin.catalogue.membership_attacks import COMPONENTS, ConfidenceAdversarialParams
from amulet_plugins_builtin.membership import confidence_adversarial, loss_threshold
from amulet_plugins_builtin.membership.confidence import logit_confidence
from amulet_plugins_builtin.membership.loss_threshold import LossThresholdParams
from amulet_plugins_builtin.membership.planted import SCHEMA, planted
from amulet_plugins_builtin.membership.planted_models import REACH, slopes

Params = ConfidenceAdversarialParams
ADVERSARIAL = Params(epsilon=REACH, threshold="oracle")


def test_adversarial_inputs_find_what_benign_ones_do_not() -> None:
    game = slopes(rows=8000, shift=1.0, seed=1)
    member = game.member.numpy()
    found = auc(confidence_adversarial.attack(game.view, ADVERSARIAL).score.numpy(), member).estimate
    # Four standard errors of an AUC near .76 from 4,000 members and as many others.
    assert found == pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=0.021)
    benign = confidence_adversarial.attack(game.view, Params(inputs="benign", threshold="oracle"))
    chance = auc(benign.score.numpy(), member, level=0.999)
    assert chance.low <= 0.5 <= chance.high


@pytest.mark.parametrize(("norm_", "epsilon"), [("linf", 0.05), ("l2", 0.2)])
def test_on_a_linear_model_the_confidence_falls_by_the_dual_norm(norm_: str, epsilon: float) -> None:
    model = nn.Linear(6, 2).requires_grad_(False)
    draws = torch.Generator().manual_seed(2)
    model.weight.copy_(torch.randn(2, 6, generator=draws))
    schema = DataSchema(modality="tabular", shape=(6,), classes=("a", "b"), feasible=Feasible(low=-5.0, high=5.0))
    base = slopes(rows=10, shift=1.0, seed=2).view
    x, y = torch.randn(20, 6, generator=draws) / 10, torch.arange(20) % 2
    view = base.model_copy(update={"model": WhiteBox(model), "data_schema": schema})
    params = Params(norm=norm_, epsilon=epsilon, steps=20)  # type: ignore[arg-type]
    found = confidence_adversarial.adversarial_confidence(view, x, y, params)
    before = logit_confidence(torch.log_softmax(model(x).double(), 1), y)
    steepness = 10 * (model.weight[1] - model.weight[0]).double()
    fall = epsilon * (steepness.abs().sum() if norm_ == "linf" else steepness.norm())
    torch.testing.assert_close(before - found, fall.expand(20), rtol=1e-4, atol=1e-4)


def test_benign_inputs_rank_as_the_loss_does() -> None:
    view = planted(rows=300, shadow_models=8, shift=1.0, difficulty=2.0, seed=3).view
    benign = confidence_adversarial.attack(view, Params(inputs="benign", threshold="shadow"))
    loss = loss_threshold.attack(view, LossThresholdParams())
    assert torch.equal(benign.score.argsort(stable=True), loss.score.argsort(stable=True))


def test_class_thresholds_shift_each_class_and_the_threshold_is_then_nought() -> None:
    view = planted(rows=600, shadow_models=8, shift=2.0, class_offset=4.0, seed=4).view
    single = confidence_adversarial.attack(view, Params(inputs="benign", threshold="shadow"))
    answer = confidence_adversarial.attack(view, Params(inputs="benign", threshold="class"))
    assert answer.threshold == 0.0
    shifts = [(single.score - answer.score)[view.y == label] for label in (0, 1)]
    for shift in shifts:
        torch.testing.assert_close(shift, shift[:1].expand_as(shift))
    assert shifts[1][0] - shifts[0][0] == pytest.approx(4.0, abs=1.0)


@pytest.mark.parametrize("threshold", ["population", "class"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_adversarial_inputs_take_their_threshold_from_the_adversarys_own_rows(threshold: str, rate: float) -> None:
    game = slopes(rows=4000, shift=0.0, population=4000, seed=5)
    params = Params(epsilon=REACH, threshold=threshold, false_positive_rate=rate)  # type: ignore[arg-type]
    answer = confidence_adversarial.attack(game.view, params)
    called = (answer.score >= answer.threshold).double()
    for label in (0, 1):
        share = called[game.view.y == label].mean().item()
        # Both the threshold and the share come from about 2,000 rows: four standard errors of their difference.
        assert share == pytest.approx(rate, abs=4 * (2 * rate * (1 - rate) / 2000) ** 0.5)


def test_benign_inputs_with_a_threshold_from_own_rows_are_the_loss_attack() -> None:
    view = planted(rows=1000, shadow_models=8, shift=1.0, difficulty=2.0, seed=3).view
    for rate in (0.1, 0.5):
        params = Params(inputs="benign", threshold="population", false_positive_rate=rate)
        benign = confidence_adversarial.attack(view, params)
        loss = loss_threshold.attack(view, LossThresholdParams(false_positive_rate=rate))
        assert torch.equal(benign.score >= benign.threshold, loss.score >= loss.threshold)


def test_shadow_models_cannot_be_asked_at_adversarial_inputs() -> None:
    with pytest.raises(ValidationError) as caught:
        Params(inputs="adversarial", threshold="shadow")
    (problem,) = caught.value.errors()
    assert problem["msg"] == (
        "Value error, threshold shadow does not go with adversarial inputs: of shadow models only the answers to the rows "
        "themselves are known; set threshold to population, class or oracle, or inputs to benign"
    )


@pytest.mark.parametrize("inputs", ["benign", "adversarial"])
def test_an_oracle_threshold_is_never_handed_back_as_if_it_were_fixed(inputs: str) -> None:
    view = slopes(rows=100, shift=1.0, seed=6).view
    answer = confidence_adversarial.attack(view, Params(inputs=inputs, threshold="oracle"))  # type: ignore[arg-type]
    assert answer.threshold is None


def test_the_climb_makes_no_draws_and_leaves_the_view_as_it_is() -> None:
    view, untouched = (slopes(rows=50, shift=1.0, seed=7).view for _ in range(2))
    before = torch.get_rng_state()
    first, again = (confidence_adversarial.attack(view, Params(epsilon=REACH)).score for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(view.x, untouched.x)


def test_without_a_white_box_adversarial_inputs_are_refused() -> None:
    view = slopes(rows=50, shift=1.0, seed=8).view
    assert isinstance(view.model, WhiteBox)
    closed = view.model_copy(update={"model": ProbabilityOracle(view.model.module)})
    with pytest.raises(TypeError, match="white-box") as caught:
        confidence_adversarial.attack(closed, ADVERSARIAL)
    assert str(caught.value) == ("confidence-adversarial follows gradients: it needs a white-box view of its victim")


def test_without_rows_of_its_own_the_adversary_has_no_threshold() -> None:
    view = slopes(rows=50, shift=1.0, population=0, seed=9).view
    with pytest.raises(ValueError, match="rows of its own") as caught:
        confidence_adversarial.attack(view, Params())
    assert str(caught.value) == (
        "confidence-adversarial: the adversary has no rows of its own to fix a threshold on: raise population, or set "
        "threshold to oracle"
    )
    assert len(confidence_adversarial.attack(view, ADVERSARIAL).score) == 50


def test_benign_thresholds_need_shadow_models_and_say_so() -> None:
    view = slopes(rows=50, shift=1.0, seed=10).view
    with pytest.raises(ValueError, match="shadow") as caught:
        confidence_adversarial.attack(view, Params(inputs="benign"))
    assert str(caught.value) == (
        "confidence-adversarial: 8 shadow models are needed but the lab has 0: lower shadow_models"
    )


@pytest.mark.parametrize(
    ("inputs", "threshold", "models"),
    [
        ("benign", "shadow", [8]),
        ("benign", "class", [8]),
        ("benign", "population", []),
        ("benign", "oracle", []),
        ("adversarial", "population", []),
        ("adversarial", "class", []),
        ("adversarial", "oracle", []),
    ],
)
def test_shadow_models_are_asked_for_only_where_they_are_used(inputs: str, threshold: str, models: list[int]) -> None:
    (component,) = [one for one in COMPONENTS if one.name == "confidence-adversarial"]
    assert isinstance(component, Attack)
    params = Params(inputs=inputs, threshold=threshold)  # type: ignore[arg-type]
    assert [request.models for request in component.needs(params, SCHEMA)] == models


def test_rows_that_cannot_change_have_no_adversarial_examples() -> None:
    (component,) = [one for one in COMPONENTS if one.name == "confidence-adversarial"]
    fixed = SCHEMA.model_copy(update={"feasible": Feasible(low=0.0, high=1.0, immutable=(0,))})
    assert component.applicable(Params(), fixed) == [
        "every feature of this data set is immutable: no input can be changed"
    ]
    assert component.applicable(Params(inputs="benign"), fixed) == []
    assert component.applicable(Params(), SCHEMA) == []
