"""Randomized smoothing: what answers, what gets noise, and what a certificate covers."""

import pytest
import torch
from torch import nn

from amulet_core.data import make_data
from amulet_core.games.evasion import CertificateQuestion
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.training.parts import plain_training, weighted_cross_entropy
from amulet_core.training.values import Batch, Draw, Fitted, TrainingContext
from amulet_plugins_builtin.catalogue.robust_training import SmoothingParams as Params
from amulet_plugins_builtin.catalogue.robust_training import something_is_noisy
from amulet_plugins_builtin.evasion import planted, smoothing
from amulet_plugins_builtin.evasion.checks_of_defenses import LINE
from amulet_plugins_builtin.evasion.checks_of_smoothing import Lopsided

MIXED = DataSchema(
    modality="tabular",
    shape=(6,),
    classes=("a", "b", "c"),
    feasible=Feasible(
        low=(0.0,) * 6, high=(1.0, 2.0, 20.0, 5.0, 1.0, 1.0), immutable=(0,), integer=(2,), one_hot=((4, 5),)
    ),
)
SCALE = torch.tensor([0.0, 2, 20, 5, 0, 0])


def network():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).requires_grad_(requires_grad=False)


def rows(n):
    x = torch.rand(n, 6) * torch.tensor(MIXED.feasible.high)
    x[:, 2] = x[:, 2].round()
    x[:, 4:] = torch.eye(2)[torch.randint(2, (n,))]
    return make_data(x, torch.randint(3, (n,)), MIXED)


@pytest.mark.parametrize("inputs", [16_384, 30, 1])
def test_the_model_answers_by_its_mean_probabilities_over_the_draws(monkeypatch, inputs):
    monkeypatch.setattr(smoothing, "_INPUTS", inputs)
    model, data = network(), rows(9)
    smoothed = smoothing.smooth(Fitted(model, {"kept": 1}), data, Params(draws=7, sigma=0.5))
    noise = smoothed.model.noise
    assert (noise.shape, smoothed.evidence) == ((7, 6), {"kept": 1})
    expected = torch.stack([model(data.x + one).softmax(1) for one in noise]).mean(0).log()
    torch.testing.assert_close(smoothed.model(data.x), expected)


def test_the_answer_can_be_differentiated_and_repeated():
    data = rows(5)
    model = smoothing.smooth(Fitted(network()), data, Params(draws=4)).model
    x = data.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[:, 0].sum(), x)
    assert (gradient != 0).any(1).all()
    assert torch.equal(model(data.x), model(data.x))


def test_noise_has_its_size_in_every_feature_that_can_change_and_is_none_elsewhere():
    noise = smoothing.smooth(Fitted(network()), rows(2), Params(draws=10_000, sigma=0.3)).model.noise
    torch.testing.assert_close(noise.std(0), 0.3 * SCALE, rtol=0.04, atol=0)
    torch.testing.assert_close(noise.mean(0), torch.zeros(6), rtol=0, atol=0.3)


def test_training_sees_the_rows_under_the_drawn_noise():
    plain = plain_training(network, TrainingSettings(), stackable=True)
    context = TrainingContext(rows=8, schema=MIXED, settings=plain.settings)
    seen = []

    def noted(call, frozen, batch):
        seen.append(batch)
        return weighted_cross_entropy(call, frozen, batch)

    plain = plain.__class__(**{**plain.__dict__, "objective": noted})
    defended = smoothing.train(plain, Params(sigma=0.2), context)
    assert (plain.draws, defended.draws) == ((), (Draw("smoothing noise", "normal"),))
    assert smoothing.train(defended, Params(), context).draws == defended.draws
    data, drawn, model = rows(8), torch.randn(8, 6), network()
    batch = Batch(data.x, data.y, data.z, data.w, {"smoothing noise": drawn})
    defended.objective(model, model, batch)
    torch.testing.assert_close(seen[0].x, data.x + 0.2 * SCALE * drawn)
    assert torch.equal(seen[0].y, data.y)


@pytest.mark.parametrize(
    ("norm", "epsilon", "length"),
    [
        ("l2", 0.3, 0.3),
        ("linf", 0.1, 0.1 * 3**0.5),  # three features can change
        ("linf", 1.0, torch.inf),  # the budget reaches another category, which has no noise
        ("l2", 1.5, torch.inf),
    ],
)
def test_a_budget_is_covered_by_the_length_of_its_longest_change(norm, epsilon, length):
    assert smoothing.reach(MIXED, norm=norm, epsilon=epsilon) == pytest.approx(length)


@pytest.mark.parametrize(
    ("votes", "draws", "radius"),
    [(100, 100, 1.5005), (10**3, 10**3, 2.4633), (10**4, 10**4, 3.1986), (10**5, 10**5, 3.8115), (990, 1000, 1.9780)],
)
def test_radii_are_the_known_ones(votes, draws, radius):
    found = smoothing.certified_radius(torch.tensor([votes]), draws, Params(sigma=0.5))
    assert float(found[0]) == pytest.approx(0.5 * radius, abs=5e-5)


def test_no_radius_without_a_majority():
    found = smoothing.certified_radius(torch.tensor([0, 500, 540, 560]), 1000, Params())
    assert torch.isfinite(found).tolist() == [False, False, False, True]


def test_votes_are_counted_for_every_row_and_draw(monkeypatch):
    model, data = network(), rows(7)
    for inputs in (16_384, 10, 3):
        monkeypatch.setattr(smoothing, "_INPUTS", inputs)
        assert smoothing.votes(model, data.x, 0.1 * SCALE, draws=23, classes=3).sum(1).tolist() == [23] * 7


def test_a_vote_falls_on_a_class_with_its_probability():
    model, data = network(), rows(7)
    still = smoothing.votes(model, data.x, 0 * SCALE, draws=50_000, classes=3) / 50_000
    torch.testing.assert_close(still, model(data.x).softmax(1), rtol=0, atol=0.012)


def steep(model):
    """Have the model answer with probabilities of 0 and 1, but on its boundary."""
    for part in model.parameters():
        part.mul_(1000)
    return model


def test_the_share_of_votes_is_that_of_a_steep_linear_model():
    model, schema = planted.linear_victim(features=10, seed=3)
    steep(model)
    x = planted.rows_near_the_middle(schema, rows=100, seed=3)
    distance = planted.margins(model, x, torch.ones(100).long()) / planted.steepness(model, schema, norm="l2")
    sigma = float(distance.abs().median())
    found = smoothing.votes(model, x, sigma * smoothing.noisy(schema), draws=4000, classes=2)[:, 1] / 4000
    torch.testing.assert_close(found.double(), torch.special.ndtr(distance / sigma), rtol=0, atol=0.04)


def asked(model, x, y, schema, **more):
    return CertificateQuestion(model=model, x=x, y=y, data_schema=schema, **{"norm": "l2", "epsilons": (0.1,)} | more)


def test_a_row_is_certified_at_the_budgets_within_its_radius_if_its_class_is_right():
    model, schema = planted.linear_victim(features=10, seed=4)
    steep(model)
    x = planted.rows_near_the_middle(schema, rows=200, seed=4)
    y = model(x).argmax(1)
    exact = planted.margins(model, x, y) / planted.steepness(model, schema, norm="l2")
    sigma = float(exact.median())
    smoothed, params = smoothing.Smoothed(model, torch.zeros(1, 10)), Params(sigma=sigma, certify_draws=2000)
    budgets = (0.25 * sigma, 0.75 * sigma, 1.5 * sigma)
    proved = smoothing.certify(asked(smoothed, x, y, schema, epsilons=budgets), params)
    for found, budget in zip(proved, budgets, strict=True):
        assert not (found & (exact < budget)).any()
        clear = (exact > 1.3 * budget) & (exact < 2 * sigma)
        assert (found[clear].float().mean() > 0.9) & clear.any()
    in_linf = smoothing.certify(asked(smoothed, x, y, schema, norm="linf", epsilons=budgets), params)
    longer = smoothing.certify(asked(smoothed, x, y, schema, epsilons=tuple(10**0.5 * b for b in budgets)), params)
    assert (in_linf != longer).float().mean() < 0.03  # but for the votes
    wrong = smoothing.certify(asked(smoothed, x, 1 - y, schema, epsilons=budgets), params)
    assert not wrong.any()


def test_the_radius_of_a_linear_model_that_is_not_steep_is_below_its_margin():
    model, schema = planted.linear_victim(features=10, seed=4)
    x = planted.rows_near_the_middle(schema, rows=200, seed=4)
    y = model(x).argmax(1)
    exact = planted.margins(model, x, y) / planted.steepness(model, schema, norm="l2")
    sigma = float(exact.median())
    smoothed, params = smoothing.Smoothed(model, torch.zeros(1, 10)), Params(sigma=sigma, certify_draws=5000)
    budgets = tuple(share * sigma for share in (0.02, 0.1, 0.3))
    proved = smoothing.certify(asked(smoothed, x, y, schema, epsilons=budgets), params)
    assert proved[0].any()
    assert not (proved & (exact < torch.tensor(budgets)[:, None])).any()


def test_a_certified_class_is_that_of_the_mean_which_answers_and_not_of_most_draws():
    """A base that is right by little on most draws, and wrong by much on the rest, is fooled where it wins votes."""
    x, y = torch.linspace(0, 0.6, 61)[:, None], torch.ones(61, dtype=torch.int64)
    params = Params(sigma=0.1, draws=10_000)
    smoothed = smoothing.smooth(Fitted(Lopsided()), make_data(x, y, LINE), params).model
    proved = smoothing.certify(asked(smoothed, x, y, LINE, epsilons=(0.02,)), params)[0]
    assert proved.any()
    assert (smoothed(x - 0.04).argmax(1) == y)[proved].all()


def test_a_class_that_was_guessed_wrong_is_not_certified(monkeypatch):
    counts = iter([torch.tensor([[60, 40], [40, 60]]), torch.tensor([[900, 100], [900, 100]])])
    monkeypatch.setattr(smoothing, "votes", lambda *given, **more: next(counts))
    schema = MIXED.model_copy(update={"classes": ("a", "b")})
    question = asked(smoothing.Smoothed(network(), torch.zeros(1, 6)), rows(2).x, torch.zeros(2).long(), schema)
    assert smoothing.certify(question, Params()).tolist() == [[True, False]]


def test_only_a_smoothed_model_is_certified():
    with pytest.raises(ValueError) as error:
        smoothing.certify(asked(nn.Linear(6, 3), rows(2).x, torch.zeros(2).long(), MIXED), Params())
    assert str(error.value) == "randomized-smoothing certifies the model that it smoothed, not a Linear"


def test_data_without_anything_to_smooth_are_named():
    still = MIXED.model_copy(update={"feasible": MIXED.feasible.model_copy(update={"immutable": (0, 1, 2, 3)})})
    text = "every feature of this data set is immutable or of a one-hot group: there is none to add noise to"
    assert something_is_noisy(Params(), still) == [text]
    assert something_is_noisy(Params(), MIXED) == []
