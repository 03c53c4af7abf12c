"""The checks that architectures ship: each fails on an architecture that is broken in the way it looks for."""

from functools import partial

import pytest
import torch
from torch import nn

from amulet_core.components import NoParams
from amulet_core.discovery.registry import discover
from amulet_core.testing import shipped_checks
from amulet_plugins_builtin.catalogue.models import CapacityParams
from amulet_plugins_builtin.models import checks, estimator, estimator_answers, logistic, mlp, resnet

MODELS = ("mlp", "cnn", "resnet", "vgg", "logistic", "sklearn")


class Blind(nn.Module):
    """A model that answers without looking."""

    def __init__(self, schema):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(len(schema.classes)))

    def forward(self, x):
        return self.bias.expand(*x.shape[:-3], -1)


def blind(params, schema):
    return Blind(schema)


def linear(params, schema):
    return logistic.build(NoParams(), schema)


def always_small(params, schema):
    return mlp.build(CapacityParams(), schema)


def through_the_origin(params, schema):
    model = logistic.build(params, schema)
    model.head.bias.requires_grad_(False).zero_()
    return model


BROKEN = {
    "a blind model learns nothing": (
        partial(checks.learns_the_planted, blind, checks.IMAGE),
        "accuracy on other rows is 0.250, expected more than 0.9",
    ),
    "a linear model of few features memorises no noise": (
        partial(checks.memorises_random_labels, linear, (4,)),
        "accuracy on the training rows is ",
    ),
    "one size for all capacities": (
        partial(checks.capacities_ascend, always_small),
        "the numbers of parameters are [74756, 74756, 74756, 74756], expected ascending ones",
    ),
    "a logistic regression without intercept": (
        partial(checks.optimum_is_scikit_learns, through_the_origin),
        "its probabilities are off by ",
    ),
    "a logistic regression that is none": (
        partial(checks.fails_at_exclusive_or, always_small),
        "accuracy is ",
    ),
}


@pytest.mark.parametrize(("check", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_architecture_fails_its_check(check, message):
    with pytest.raises(AssertionError) as error:
        check()
    assert str(error.value).startswith(message)


def test_an_estimator_that_answers_otherwise_than_scikit_learn_fails(monkeypatch):
    answers = dict(estimator_answers.ANSWERS)
    own = answers["knn"]
    answers["knn"] = lambda tensors, x: own(tensors, x) * 1.1
    monkeypatch.setattr(estimator, "ANSWERS", answers)
    with pytest.raises(AssertionError) as error:
        checks.answers_as_scikit_learn("knn")
    assert str(error.value).startswith("its probabilities are off by ")
    checks.answers_as_scikit_learn("random-forest")


def test_an_estimator_that_keeps_something_beside_its_tensors_fails(monkeypatch):
    class Secretive(estimator.Estimator):
        secret = 1.0

        def learn(self, data, val):
            self.secret = 2.0
            return super().learn(data, val)

        def forward(self, x):
            return self.secret * super().forward(x)

    monkeypatch.setattr(checks.planted, "build", Secretive)
    monkeypatch.setattr(checks, "build_estimator", Secretive)
    with pytest.raises(AssertionError) as error:
        checks.is_its_tensors("knn")
    assert str(error.value) == "a twin with the same tensors gives other logits, expected equal bits"


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_ships_checks(name):
    names = [check.name for check in shipped_checks(discover(select="").find("model", name))]
    assert len(names) == len(set(names)) >= 2


def test_capacities_are_counted_without_memory():
    checks.capacities_ascend(resnet.build)
