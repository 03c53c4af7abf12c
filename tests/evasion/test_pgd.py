"""Projected gradient descent: closed forms, true labels, survivors only, restarts, and what it must leave alone."""

import copy

import pytest
import torch
from torch import nn

from amulet_core.feasible import distance
from amulet_core.games.evasion import EvasionView
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.victims import ProbabilityOracle, WhiteBox
from amulet_plugins_builtin.catalogue.evasion import PgdParams
from amulet_plugins_builtin.evasion import losses, pgd, planted
from amulet_plugins_builtin.evasion.ascent import gradient_of, lead, steepest

TO_THE_END = PgdParams(early_stop=False)


def attacked(view, params=TO_THE_END, seed=0):
    with isolated("test", seed):
        return pgd.attack(view, params)


def square(width=2, **structure):
    return DataSchema(
        modality="tabular", shape=(width,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=1.0, **structure)
    )


@pytest.mark.parametrize("loss", ["ce", "margin"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("steps", [1, 7, 20])
def test_a_linear_model_loses_exactly_the_dual_norm(norm, loss, steps):
    model, schema = planted.linear_victim(features=30, seed=11)
    x = planted.rows_near_the_middle(schema, rows=50, seed=11)
    y = torch.arange(50) % 2
    answer = attacked(
        planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.01, 0.1)),
        PgdParams(steps=steps, loss=loss, early_stop=False),
    )
    for epsilon, changed in zip((0.01, 0.1), answer.x, strict=True):
        expected = planted.margins(model, x, y) - epsilon * planted.steepness(model, schema, norm=norm)
        torch.testing.assert_close(planted.margins(model, changed, y), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_confident_model_hides_nothing_by_saturation(norm):
    # At a margin of hundreds the cross-entropy and its gradient are exactly 0 in single precision.
    model, schema = planted.linear_victim(features=30, seed=12)
    x = planted.rows_near_the_middle(schema, rows=50, seed=12)
    model.weight *= 1000
    model.bias *= 1000
    y = model(x).argmax(1)
    assert planted.margins(model, x, y).median() > 100
    answer = attacked(planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.1,)))
    expected = planted.margins(model, x, y) - 0.1 * planted.steepness(model, schema, norm=norm)
    torch.testing.assert_close(planted.margins(model, answer.x[0], y), expected, rtol=1e-5, atol=1e-2)
    assert answer.warnings == ()


def test_the_climbed_loss_has_the_direction_of_the_cross_entropy():
    logits, y = torch.randn(20, 5, dtype=torch.float64, requires_grad=True), torch.arange(20) % 5
    (own,) = torch.autograd.grad(lead(logits, y, loss="ce").sum(), logits)
    loss = nn.functional.cross_entropy(logits, y, reduction="none")
    (plain,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(nn.functional.normalize(own), nn.functional.normalize(plain))
    torch.testing.assert_close(lead(logits, y, loss="ce"), loss.expm1().log())


def test_a_misclassified_row_stays_misclassified_and_unchanged():
    model, schema = planted.linear_victim(features=30, seed=13)
    x = planted.rows_near_the_middle(schema, rows=200, seed=13)
    y = torch.arange(200) % 2
    wrong = model(x).argmax(1) != y
    assert wrong.any()
    assert not wrong.all()
    answer = attacked(planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.001, 0.01)), PgdParams())
    for changed in answer.x:
        assert torch.equal(changed[wrong], x[wrong])
        assert (model(changed).argmax(1) != y)[wrong].all()


def test_rows_fooled_at_a_small_budget_are_carried_to_the_larger_ones():
    model, schema = planted.linear_victim(features=30, seed=14)
    x = planted.rows_near_the_middle(schema, rows=200, seed=14)
    y = model(x).argmax(1)
    epsilons = tuple(float(planted.margins(model, x, y).quantile(q)) for q in (0.2, 0.5, 0.8))
    steepness = planted.steepness(model, schema, norm="linf")
    answer = attacked(
        planted.view_of(model, x, y, schema, norm="linf", epsilons=tuple(e / steepness for e in epsilons)), PgdParams()
    )
    fooled = torch.stack([model(changed).argmax(1) != y for changed in answer.x])
    assert fooled.float().mean(1).tolist() == pytest.approx([0.2, 0.5, 0.8], abs=0.01)
    for smaller in (0, 1):
        was = fooled[smaller]
        assert torch.equal(answer.x[smaller + 1][was], answer.x[smaller][was])


def test_only_survivors_are_asked_about():
    model, schema = planted.linear_victim(features=30, seed=15)
    x = planted.rows_near_the_middle(schema, rows=100, seed=15)
    y = model(x).argmax(1)
    y[:40] = 1 - y[:40]
    counts = {}
    for name, early in (("early", True), ("late", False)):
        view = planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.5,))
        attacked(view, PgdParams(steps=5, relative_step=1.0, restarts=2, early_stop=early))
        counts[name] = view.model.queries
    # 100 rows as they are, 60 for the warning; 60 survivors at the first point; one step fools them all, seen when the
    # second gradient is taken.
    assert counts["early"] == 100 + 60 + 60 + 60
    # All rows at five points and at the end, for each of the two climbs.
    assert counts["late"] == 100 + 60 + 2 * 6 * 100


class TwoBasins(nn.Module):
    """Flat ground slopes to the left, to a pit that fools nothing; what fools lies far to the right."""

    def forward(self, x):
        """Return logits of which the second leads only beyond .8."""
        slope = 0.5 * (0.45 - x[:, 0]) - 1
        cliff = 20 * (x[:, 0] - 0.8)
        return torch.stack([torch.zeros(len(x)), torch.maximum(slope, cliff)], 1)


def test_restarts_find_the_basin_that_the_first_climb_misses():
    x, y = torch.full((200, 2), 0.5), torch.zeros(200, dtype=torch.int64)
    shares = []
    for restarts in (1, 2, 10):
        view = planted.view_of(TwoBasins(), x, y, square(), norm="linf", epsilons=(0.45,))
        answer = attacked(view, PgdParams(restarts=restarts, relative_step=0.02, steps=10))
        shares.append(float((answer.x[0, :, 0] > 0.8).float().mean()))
    # The cliff overtakes the slope at x = .744; a uniform start on (.05, .95) lies beyond it with probability .23.
    assert shares[0] == 0
    assert 0.1 < shares[1] < 0.4
    assert shares[2] > 0.8


def test_what_cannot_change_does_not():
    schema = square(8, immutable=(0,), one_hot=((1, 2, 3),), integer=(4,))
    schema = schema.model_copy(
        update={
            "feasible": schema.feasible.model_copy(
                update={"low": (0.0,) * 8, "high": (1.0,) * 4 + (40.0,) + (1.0,) * 3}
            )
        }
    )
    model = nn.Linear(8, 2)
    x = torch.rand(60, 8, generator=torch.Generator().manual_seed(1))
    x[:, 1:4] = torch.eye(3)[torch.arange(60) % 3]
    x[:, 4] = (x[:, 4] * 40).round()
    y = torch.arange(60) % 2
    for norm in ("linf", "l2"):
        changed = attacked(planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.12,))).x[0]
        assert torch.equal(changed[:, :4], x[:, :4])
        assert torch.equal(changed[:, 4], changed[:, 4].round())
        assert (changed[:, 4] != x[:, 4]).any()
        assert (changed[:, 5:] != x[:, 5:]).any(1).all()
        assert ((changed >= 0) & (changed <= torch.tensor(schema.feasible.high))).all()
        assert (distance(changed, x, schema, norm=norm) <= 0.12 + 1e-5).all()


def test_a_budget_that_pays_for_another_category_is_used():
    schema = square(3, one_hot=((0, 1, 2),))
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 3.0]]))
        model.bias.zero_()
    x, y = torch.eye(3)[[0, 0]], torch.zeros(2, dtype=torch.int64)
    changed = attacked(planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.9, 1.0)))
    assert torch.equal(changed.x[0], x)
    assert torch.equal(changed.x[1], torch.eye(3)[[2, 2]])


def test_a_row_counts_as_fooled_only_by_a_possible_input():
    # The boundary lies at 2.5: a relaxed input crosses it, the whole number 2 does not.
    schema = DataSchema(
        modality="tabular", shape=(1,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=10.0, integer=(0,))
    )
    model = nn.Linear(1, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0], [1.0]]))
        model.bias.copy_(torch.tensor([0.0, -2.5]))
    x, y = torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64)
    answer = attacked(planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.28, 0.3)), PgdParams())
    assert answer.x.flatten().tolist() == [2.0, 3.0]


class Rounded(nn.Module):
    """A network whose gradient is zero everywhere for the rows below .5."""

    def forward(self, x):
        """Return logits that follow x above .5 and its whole part below."""
        lead = torch.where(x[:, 0] < 0.5, x[:, 0].round(), x[:, 0])
        return torch.stack([torch.ones(len(x)), lead - 1], 1)


@pytest.mark.parametrize(("share", "warned"), [(0.25, True), (0.35, False)])
def test_masked_gradients_are_counted_and_reported(share, warned):
    x = torch.full((10, 2), 0.7)
    x[:3] = 0.2
    view = planted.view_of(Rounded(), x, torch.zeros(10, dtype=torch.int64), square(), norm="linf", epsilons=(0.01,))
    text = (
        "masked gradients: the gradient of the loss is exactly zero at 3 of the 10 rows that the model classifies "
        "correctly, so pgd cannot see which way to go there and the robust accuracy may be too high; run an attack "
        "without gradients beside it"
    )
    assert attacked(view, PgdParams(masked_share=share)).warnings == ((text,) if warned else ())


class Beside(nn.Module):
    """A network whose largest other logit follows the true one, and a third the input."""

    def forward(self, x):
        """Return three logits of which the first leads the second by 4, wherever the input is."""
        return torch.stack([x[:, 0] + 5, x[:, 0] + 1, x[:, 1]], 1)


@pytest.mark.parametrize(("loss", "warned"), [("ce", False), ("margin", True)])
def test_gradients_are_masked_where_those_of_the_loss_that_is_climbed_are(loss, warned):
    x, y = torch.rand(10, 2), torch.zeros(10, dtype=torch.int64)
    schema = square().model_copy(update={"classes": ("a", "b", "c")})
    view = planted.view_of(Beside(), x, y, schema, norm="linf", epsilons=(0.1,))
    assert bool(attacked(view, PgdParams(loss=loss)).warnings) == warned


class TwoPeaks(nn.Module):
    """To the left both other classes gain .9, to the right one of them gains 1; the true one stays far ahead."""

    def forward(self, x):
        """Return three logits."""
        left, right = (0.5 - x[:, 0]).relu() / 0.4, (x[:, 0] - 0.5).relu() / 0.4
        return torch.stack([torch.full_like(left, 10.0), 0.9 * left + right, 0.9 * left], 1)


@pytest.mark.parametrize(("loss", "best"), [("ce", 0.1), ("margin", 0.9)])
def test_of_inputs_that_do_not_fool_the_one_of_the_largest_loss_climbed_is_kept(loss, best):
    x, y = torch.full((20, 2), 0.5), torch.zeros(20, dtype=torch.int64)
    schema = square().model_copy(update={"classes": ("a", "b", "c")})
    view = planted.view_of(TwoPeaks(), x, y, schema, norm="linf", epsilons=(0.4,))
    answer = attacked(view, PgdParams(loss=loss, restarts=20))
    torch.testing.assert_close(answer.x[0, :, 0], torch.full((20,), best))


class Constant(nn.Module):
    """A network that ignores its input."""

    def forward(self, x):
        """Return the same logits for every row."""
        return torch.tensor([1.0, 0.0]).expand(len(x), 2)


def test_a_model_that_ignores_its_input_is_attacked_without_success():
    x = torch.rand(20, 2)
    view = planted.view_of(Constant(), x, torch.zeros(20, dtype=torch.int64), square(), norm="l2", epsilons=(0.3,))
    answer = attacked(view)
    assert answer.x.isfinite().all()
    assert len(answer.warnings) == 1


def test_an_l2_step_survives_gradients_whose_squares_underflow():
    gradient = torch.tensor([[3e-30, 4e-30], [0.0, 0.0]])
    torch.testing.assert_close(
        steepest(square(), norm="l2", epsilon=0.5)(gradient), torch.tensor([[0.3, 0.4], [0.0, 0.0]])
    )


def test_the_gradient_is_the_rows_own():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    x, y = torch.randn(6, 4), torch.arange(6) % 3
    gradient = gradient_of(model, x, y, loss="margin")
    for i in range(6):
        row = x[i : i + 1].clone().requires_grad_()
        (own,) = torch.autograd.grad(lead(model(row), y[i : i + 1], loss="margin").sum(), row)
        torch.testing.assert_close(gradient[i : i + 1], own)


class Purifying(nn.Linear):
    """A model that changes its input by a gradient of its own before it predicts."""

    def forward(self, x):
        """Return the logits a small step along that gradient away."""
        with torch.enable_grad():
            at = x.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(super().forward(at).square().sum(), at)
        return super().forward(x + 1e-6 * gradient)


def test_models_that_take_gradients_while_they_predict_are_attacked():
    plain, schema = planted.linear_victim(features=8, seed=3)
    model = Purifying(8, 2)
    model.load_state_dict(plain.state_dict())
    x = planted.rows_near_the_middle(schema, rows=50, seed=3)
    y = plain(x).argmax(1)
    margins, steepness = planted.margins(plain, x, y), planted.steepness(plain, schema, norm="linf")
    epsilon = float(margins.median() / steepness)
    view = planted.view_of(model, x, y, schema, norm="linf", epsilons=(epsilon * 1.001,))
    fooled = model(attacked(view, PgdParams(steps=5)).x[0]).argmax(1) != y
    assert torch.equal(fooled, margins <= margins.median())


def test_the_attack_in_parts_is_the_attack_on_the_whole(monkeypatch):
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    x, y = torch.rand(30, 5), torch.arange(30) % 3
    view = EvasionView(model=WhiteBox(model), x=x, y=y, norm="l2", epsilons=(0.1,), data_schema=square(5))
    whole = attacked(view).x
    asked = []
    monkeypatch.setattr(losses, "rows_at_once", lambda x: 7)
    view.model.module.register_forward_hook(lambda module, given, out: asked.append(len(given[0])))
    torch.testing.assert_close(attacked(view).x, whole, rtol=0, atol=1e-3)
    assert max(asked) == 7


def test_the_attack_leaves_model_inputs_and_generators_alone():
    model = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 2))
    box = WhiteBox(model.train())
    before, inner = copy.deepcopy(model.state_dict()), copy.deepcopy(box.module.state_dict())
    x, y = torch.rand(30, 5), torch.arange(30) % 2
    kept = x.clone()
    view = EvasionView(model=box, x=x, y=y, norm="linf", epsilons=(0.1,), data_schema=square(5))
    state = torch.get_rng_state()
    first = attacked(view).x
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(attacked(view).x, first)
    assert torch.equal(x, kept)
    assert not first.requires_grad
    for module, values in ((model, before), (box.module, inner)):
        assert all(torch.equal(value, values[name]) for name, value in module.state_dict().items())
        assert all(parameter.grad is None for parameter in module.parameters())
    assert model.training
    assert not box.module.training


def test_the_draws_do_not_depend_on_the_victim():
    x, y = torch.rand(30, 5), torch.zeros(30, dtype=torch.int64)
    states = []
    for bias in (-100.0, 0.0, 100.0):
        model = nn.Linear(5, 2)
        with torch.no_grad():
            model.bias[0] = bias
        view = planted.view_of(model, x, y, square(5), norm="linf", epsilons=(0.1, 0.2))
        with isolated("same"):
            pgd.attack(view, PgdParams(restarts=3))
            states.append(torch.rand(3))
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_pgd_without_gradients_says_what_it_needs():
    view = planted.view_of(
        None, torch.rand(3, 2), torch.zeros(3, dtype=torch.int64), square(), norm="linf", epsilons=(0.1,)
    )
    view = view.model_copy(update={"model": ProbabilityOracle(nn.Linear(2, 2))})
    with pytest.raises(TypeError, match=r"^pgd follows gradients: it needs a white-box view of its victim$"):
        pgd.attack(view, PgdParams())
