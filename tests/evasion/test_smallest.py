"""DeepFool and Carlini & Wagner: the smallest change in closed form, bounds and structure, and answers for every budget."""

import pytest
import torch
from torch import nn

from amulet_core.feasible import distance
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_plugins_builtin.catalogue.evasion_attacks import CwL2Params, DeepFoolParams
from amulet_plugins_builtin.evasion import cw_l2, deepfool, planted
from amulet_plugins_builtin.evasion.found import task_of

ATTACKS = {
    ("deepfool", "linf"): (deepfool.attack, DeepFoolParams()),
    ("deepfool", "l2"): (deepfool.attack, DeepFoolParams()),
    ("cw-l2", "l2"): (cw_l2.attack, CwL2Params(steps=60, learning_rate=0.03)),
}


def attacked(name, norm, view, **settings):
    attack, params = ATTACKS[name, norm]
    with isolated("test"):
        return attack(view, params.model_copy(update=settings))


def cube(width, **structure):
    return DataSchema(
        modality="tabular", shape=(width,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=1.0, **structure)
    )


def linear(weight, bias):
    model = nn.Linear(len(weight), 2).requires_grad_(False)
    model.weight.copy_(torch.tensor([[0.0] * len(weight), weight]))
    model.bias.copy_(torch.tensor([0.0, bias]))
    return model


@pytest.mark.parametrize("overshoot", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_deepfool_changes_a_linear_models_rows_by_its_overshoot_more_than_needed(norm, overshoot):
    model, schema = planted.linear_victim(features=30, seed=41)
    x = planted.rows_near_the_middle(schema, rows=100, seed=41)
    y = model(x).argmax(1)
    needed = planted.margins(model, x, y) / planted.steepness(model, schema, norm=norm)
    view = planted.view_of(model, x, y, schema, norm=norm, epsilons=(2.0,))
    changed = attacked("deepfool", norm, view, overshoot=overshoot).x[0]
    assert (model(changed).argmax(1) != y).all()
    ratio = (distance(changed, x, schema, norm=norm) / needed)[needed > 1e-3]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 1 + overshoot), rtol=2e-3, atol=0)


def by_the_book(model, x, y, norm, overshoot, steps):
    """Algorithm 2 of the paper for one row, without bounds, in float64."""
    total, at = torch.zeros_like(x), x
    for step in range(steps + 1):
        if model(at[None]).argmax(1) != y or step == steps:
            break
        jacobian = torch.autograd.functional.jacobian(lambda point: model(point[None])[0], at)
        logits, moves = model(at[None])[0], []
        for other in range(len(logits)):
            if other != y:
                w, f = jacobian[other] - jacobian[y], (logits[other] - logits[y]).abs()
                length = w.abs().sum() if norm == "linf" else w.norm()
                moves.append((f / length, f / length * (w.sign() if norm == "linf" else w / length)))
        total = total + min(moves, key=lambda move: float(move[0]))[1]
        at = x + (1 + overshoot) * total
    return at, step


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_deepfool_is_that_of_the_paper_row_by_row(norm):
    with isolated("bent"):
        model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4)).double().requires_grad_(False)
        model[0].weight *= 8
        model[0].bias.zero_()
        x = torch.randn(40, 6, dtype=torch.float64)
    wide = DataSchema(
        modality="tabular", shape=(6,), classes=("a", "b", "c", "d"), feasible=Feasible(low=-50.0, high=50.0)
    )
    y = model(x).argmax(1)
    view = planted.view_of(model, x.float(), y, wide, norm=norm, epsilons=(1.0,))
    task = task_of(view.model_copy(update={"x": x}), epsilon=1.0)
    # The ranges are 100: the changes are of order one in the units of x.
    found = deepfool.deepfool(model, task, torch.arange(40), DeepFoolParams(overshoot=0.1))
    expected, steps = zip(*(by_the_book(model, x[row], y[row], norm, 0.1, 50) for row in range(40)), strict=True)
    assert sum(1 < step < 50 for step in steps) > 10
    fooled = torch.tensor(steps) < 50
    torch.testing.assert_close(found.x[fooled], torch.stack(expected)[fooled], rtol=0, atol=1e-3)


def test_cw_changes_a_linear_models_rows_by_little_more_than_needed():
    model, schema = planted.linear_victim(features=30, seed=42)
    x = planted.rows_near_the_middle(schema, rows=100, seed=42)
    y = model(x).argmax(1)
    needed = planted.margins(model, x, y) / planted.steepness(model, schema, norm="l2")
    view = planted.view_of(model, x, y, schema, norm="l2", epsilons=(2.0,))
    changed = attacked("cw-l2", "l2", view, steps=200, learning_rate=0.01).x[0]
    assert (model(changed).argmax(1) != y).all()
    ratio = (distance(changed, x, schema, norm="l2") / needed)[needed > 1e-3]
    assert ratio.min() >= 1 - 1e-4
    assert ratio.max() < 1.02


def test_kappa_is_the_margin_by_which_another_class_wins():
    model, schema = planted.linear_victim(features=30, seed=43)
    x = planted.rows_near_the_middle(schema, rows=50, seed=43)
    y = model(x).argmax(1)
    view = planted.view_of(model, x, y, schema, norm="l2", epsilons=(2.0,))
    changed = attacked("cw-l2", "l2", view, kappa=5.0, steps=200, learning_rate=0.01).x[0]
    assert (-planted.margins(model, changed, y)).min() >= 5 - 1e-4
    needed = (planted.margins(model, x, y) + 5) / planted.steepness(model, schema, norm="l2")
    assert (distance(changed, x, schema, norm="l2") / needed).max() < 1.02


def test_several_classes_are_compared_and_the_nearest_boundary_is_met():
    # Three classes on a line of distances: the second's boundary is nearest in linf, the third's in L2.
    model = nn.Linear(2, 3).requires_grad_(False)
    model.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.2, 0.0]]))
    model.bias.copy_(torch.tensor([0.0, -1.2, -1.02]))
    schema = DataSchema(modality="tabular", shape=(2,), classes=("a", "b", "c"), feasible=Feasible(low=-0.5, high=0.5))
    x, y = torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64)
    # Distances: .6 and .85 in linf, .849 and .85 in L2 without bounds; a box of .5 leaves none of them.
    view = planted.view_of(model, x, y, schema, norm="linf", epsilons=(1.0,))
    assert torch.equal(model(attacked("deepfool", "linf", view).x[0]).argmax(1), y)
    wide = schema.model_copy(update={"feasible": Feasible(low=-1.0, high=1.0)})
    for norm, needed, label in (("linf", 0.3, 1), ("l2", 0.425, 2)):
        model.bias[1] = -1.2 if norm == "linf" else -1.3
        view = planted.view_of(model, x, y, wide, norm=norm, epsilons=(2.0,))
        changed = attacked("deepfool", norm, view).x[0]
        assert model(changed).argmax(1).item() == label
        assert distance(changed, x, wide, norm=norm).item() == pytest.approx(1.02 * needed, rel=1e-4)
        only = attacked("deepfool", norm, view, classes=1).x[0]
        assert model(only).argmax(1).item() == 2


@pytest.mark.parametrize(("name", "norm"), ATTACKS)
def test_features_on_their_bounds_leave_the_way_to_the_others(name, norm):
    # The steepest feature stands at its bound; the second must do all the work.
    model, schema = linear([5.0, 1.0], -5.3), cube(2)
    x, y = torch.tensor([[1.0, 0.1]]), torch.zeros(1, dtype=torch.int64)
    view = planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.5,))
    changed = attacked(name, norm, view).x[0]
    assert model(changed).argmax(1).item() == 1
    assert changed[0, 0].item() == 1
    assert changed[0, 1].item() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(("name", "norm"), ATTACKS)
def test_whole_numbers_are_counted_as_fooled_only_after_rounding(name, norm):
    schema = DataSchema(
        modality="tabular", shape=(1,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=10.0, integer=(0,))
    )
    model = linear([1.0], -2.5)
    x, y = torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64)
    view = planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.28, 0.3, 0.8))
    answer = attacked(name, norm, view, **({"searches": 8} if name == "cw-l2" else {}))
    # The boundary lies at 2.5: the first whole number beyond it is 3; within .28 of the range it is 2.
    assert answer.x.flatten().tolist() == [2.0, 3.0, 3.0]


@pytest.mark.parametrize(("name", "norm"), ATTACKS)
def test_every_budget_has_the_smallest_change_if_it_fits_and_else_the_best_on_the_way(name, norm):
    model, schema = planted.linear_victim(features=30, seed=44)
    x = planted.rows_near_the_middle(schema, rows=100, seed=44)
    y = model(x).argmax(1)
    margins, steepness = planted.margins(model, x, y), planted.steepness(model, schema, norm=norm)
    needed = margins / steepness
    near, far = float(needed.quantile(0.3)), float(needed.quantile(0.7))
    answer = attacked(name, norm, planted.view_of(model, x, y, schema, norm=norm, epsilons=(near, far, 2.0)))
    whole = answer.x[2]
    size = distance(whole, x, schema, norm=norm)
    for epsilon, changed in zip((near, far), answer.x, strict=False):
        fits = size <= epsilon
        assert 0.2 < fits.float().mean() < 0.8
        assert torch.equal(changed[fits], whole[fits])
        # On a linear model the way to the boundary is the steepest: what is left is the worst margin there is.
        left = planted.margins(model, changed, y)[~fits]
        expected = (margins - epsilon * steepness)[~fits]
        assert (left - expected).abs().max() < (1e-4 if name == "deepfool" else 0.05 * epsilon * steepness)
        assert (distance(changed, x, schema, norm=norm) <= epsilon * (1 + 1e-4) + 1e-6).all()


@pytest.mark.parametrize(("name", "norm"), ATTACKS)
def test_categories_change_only_at_budgets_that_pay_for_them(name, norm):
    schema = cube(4, one_hot=((0, 1, 2),))
    model = linear([-1.0, 0.0, 3.0, 1.0], -0.5)
    x = torch.tensor([[1.0, 0.0, 0.0, 0.2], [1.0, 0.0, 0.0, 0.2]])
    y = torch.zeros(2, dtype=torch.int64)
    view = planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.3, 1.5))
    answer = attacked(name, norm, view)
    assert torch.equal(answer.x[0][:, :3], x[:, :3])
    # Within .3 the fourth feature takes what it gets, though that does not fool.
    assert answer.x[0][:, 3].tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
    assert torch.equal(answer.x[1][:, :3], torch.eye(3)[[2, 2]])
    assert (model(answer.x[1]).argmax(1) == 1).all()


@pytest.mark.parametrize(("name", "norm"), ATTACKS)
def test_one_search_serves_all_budgets(name, norm):
    model, schema = planted.linear_victim(features=30, seed=45)
    x = planted.rows_near_the_middle(schema, rows=50, seed=45)
    y = model(x).argmax(1)
    counts = []
    for epsilons in ((1e-6,), (1e-6, 2e-6, 3e-6)):
        view = planted.view_of(model, x, y, schema, norm=norm, epsilons=epsilons)
        attacked(name, norm, view)
        counts.append(view.model.queries)
    # Each further budget costs one look at the rows that are left.
    assert counts[1] - counts[0] == 2 * 50


@pytest.mark.parametrize(("name", "norm"), ATTACKS)
def test_misclassified_rows_stay_as_they_are(name, norm):
    model, schema = planted.linear_victim(features=30, seed=46)
    x = planted.rows_near_the_middle(schema, rows=100, seed=46)
    y = torch.arange(100) % 2
    wrong = model(x).argmax(1) != y
    answer = attacked(name, norm, planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.1, 2.0)))
    assert torch.equal(answer.x[:, wrong], x[wrong].expand(2, *x[wrong].shape))
    assert (model(answer.x[1]).argmax(1) != y).all()


class Constant(nn.Module):
    """A network that ignores its input."""

    def forward(self, x):
        """Return the same logits for every row."""
        return torch.tensor([1.0, 0.0]).expand(len(x), 2)


@pytest.mark.parametrize(("name", "norm"), ATTACKS)
def test_a_model_that_ignores_its_input_is_attacked_without_success_and_said_so(name, norm):
    x = torch.rand(10, 2)
    view = planted.view_of(Constant(), x, torch.zeros(10, dtype=torch.int64), cube(2), norm=norm, epsilons=(0.3,))
    answer = attacked(name, norm, view)
    assert torch.equal(answer.x[0], x)
    text = (
        "masked gradients: the gradient of the loss is exactly zero at 10 of the 10 rows that the model classifies "
        f"correctly, so {name} cannot see which way to go there and the robust accuracy may be too high; run an attack "
        "without gradients beside it"
    )
    assert answer.warnings == (text,)


def test_cw_in_another_norm_says_what_to_set():
    x = torch.rand(3, 2)
    view = planted.view_of(Constant(), x, torch.zeros(3, dtype=torch.int64), cube(2), norm="linf", epsilons=(0.3,))
    with pytest.raises(ValueError, match="cw-l2") as caught:
        cw_l2.attack(view, CwL2Params())
    assert str(caught.value) == (
        "cw-l2 looks for small changes in L2, the threat model's norm is linf: set risks.evasion.threat.norm to l2, or "
        "leave this attack out"
    )


@pytest.mark.parametrize(("name", "attack"), [("cw-l2", cw_l2), ("deepfool", deepfool)])
def test_without_gradients_they_say_what_they_need(name, attack):
    x = torch.rand(3, 2)
    view = planted.view_of(None, x, torch.zeros(3, dtype=torch.int64), cube(2), norm="l2", epsilons=(0.3,))
    params = CwL2Params() if name == "cw-l2" else DeepFoolParams()
    with pytest.raises(TypeError, match=rf"^{name} follows gradients: it needs a white-box view of its victim$"):
        attack.attack(view, params)
