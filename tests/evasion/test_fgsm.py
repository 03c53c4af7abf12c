"""The fast gradient method: one step, the closed form, and what it leaves alone."""

import pytest
import torch

from amulet_core.victims import ProbabilityOracle
from amulet_plugins_builtin.catalogue.evasion_attacks import FgsmParams
from amulet_plugins_builtin.evasion import fgsm, planted


@pytest.mark.parametrize("loss", ["ce", "margin"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_one_step_costs_a_linear_model_exactly_the_dual_norm(norm, loss):
    model, schema = planted.linear_victim(features=30, seed=21)
    x = planted.rows_near_the_middle(schema, rows=50, seed=21)
    y = torch.arange(50) % 2
    view = planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.01, 0.1))
    answer = fgsm.attack(view, FgsmParams(loss=loss, early_stop=False))
    for epsilon, changed in zip((0.01, 0.1), answer.x, strict=True):
        expected = planted.margins(model, x, y) - epsilon * planted.steepness(model, schema, norm=norm)
        torch.testing.assert_close(planted.margins(model, changed, y), expected, rtol=0, atol=1e-5)


def test_it_takes_one_gradient_at_each_budget_and_only_of_rows_that_are_not_fooled():
    model, schema = planted.linear_victim(features=30, seed=22)
    x = planted.rows_near_the_middle(schema, rows=100, seed=22)
    y = model(x).argmax(1)
    y[:40] = 1 - y[:40]
    view = planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.1, 0.2))
    answer = fgsm.attack(view, FgsmParams())
    # The rows as they are; the 60 correct ones for the warning, the gradient and the look, all fooled at once.
    assert view.model.queries == 100 + 3 * 60
    assert torch.equal(answer.x[0][:40], x[:40])
    assert torch.equal(answer.x[1], answer.x[0])


def test_without_gradients_it_says_what_it_needs():
    model, schema = planted.linear_victim(features=3, seed=1)
    x = planted.rows_near_the_middle(schema, rows=3, seed=1)
    view = planted.view_of(None, x, torch.zeros(3, dtype=torch.int64), schema, norm="linf", epsilons=(0.1,))
    view = view.model_copy(update={"model": ProbabilityOracle(model)})
    with pytest.raises(TypeError, match=r"^fgsm follows gradients: it needs a white-box view of its victim$"):
        fgsm.attack(view, FgsmParams())
