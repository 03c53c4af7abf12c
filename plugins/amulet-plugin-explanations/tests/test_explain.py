import pytest
import torch
from amulet_core.components import NoParams
from amulet_core.explanations import Question
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from torch import nn

from amulet_plugin_explanations import checks, explain, nearest_mean
from amulet_plugin_explanations.catalogue import IntegratedGradientsParams, SmoothGradParams
from amulet_plugin_explanations.planted import planted

IMAGES = DataSchema(modality="image", shape=(1, 8, 8), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))
METHODS = [
    (explain.integrated_gradients, IntegratedGradientsParams(steps=5)),
    (explain.deep_lift, NoParams()),
    (explain.smooth_grad, SmoothGradParams(samples=3)),
]


class Bent(nn.Module):
    """A network whose activation is no module."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(64, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x.flatten(1))))


def asked(model, rows=6):
    model = model.eval().requires_grad_(False)
    x = torch.rand(rows, 1, 8, 8)
    return Question(model, x, model(x).argmax(1), IMAGES)


def convolutional():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2))


@pytest.mark.parametrize(("method", "params"), METHODS, ids=["integrated gradients", "DeepLift", "SmoothGrad"])
def test_images_are_explained_pixel_by_pixel_and_wanting_no_gradient(method, params):
    question = asked(convolutional())
    found = method(question, params)
    assert found.shape == question.x.shape
    assert not found.requires_grad
    assert torch.isfinite(found).all()


def drawn(method, question, params):
    with isolated("explanations"):
        return method(question, params)


@pytest.mark.parametrize(("method", "params"), METHODS, ids=["integrated gradients", "DeepLift", "SmoothGrad"])
@pytest.mark.parametrize("row", [0, 4])
def test_a_row_is_explained_as_it_is_among_many(method, params, row):
    question = asked(convolutional())
    one = Question(question.model, question.x[[row]], question.classes[[row]], IMAGES)
    among = drawn(method, question, params)[[row]]
    assert torch.allclose(drawn(method, one, params), among, atol=1e-6)


def test_more_copies_than_are_asked_about_at_once_are_explained_as_fewer(monkeypatch):
    question, params = asked(convolutional()), SmoothGradParams(samples=7)
    at_once = drawn(explain.smooth_grad, question, params)
    monkeypatch.setattr(explain, "_ROWS", 20)
    assert torch.allclose(drawn(explain.smooth_grad, question, params), at_once, atol=1e-6)


def test_deep_lift_refuses_activations_that_it_cannot_reach():
    with pytest.raises(ValueError, match=r"^the contributions differ by up to ") as error:
        explain.deep_lift(asked(Bent()), NoParams())
    assert str(error.value).endswith(
        "from the change of the logit that they are to explain: the model has activations that are no modules of their "
        "own, or of a kind that DeepLift has no rule for"
    )


def test_what_is_released_beside_explanations_is_unchanged():
    probabilities = torch.softmax(torch.randn(5, 3), 1)
    assert torch.equal(explain.unchanged(probabilities, NoParams()), probabilities)


def test_the_baseline_is_the_possible_input_nearest_to_zero():
    schema = DataSchema(
        modality="tabular",
        shape=(3,),
        classes=("a", "b"),
        feasible=Feasible(low=(-1.0, 2.0, -4.0), high=(1.0, 3.0, -2.0)),
    )
    question = Question(nn.Linear(3, 2), torch.zeros(2, 3), torch.zeros(2).long(), schema)
    assert explain.baseline(question).tolist() == [[0.0, 2.0, -2.0]] * 2


def test_own_models_that_explain_nothing_leave_predictions_alone_to_read_and_a_warning():
    game = planted(0.5, twins=True, undefended=True)
    answer = nearest_mean.released_outputs(game.view, NoParams())
    assert answer.warnings == (
        "the victims release attributions, and the adversary's own models none: it read predictions alone",
    )
    checks.at_chance(nearest_mean.released_outputs, game)
    assert nearest_mean.released_outputs(planted(0.5, twins=True).view, NoParams()).warnings == ()


def test_own_models_that_are_all_alike_tell_nothing_and_break_nothing():
    released = torch.ones(6, 4, dtype=torch.float64)
    known = nearest_mean.means(released, torch.arange(6) >= 3)
    assert (known.way.tolist(), known.spread) == ([0.0] * 4, 0.0)


def test_the_means_of_a_small_case_are_those_worked_out_by_hand():
    released = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 3.0], [4.0, 5.0]], dtype=torch.float64)
    known = nearest_mean.means(released, torch.tensor([False, False, True, True]))
    assert known.middle.tolist() == [2.5, 2.0]
    assert known.way.tolist() == [3.0, 4.0]
    assert known.spread == 1.0


def test_attributions_of_rows_put_into_different_classes_are_in_the_same_terms():
    """For two classes, an attribution against one is as much for the other."""
    view = planted(0.0, twins=True, victims=2).view
    (victim, *_), x = view.victims, view.x[0]
    found, labels, raw = nearest_mean.contributions(victim, x), victim.labels(x), victim.attributions(x).double()
    assert 0 < labels.sum() < len(labels)
    for row, label in enumerate(labels.tolist()):
        assert torch.equal(found[row, label], raw[row] / 2)
        assert torch.equal(found[row, 1 - label], -raw[row] / 2)


def test_a_check_tells_an_attack_without_power_and_one_that_leaks():
    with pytest.raises(AssertionError, match=r"^\d+ of 120 victims were called rightly$"):
        checks.has_power(nearest_mean.attributions, planted(0.0, twins=True))
    with pytest.raises(AssertionError, match=r"^\d+ of 120 victims were called rightly$"):
        checks.at_chance(nearest_mean.attributions, planted(0.5, twins=True))
