"""Adaptive descent: its algorithm row by row, closed forms, its losses against brute force, and what it leaves alone."""

import math

import pytest
import torch
from torch import nn

from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.victims import ProbabilityOracle
from amulet_plugins_builtin.catalogue.evasion_attacks import ApgdParams
from amulet_plugins_builtin.evasion import apgd, planted
from amulet_plugins_builtin.evasion.found import task_of, unchanged
from amulet_plugins_builtin.evasion.losses import dlr, margin, targeted_dlr


def attacked(view, params, seed=0):
    with isolated("test", seed):
        return apgd.attack(view, params)


def cube(width, classes, **structure):
    return DataSchema(
        modality="tabular",
        shape=(width,),
        classes=tuple(f"class {i}" for i in range(classes)),
        feasible=Feasible(low=0.0, high=1.0, **structure),
    )


def network(classes, width=6, seed=0):
    with isolated("network", seed):
        model = nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, classes)).requires_grad_(False)
        model[0].weight *= 6
        # All classes meet near the middle of the cube.
        model[0].bias.copy_(-model[0].weight @ torch.full((width,), 0.5))
        model[2].bias.zero_()
    return model


@pytest.mark.parametrize("loss", ["ce", "dlr", "targeted-dlr"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_model_loses_exactly_the_dual_norm(norm, loss):
    model, schema = planted.linear_victim(features=30, seed=31)
    x = planted.rows_near_the_middle(schema, rows=50, seed=31)
    y = torch.arange(50) % 2
    view = planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.01, 0.1))
    answer = attacked(view, ApgdParams(loss=loss, early_stop=False))
    for epsilon, changed in zip((0.01, 0.1), answer.x, strict=True):
        expected = planted.margins(model, x, y) - epsilon * planted.steepness(model, schema, norm=norm)
        torch.testing.assert_close(planted.margins(model, changed, y), expected, rtol=0, atol=1e-5)


def test_the_checkpoints_are_those_of_the_paper():
    marks = [check for _, check in apgd._checkpoints(100) if check <= 100]
    assert marks == [22, 41, 57, 70, 80, 87, 93, 99]
    assert [previous for previous, _ in apgd._checkpoints(100)][:4] == [0, 22, 41, 57]


def by_the_book(loss, x, start, epsilon, steps):
    """Algorithm 1 of the paper for one row in linf without bounds; returns the best point, and where steps halved."""

    def value_and_gradient(at):
        at = at.clone().requires_grad_()
        value = loss(at)
        (gradient,) = torch.autograd.grad(value, at)
        return value.detach(), gradient

    def inside(at):
        return torch.minimum(torch.maximum(at, x - epsilon), x + epsilon)

    places = [0, 0.22]
    while places[-1] <= 1:
        places.append(places[-1] + max(places[-1] - places[-2] - 0.03, 0.06))
    marks = [math.ceil(round(place * steps, 6)) for place in places]
    points, values, best, halved_at = [start], [value_and_gradient(start)[0]], [], []
    best.append((values[0], start))
    size, sizes, halved, checked = 2 * epsilon, [], False, 0
    for k in range(steps):
        _, gradient = value_and_gradient(points[-1])
        z = inside(points[-1] + size * gradient.sign())
        new = z if k == 0 else inside(points[-1] + 0.75 * (z - points[-1]) + 0.25 * (points[-1] - points[-2]))
        value = value_and_gradient(new)[0]
        sizes.append(value > values[-1])
        best.append(max(best[-1], (value, new), key=lambda pair: float(pair[0])))
        points.append(new)
        values.append(value)
        if k + 1 in marks:
            last = checked
            rare = sum(sizes[last : k + 1]) < 0.75 * (k + 1 - last)
            stuck = not halved and best[k + 1][0] == best[last][0]
            halved, checked = bool(rare or stuck), k + 1
            if halved:
                halved_at.append(k + 1)
                size /= 2
                values[-1], points[-1] = best[-1]
    return best[-1], halved_at


@pytest.mark.parametrize("seed", range(4))
def test_the_climb_is_that_of_the_paper_row_by_row(seed):
    schema = DataSchema(
        modality="tabular", shape=(6,), classes=("a", "b", "c"), feasible=Feasible(low=-50.0, high=50.0)
    )
    # Weights that bend the loss within the budget, so that steps must be halved.
    with isolated("bent", seed):
        model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).double().requires_grad_(False)
        model[0].weight *= 8
        x, noise = torch.randn(5, 6, dtype=torch.float64), torch.rand(5, 6, dtype=torch.float64) * 2 - 1
    y = torch.arange(5) % 3
    view = planted.view_of(model, x.float(), y, schema, norm="linf", epsilons=(0.01,))
    task = task_of(view.model_copy(update={"x": x}), epsilon=0.01)
    seen = []

    def watched(at):
        seen.append(at.detach().clone())
        return model(at)

    apgd._climbed(
        watched,
        task,
        unchanged(model, x, y),
        x + noise,
        climb=apgd.Climb(margin, 40, early_stop=False),
        target=y,
    )
    halvings = []
    for row in range(5):
        own = y[row : row + 1]
        (value, _), halved = by_the_book(
            lambda at, own=own: margin(model(at[None]), own, own)[0], x[row], (x + noise)[row], 1.0, 40
        )
        halvings += halved
        # The network is asked at every point of the climb, so its best point is among them.
        reached = torch.stack([margin(model(at[row : row + 1]), own, own)[0] for at in seen]).max()
        torch.testing.assert_close(reached, value, rtol=0, atol=1e-5)
    assert len(set(halvings)) > 1


def test_a_row_that_rose_too_rarely_or_not_at_all_returns_to_its_best_point_with_half_the_steps():
    def state(**changes):
        zero = torch.zeros(1)
        values = {"at": torch.ones(1, 2), "top": torch.full((1, 2), 5.0), "size": zero + 2, "top_value": zero + 1}
        base = apgd._State(
            torch.arange(1), values["at"], values["at"], values["at"], zero, values["top"], values["top"],
            values["top_value"], values["size"], zero, zero, zero > 0,
        )  # fmt: skip
        return base._replace(**{name: torch.tensor([value]) for name, value in changes.items()})

    cases = [
        ({"risen": 7.0, "mark": 0.5, "halved": False}, True),
        ({"risen": 8.0, "mark": 0.5, "halved": False}, False),
        ({"risen": 8.0, "mark": 1.0, "halved": False}, True),
        ({"risen": 8.0, "mark": 1.0, "halved": True}, False),
    ]
    for changes, halves in cases:
        after = apgd._checked(state(**changes), stretch=10)
        assert after.size.item() == (1 if halves else 2)
        assert after.at.tolist() == ([[5.0, 5.0]] if halves else [[1.0, 1.0]])
        assert after.halved.item() is halves
        assert after.risen.item() == 0
        assert after.mark.item() == 1


@pytest.mark.parametrize(
    ("classes", "loss", "share"),
    # The ratio of three classes has maxima of its own that no climb leaves.
    [(2, "ce", 0.99), (2, "dlr", 0.99), (3, "dlr", 0.9), (3, "targeted-dlr", 0.99), (4, "targeted-dlr", 0.99)],
)
def test_every_loss_finds_what_brute_force_finds(classes, loss, share):
    model, schema = network(classes, width=2), cube(2, classes)
    x = torch.rand(200, 2, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    steps = torch.linspace(-0.15, 0.15, 31)
    grid = torch.cartesian_prod(steps, steps)
    around = (x[:, None] + grid).clamp(0, 1)
    weak = (model(around).argmax(-1) != y[:, None]).any(1)
    assert 0.1 < weak.float().mean() < 0.9
    view = planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.15,))
    changed = attacked(view, ApgdParams(loss=loss, targets=3, restarts=5)).x[0]
    fooled = model(changed).argmax(1) != y
    assert fooled[weak].float().mean() > share


def test_a_targeted_climb_reaches_the_best_target_of_brute_force():
    model, schema = network(5, width=2, seed=3), cube(2, 5)
    x = torch.rand(60, 2, generator=torch.Generator().manual_seed(2))
    y = model(x).argmax(1)
    view = planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.1,))
    task = task_of(view, epsilon=0.1)
    steps = torch.linspace(-0.1, 0.1, 41)
    around = (x[:, None] + torch.cartesian_prod(steps, steps)).clamp(0, 1)
    targets = apgd.likeliest(model(x), y, count=9)
    assert targets.shape == (60, 4)
    for target in targets.unbind(1):
        seen = []

        def watched(at, seen=seen):
            seen.append(at.detach().clone())
            return model(at)

        with isolated("targets"):
            apgd.apgd(
                watched,
                task,
                unchanged(model, x, y),
                climb=apgd.Climb(targeted_dlr, 50, restarts=5, early_stop=False),
                targets=target[:, None],
            )
        reached = torch.stack([targeted_dlr(model(at), y, target) for at in seen if len(at) == 60]).amax(0)
        flat = model(around).flatten(0, 1)
        brute = targeted_dlr(flat, y.repeat_interleave(1681), target.repeat_interleave(1681)).reshape(60, 1681).amax(1)
        assert (reached >= brute - 1e-3).float().mean() > 0.9


def test_the_likeliest_wrong_classes_come_first_and_never_the_true_one():
    scores = torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 6.0]])
    assert apgd.likeliest(scores, torch.tensor([1, 0]), count=9).tolist() == [[2, 0], [2, 1]]
    assert apgd.likeliest(scores, torch.tensor([1, 0]), count=1).tolist() == [[2], [2]]


def test_three_classes_have_their_own_ratio_and_not_the_fallback():
    # Where the scale of the logits differs between points, the ratio prefers another point than the margin.
    logits = torch.tensor([[3.0, 2.0, -8.0], [3.0, 2.5, 2.4]])
    y = torch.tensor([0, 0])
    assert (dlr(logits, y, y).argmax(), margin(logits, y, y).argmax()) == (0, 1)


def test_misclassified_rows_and_rows_fooled_at_a_smaller_budget_stay_as_they_are():
    model, schema = planted.linear_victim(features=30, seed=33)
    x = planted.rows_near_the_middle(schema, rows=200, seed=33)
    y = torch.arange(200) % 2
    wrong = model(x).argmax(1) != y
    steepness = planted.steepness(model, schema, norm="linf")
    near, far = (float(planted.margins(model, x, y)[~wrong].quantile(q)) / steepness for q in (0.3, 0.7))
    answer = attacked(planted.view_of(model, x, y, schema, norm="linf", epsilons=(near, far)), ApgdParams())
    fooled = torch.stack([model(changed).argmax(1) != y for changed in answer.x])
    assert torch.equal(answer.x[0][wrong], x[wrong])
    assert torch.equal(answer.x[1][fooled[0]], answer.x[0][fooled[0]])
    assert fooled[:, ~wrong].float().mean(1).tolist() == pytest.approx([0.3, 0.7], abs=0.02)


class Rounded(nn.Module):
    """A network without gradients."""

    def forward(self, x):
        """Return logits that follow whole parts."""
        lead = (10 * x[:, 0]).round() / 10
        return torch.stack([torch.ones(len(x)), lead], 1)


def test_masked_gradients_are_reported():
    view = planted.view_of(
        Rounded(), torch.full((10, 2), 0.5), torch.zeros(10, dtype=torch.int64), cube(2, 2), norm="l2", epsilons=(0.1,)
    )
    text = (
        "masked gradients: the gradient of the loss is exactly zero at 10 of the 10 rows that the model classifies "
        "correctly, so apgd cannot see which way to go there and the robust accuracy may be too high; run an attack "
        "without gradients beside it"
    )
    assert attacked(view, ApgdParams(steps=5)).warnings == (text,)
    assert attacked(view, ApgdParams(steps=5, masked_share=1.0)).warnings == ()


def test_without_gradients_it_says_what_it_needs():
    view = planted.view_of(
        None, torch.rand(3, 2), torch.zeros(3, dtype=torch.int64), cube(2, 2), norm="linf", epsilons=(0.1,)
    )
    view = view.model_copy(update={"model": ProbabilityOracle(nn.Linear(2, 2))})
    with pytest.raises(TypeError, match=r"^apgd follows gradients: it needs a white-box view of its victim$"):
        apgd.attack(view, ApgdParams())
