"""Exponentiated gradient: against fairlearn's own on logistic regression, and what is released of the mixture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fairlearn.reductions import DemographicParity, EqualizedOdds, ExponentiatedGradient
from sklearn.linear_model import LogisticRegression
from torch import nn

from amulet_core.training.values import Fitted, Streams, TrainingContext
from amulet_plugins_builtin.catalogue.fairness_defenses import ExponentiatedGradientParams, slots
from amulet_plugins_builtin.fairness import exponentiated_gradient
from amulet_plugins_builtin.fairness.checks_of_wrappers import SCHEMA, linear_training, planted_in_x, trained
from amulet_plugins_builtin.fairness.exponentiated_gradient import rebuild, train
from amulet_plugins_builtin.fairness.mixture import Mixture

PLAIN = linear_training()
CONTEXT = TrainingContext(rows=500, schema=SCHEMA, settings=PLAIN.settings)
NAME = "exponentiated-gradient"


def by_sklearn(asked):
    """Return a fit that is scikit-learn's logistic regression, and notes the rows and settings it is asked for."""

    def fit(training, rows, val, streams):
        asked.append((rows[0], training.settings))
        learnt = LogisticRegression().fit(rows[0].x.double(), rows[0].y, sample_weight=rows[0].w.double())
        model = nn.Linear(4, 2).double()
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(np.stack([-learnt.coef_[0], learnt.coef_[0]]) / 2))
            model.bias.copy_(torch.from_numpy(np.stack([-learnt.intercept_[0], learnt.intercept_[0]]) / 2))
        return [Fitted(nn.Sequential(Double(), model), {"noted": len(asked)})]

    return fit


class Double(nn.Module):
    def forward(self, x):
        return x.double()


def fitted(params, rows, *, asked, training=PLAIN):
    defended = train(replace(training, fit=by_sklearn(asked)), params, CONTEXT)
    (one,) = defended.fit(defended, [rows], [rows], [Streams(("test",))])
    return one


@pytest.mark.filterwarnings("ignore::DeprecationWarning:fairlearn")
@pytest.mark.parametrize(
    ("constraint", "theirs"), [("demographic-parity", DemographicParity), ("equalized-odds", EqualizedOdds)]
)
def test_the_mixture_is_fairlearns_on_logistic_regression(constraint, theirs):
    rows, asked = planted_in_x(300, "lr", lean=0.8), []
    one = fitted(ExponentiatedGradientParams(constraint=constraint, difference=0.05), rows, asked=asked)
    expected = ExponentiatedGradient(LogisticRegression(), theirs(difference_bound=0.05), eps=0.05, max_iter=5)
    x = rows.x.double().numpy()
    expected.fit(x, rows.y.numpy(), sensitive_features=rows.z[:, 0].numpy())
    weights = expected.weights_.sort_index()
    found = one.model.weights
    used = [weight for weight in weights if weight > 1e-9]
    assert len(used) > 1
    torch.testing.assert_close(found[: len(used)], torch.tensor(used).float())
    assert not found[len(used) :].any()
    mean = sum(w * h.predict_proba(x) for w, h in zip(weights, expected.predictors_, strict=True) if w > 1e-9)
    np.testing.assert_allclose(torch.softmax(one.model(rows.x), 1).numpy(), mean, atol=1e-5)
    votes = sum(w * h.predict(x) for w, h in zip(weights, expected.predictors_, strict=True))
    violation = expected.constraints_.gamma(lambda _rows: votes).max()
    assert one.evidence[NAME].violation_randomised == pytest.approx(violation, abs=1e-9)


def test_equal_questions_are_asked_once_and_the_first_is_that_of_undefended_training():
    rows, asked = planted_in_x(300, "asked", lean=0.8), []
    one = fitted(ExponentiatedGradientParams(), rows, asked=asked)
    questions = {(data.y.numpy().tobytes(), data.w.numpy().tobytes()) for data, _ in asked}
    assert len(questions) == len(asked) == one.evidence[NAME].trained > 3
    first = asked[0][0]
    assert torch.equal(first.y, rows.y)
    torch.testing.assert_close(first.w, torch.ones(300))
    assert any(not torch.equal(data.y, rows.y) for data, _ in asked)
    assert all(float(data.w.sum()) == pytest.approx(300, rel=1e-4) for data, _ in asked)
    assert one.evidence["noted"] == 1


def test_members_know_no_early_stopping():
    patient = replace(PLAIN, settings=PLAIN.settings.model_copy(update={"patience": 3}))
    asked = []
    fitted(
        ExponentiatedGradientParams(max_iter=1), planted_in_x(100, "patience", lean=0.8), asked=asked, training=patient
    )
    assert {settings.patience for _, settings in asked} == {0}


def test_the_model_of_the_first_round_is_the_undefended_one():
    plain = trained(None, None, 1, lean=0.8).model
    one = trained(exponentiated_gradient, ExponentiatedGradientParams(max_iter=1), 1, lean=0.8)
    assert one.evidence[NAME].members == 1
    fresh = planted_in_x(200, "fresh", lean=0.0)
    torch.testing.assert_close(
        torch.softmax(one.model(fresh.x), 1), torch.softmax(plain(fresh.x), 1), rtol=0, atol=1e-5
    )


def test_several_models_get_a_mixture_each():
    data = [planted_in_x(200, seed, lean=0.8) for seed in range(2)]
    training = train(PLAIN, ExponentiatedGradientParams(max_iter=2), CONTEXT)
    streams = [Streams(("test", seed)) for seed in range(2)]
    both = training.fit(training, data, data, streams)
    (second,) = training.fit(training, data[1:], data[1:], streams[1:])
    assert torch.equal(both[1].model(data[0].x), second.model(data[0].x))
    assert not torch.equal(both[0].model(data[0].x), second.model(data[0].x))


@pytest.mark.parametrize(
    ("max_iter", "constraint", "room"),
    [(5, "demographic-parity", 5), (2, "demographic-parity", 3), (2, "equalized-odds", 5), (9, "equalized-odds", 9)],
)
def test_the_mixture_has_room_for_all_that_it_can_need(max_iter, constraint, room):
    params = ExponentiatedGradientParams(max_iter=max_iter, constraint=constraint)
    assert slots(params, SCHEMA) == room
    twin = rebuild(lambda: nn.Linear(4, 2), params, SCHEMA)
    training = train(PLAIN, params, CONTEXT)
    rows = planted_in_x(120, "room", lean=0.8)
    (one,) = training.fit(training, [rows], [rows], [Streams(("test",))])
    assert len(one.model.members) == len(twin.members) == room
    twin.load_state_dict(one.model.state_dict())
    assert torch.equal(twin(rows.x), one.model(rows.x))
    assert not any(parameter.requires_grad for parameter in one.model.parameters())


def two_members():
    torch.manual_seed(3)
    mixture = Mixture([nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2)], classes=2)
    mixture.weights.copy_(torch.tensor([0.25, 0.45, 0.0]))
    mixture.constant.copy_(torch.tensor([0.0, 0.3]))
    return mixture


def test_a_mixture_is_the_mean_of_its_members_probabilities_and_of_its_constant_answers():
    with torch.random.fork_rng():
        mixture, x = two_members(), torch.randn(20, 3)
        first, second, _ = (torch.softmax(member(x), 1) for member in mixture.members)
        expected = 0.25 * first + 0.45 * second + 0.3 * torch.tensor([0.0, 1.0])
        torch.testing.assert_close(torch.softmax(mixture(x), 1), expected)
        torch.testing.assert_close(mixture(x).exp(), expected)


def test_members_without_weight_are_not_asked_and_gradients_flow_through_the_others():
    with torch.random.fork_rng():
        mixture, x = two_members(), torch.randn(5, 3, requires_grad=True)
        mixture.members[2] = nn.Linear(7, 2)
        (gradient,) = torch.autograd.grad(mixture(x)[:, 0].sum(), x)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().min(1).values.max() > 0


def test_a_mixture_of_constant_answers_alone_has_finite_logits():
    mixture = Mixture([nn.Linear(3, 2)], classes=2)
    mixture.constant.copy_(torch.tensor([0.0, 1.0]))
    logits = mixture(torch.zeros(4, 3))
    assert torch.isfinite(logits).all()
    assert logits.argmax(1).tolist() == [1] * 4


REFUSED = {
    "weights": (
        lambda rows: replace(rows, w=torch.arange(100).float()),
        "exponentiated-gradient sets the weights of the rows itself, and these rows have weights already",
    ),
    "one class": (
        lambda rows: replace(rows, y=torch.ones(100, dtype=torch.int64)),
        'exponentiated-gradient compares groups of both classes, and all 100 training rows have the class "hired": '
        "train on more rows",
    ),
    "one group": (
        lambda rows: replace(rows, z=torch.zeros(100, 1, dtype=torch.int64)),
        'exponentiated-gradient compares groups of both classes, and all 100 training rows have the group "a": '
        "train on more rows",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_it_cannot_work_on_are_refused_before_training(case):
    change, message = REFUSED[case]
    asked = []
    with pytest.raises(ValueError) as error:
        fitted(ExponentiatedGradientParams(), change(planted_in_x(100, "refused", lean=0.8)), asked=asked)
    assert (str(error.value), asked) == (message, [])
