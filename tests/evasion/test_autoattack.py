"""The sequence on survivors, what each attack of it adds, and every sign that a model hides instead of withstanding."""

import pytest
import torch
from torch import nn

from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.victims import ProbabilityOracle
from amulet_plugins_builtin.catalogue.evasion_attacks import ApgdParams, AutoAttackParams, SquareParams
from amulet_plugins_builtin.evasion import apgd, autoattack, planted, square, suspicions

FAST = AutoAttackParams(steps=10, queries=200)


def attacked(view, params=FAST, seed=0):
    with isolated("test", seed):
        return autoattack.attack(view, params)


def schema(width):
    return DataSchema(modality="tabular", shape=(width,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=1.0))


def rows(n, width, seed=1):
    return torch.rand(n, width, generator=torch.Generator().manual_seed(seed))


class Linear(nn.Module):
    """A linear model of the mean of a row."""

    def forward(self, x):
        """Return logits of which the second leads beyond .5."""
        return torch.stack([torch.zeros(len(x)), 20 * (x.mean(1) - 0.5)], 1)


class Stepped(Linear):
    """The same behind an input rounded to 32nds."""

    def forward(self, x):
        """Return logits without gradients."""
        return super().forward((x * 32).round() / 32)


def test_random_search_beats_masked_gradients_and_autoattack_says_so():
    x = rows(100, 8) * 0.2 + 0.4
    y = Stepped()(x).argmax(1)
    view = planted.view_of(Stepped(), x, y, schema(8), norm="linf", epsilons=(0.02, 0.1))
    with isolated("square"):
        found = square.attack(view, SquareParams(queries=200)).x[1]
    with isolated("apgd"):
        climbed = apgd.attack(view, ApgdParams(steps=10)).x[1]
    by_search, by_gradient = ((Stepped()(changed).argmax(1) != y).float().mean() for changed in (found, climbed))
    assert by_gradient < 0.5
    assert by_search > 0.9
    answer = attacked(view)
    zero, black = answer.warnings
    assert zero == (
        "masked gradients: the gradient of the loss is exactly zero at 100 of the 100 rows that the model classifies "
        "correctly, so autoattack cannot see which way to go there and the robust accuracy may be too high; run an "
        "attack without gradients beside it"
    )
    assert black.startswith("masked gradients: at budget 0.02 random search without gradients fools ")
    assert (Stepped()(answer.x[1]).argmax(1) != y).float().mean() > 0.9


def test_an_honest_model_gives_no_warning():
    x = rows(100, 8) * 0.2 + 0.4
    view = planted.view_of(Linear(), x, Linear()(x).argmax(1), schema(8), norm="l2", epsilons=(0.02, 0.1))
    assert attacked(view).warnings == ()


def test_each_attack_gets_what_withstood_those_before_it(monkeypatch):
    x = rows(40, 8) * 0.2 + 0.4
    y = Linear()(x).argmax(1)
    calls = []

    def climbs(logits, task, found, *, climb, targets):
        calls.append((climb.loss.__name__, climb.steps, targets.shape[1], int(found.fooled.sum())))
        return fool(found, 4)

    def searches(ask, task, found, *, queries, share):
        calls.append(("square", queries, share, int(found.fooled.sum())))
        return fool(found, 3)

    def fool(found, more):
        rows = (~found.fooled).nonzero()[:more, 0]
        return found._replace(fooled=found.fooled.index_fill(0, rows, True))

    monkeypatch.setattr(autoattack, "apgd", climbs)
    monkeypatch.setattr(autoattack, "square", searches)
    view = planted.view_of(Linear(), x, y, schema(8), norm="linf", epsilons=(0.01, 0.02))
    answer = attacked(view)
    assert calls == [
        ("ce", 10, 1, 0),
        ("towards", 10, 1, 4),
        ("square", 200, 0.8, 8),
        ("ce", 20, 1, 11),
        ("ce", 10, 1, 15),
        ("towards", 10, 1, 19),
        ("square", 200, 0.8, 23),
        ("ce", 20, 1, 26),
    ]
    assert answer.warnings == (
        "masked gradients: at budget 0.01 random search without gradients fools 3 of 40 rows that withstood every "
        "attack with gradients, so these are hindered and the robust accuracy may be too high; give random search more "
        "queries, or attack with knowledge of the defense",
        "too few steps: at budget 0.01 a climb of 20 steps fools 4 of 40 rows that withstood the whole sequence with "
        "10, so the robust accuracy may still be too high; set steps higher",
    )
    calls.clear()
    assert attacked(view, FAST.model_copy(update={"tolerated_share": 0.1})).warnings == ()


@pytest.mark.parametrize(("more", "warned"), [(1, False), (2, True)])
def test_a_share_of_the_rows_may_fall_late_without_a_warning(more, warned):
    for found in (
        suspicions.black_box_wins(more, 100, epsilon=0.1, share=0.01),
        suspicions.more_steps_help(more, 100, epsilon=0.1, steps=5, share=0.01),
    ):
        assert bool(found) is warned


class Noisy(Linear):
    """A model that adds noise to its logits."""

    def forward(self, x):
        """Return logits that differ from call to call."""
        return super().forward(x) + torch.rand(len(x), 2)


def test_random_outputs_are_reported():
    x = rows(100, 8)
    view = planted.view_of(Noisy(), x, Linear()(x).argmax(1), schema(8), norm="linf", epsilons=(0.01,))
    found = attacked(view).warnings[0]
    assert found.startswith("random outputs: asked twice about the same 100 rows, the model's logits differ by up to ")
    assert found.endswith(
        " rows; autoattack takes each answer as it comes, so the robust accuracy says little: attack such a model in "
        "expectation"
    )


def test_outputs_that_are_probabilities_are_reported():
    x = rows(50, 8)
    text = (
        "outputs are probabilities: every row of the model's outputs is positive and sums to 1, as if a softmax came "
        "last; where it saturates there is no gradient and the robust accuracy may be too high: attack the model "
        "beneath, which gives logits"
    )
    soft = nn.Sequential(Linear(), nn.Softmax(1))
    view = planted.view_of(soft, x, soft(x).argmax(1), schema(8), norm="linf", epsilons=(0.01,))
    assert attacked(view).warnings == (text,)
    assert suspicions.outputs_that_are_probabilities(Linear()(x)) == ()


class Purifying(Linear):
    """A model that changes its input by a gradient of its own before it predicts."""

    def forward(self, x):
        """Return the logits a step away from the boundary."""
        with torch.enable_grad():
            at = x.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(super().forward(at)[:, 1].abs().sum(), at)
        return super().forward(x + 0.01 * gradient)


class Transformed(Linear):
    """The same by a functional transform."""

    def forward(self, x):
        """Return the logits a step away from the boundary."""
        gradient = torch.func.grad(lambda at: Linear.forward(self, at)[:, 1].abs().sum())(x)
        return super().forward(x + 0.01 * gradient)


class Broken(Linear):
    """A model that fails by its own mistake."""

    def forward(self, x):
        """Raise."""
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize("model", [Purifying(), Transformed()])
def test_gradients_at_inference_are_reported(model):
    text = (
        "gradients at inference: the model computes gradients while it predicts, as a defense that optimises its input "
        "does; autoattack follows only part of that, so the robust accuracy may be too high: attack such a defense "
        "with knowledge of it"
    )
    assert suspicions.gradients_at_inference(model, rows(5, 8)) == (text,)


def test_a_model_that_optimises_its_input_is_reported_by_the_attack():
    x = rows(20, 8)
    view = planted.view_of(Purifying(), x, Linear()(x).argmax(1), schema(8), norm="linf", epsilons=(0.001,))
    assert [text.partition(":")[0] for text in attacked(view).warnings] == ["gradients at inference"]


def test_labels_that_change_are_random_outputs_however_close_the_logits():
    answers = iter([torch.tensor([[0.0, 1e-7]]), torch.tensor([[1e-7, 0.0]])])
    (text,) = suspicions.random_outputs(lambda x: next(answers), rows(1, 8))
    assert text == (
        "random outputs: asked twice about the same 1 rows, the model's logits differ by up to 1e-07 and its label for "
        "1 rows; autoattack takes each answer as it comes, so the robust accuracy says little: attack such a model in "
        "expectation"
    )


def test_a_model_that_only_predicts_or_fails_is_not_taken_for_one_that_optimises():
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    assert suspicions.gradients_at_inference(network, rows(5, 8)) == ()
    with pytest.raises(RuntimeError, match=r"^shapes do not fit$"):
        suspicions.gradients_at_inference(Broken(), rows(5, 8))


def test_without_gradients_it_says_what_it_needs():
    view = planted.view_of(None, rows(3, 2), torch.zeros(3, dtype=torch.int64), schema(2), norm="linf", epsilons=(0.1,))
    view = view.model_copy(update={"model": ProbabilityOracle(nn.Linear(2, 2))})
    with pytest.raises(TypeError, match=r"^autoattack follows gradients: it needs a white-box view of its victim$"):
        autoattack.attack(view, FAST)
