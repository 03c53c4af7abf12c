"""What the attacks climb: the ratios by their formulas, what takes their place with few classes, and gradients in parts."""

import pytest
import torch
from torch import nn

from amulet_plugins_builtin.evasion import losses
from amulet_plugins_builtin.evasion.losses import ce, dlr, loss_named, margin, slope, targeted_dlr, towards

LOGITS = torch.tensor([[4.0, 1.0, 2.5, -1.0], [0.0, 3.0, 1.0, 2.0]])


def test_the_ratio_follows_its_formula():
    # Rows sorted: 4, 2.5, 1, -1 and 3, 2, 1, 0.
    found = dlr(LOGITS, torch.tensor([0, 3]), torch.tensor([0, 3]))
    torch.testing.assert_close(found, torch.tensor([-(4 - 2.5) / (4 - 1.0), -(2 - 3.0) / (3 - 1.0)]))


def test_the_targeted_ratio_follows_its_formula():
    found = targeted_dlr(LOGITS, torch.tensor([0, 3]), torch.tensor([3, 1]))
    torch.testing.assert_close(
        found, torch.tensor([-(4 - -1.0) / (4 - (1 - 1.0) / 2), -(2 - 3.0) / (3 - (1 + 0.0) / 2)])
    )


@pytest.mark.parametrize("loss", [dlr, targeted_dlr])
def test_the_ratios_do_not_change_with_the_scale_or_the_level_of_the_logits(loss):
    y, target = torch.tensor([0, 3]), torch.tensor([2, 0])
    torch.testing.assert_close(loss(1000 * LOGITS + 7, y, target), loss(LOGITS, y, target))


@pytest.mark.parametrize("loss", [dlr, targeted_dlr])
def test_equal_logits_have_a_ratio_and_a_gradient(loss):
    logits = torch.zeros(2, 5, requires_grad=True)
    value = loss(logits, torch.tensor([0, 1]), torch.tensor([1, 2]))
    value.sum().backward()
    assert value.tolist() == [0, 0]
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [
        ("ce", 2, ce),
        ("margin", 2, margin),
        ("dlr", 2, margin),
        ("dlr", 3, dlr),
        ("targeted-dlr", 2, towards),
        ("targeted-dlr", 3, towards),
        ("targeted-dlr", 4, targeted_dlr),
    ],
)
def test_too_few_classes_for_a_scale_leave_the_difference_of_two_logits(name, classes, expected):
    loss = loss_named(name, classes=classes)
    assert loss is expected
    logits, y = torch.randn(6, classes), torch.arange(6) % classes
    assert loss(logits, y, (y + 1) % classes).shape == (6,)


def test_a_slope_in_parts_is_that_of_the_whole(monkeypatch):
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4))
    x, y, target = torch.randn(50, 3), torch.arange(50) % 4, (torch.arange(50) + 1) % 4
    whole = slope(model, x, y, loss=targeted_dlr, target=target)
    monkeypatch.setattr(losses, "rows_at_once", lambda x: 7)
    parts = slope(model, x, y, loss=targeted_dlr, target=target)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other)
    row = x[3:4].clone().requires_grad_()
    (own,) = torch.autograd.grad(targeted_dlr(model(row), y[3:4], target[3:4]).sum(), row)
    torch.testing.assert_close(whole.gradient[3:4], own)


def test_wide_rows_are_given_to_a_network_a_few_at_once():
    asked = []

    def network(x):
        asked.append(len(x))
        return x.flatten(1)[:, :2] * 1.0

    x = torch.rand(300, 3, 64, 64)
    slope(network, x, torch.zeros(300, dtype=torch.int64), loss=margin, target=torch.zeros(300, dtype=torch.int64))
    losses.without_gradients(network)(x)
    assert sum(asked) == 600
    assert max(asked) == 32
