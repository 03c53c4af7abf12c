"""Classifiers of scikit-learn as modules: they answer as scikit-learn does, from tensors alone, and train themselves."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load, save

from amulet_core.data import make_data
from amulet_core.training.values import Streams, Training
from amulet_core.victims import LabelOracle, logits_of
from amulet_plugins_builtin.catalogue.more_models import SklearnParams
from amulet_plugins_builtin.models.estimator import build
from amulet_plugins_builtin.models.planted import blobs as rows
from amulet_plugins_builtin.models.planted import fitted, probabilities, schema, scikit_learns
from amulet_plugins_builtin.models.planted import itself as training
from amulet_plugins_builtin.models.planted import small as params

ESTIMATORS = ("random-forest", "gradient-boosting", "logistic-regression", "svm-rbf", "knn")


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_probabilities_are_scikit_learns(estimator: str, classes: int) -> None:
    given, data, asked = params(estimator), rows(classes), rows(classes, seed=1)
    expected = scikit_learns(given, data, asked)
    assert np.allclose(probabilities(fitted(given, data), asked), expected, atol=1e-6)
    assert expected.std() > 0.05


@pytest.mark.parametrize("estimator", [one for one in ESTIMATORS if one != "knn"])
def test_the_weights_of_the_rows_count(estimator: str) -> None:
    data, asked = rows(), rows(seed=1)
    weighted = replace(data, w=torch.rand(len(data), generator=torch.Generator().manual_seed(2)))
    found = probabilities(fitted(params(estimator), weighted), asked)
    assert np.allclose(found, scikit_learns(params(estimator), weighted, asked), atol=1e-6)
    assert not np.allclose(found, probabilities(fitted(params(estimator), data), asked), atol=1e-3)


def test_a_neighbour_votes_with_its_weight_and_one_without_weight_has_no_vote() -> None:
    x = torch.tensor([0.0, 1.0, 2.0, 4.0])[:, None].repeat(1, 4)
    data = make_data(x, torch.tensor([0, 1, 1, 2]), schema())
    weighted = replace(data, w=torch.tensor([3.0, 1.0, 0.0, 4.0]))
    given = SklearnParams(estimator="knn", neighbours=2)
    near_0, near_4 = probabilities(fitted(given, weighted), data.take(torch.tensor([0, 3])))
    assert np.allclose(near_0, [3 / 4, 1 / 4, 0])
    assert np.allclose(near_4, [0, 1 / 5, 4 / 5])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_images_are_flattened(estimator: str) -> None:
    flat, image = rows(shape=(8,)), rows(shape=(2, 2, 2))
    same = [probabilities(fitted(params(estimator), data), data) for data in (flat, image)]
    assert np.array_equal(*same)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_class_that_no_row_had_is_never_predicted(estimator: str) -> None:
    data, asked = rows(), rows(seed=1)
    without = data.take(data.y != 1)
    found = probabilities(fitted(params(estimator), without), asked)
    assert (found[:, 1] < 1e-30).all()
    assert np.allclose(found[:, [0, 2]], scikit_learns(params(estimator), without, asked), atol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_model_is_its_tensors(estimator: str) -> None:
    """What a cache keeps: a twin given the tensors, through safetensors, answers bit by bit; and again with others."""
    asked = rows(seed=1)
    models = [fitted(params(estimator), rows(n=n)).model for n in (120, 90)]
    twin = build(params(estimator), asked.schema)
    for model in models:
        twin.load_state_dict(load(save(model.state_dict())))
        assert torch.equal(logits_of(twin, asked.x), logits_of(model, asked.x))
        assert torch.equal(logits_of(copy.deepcopy(twin), asked.x), logits_of(model, asked.x))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_tensors_of_another_architecture_are_refused(estimator: str) -> None:
    state = fitted(params(estimator), rows()).model.state_dict()
    with pytest.raises(RuntimeError, match=r"size mismatch for normalise\.low"):
        build(params(estimator), schema(shape=(7,))).load_state_dict(state)


@pytest.mark.parametrize("estimator", ["random-forest", "gradient-boosting"])
def test_the_same_stream_gives_the_same_bits_and_another_stream_other_trees(estimator: str) -> None:
    # Boosting draws only where features tie: here one feature stands there twice.
    data = rows()
    data = replace(data, x=data.x.index_select(1, torch.tensor([0, 0, 1, 1])))
    given = params(estimator)
    one, again, other = (fitted(given, data, "test", place).model.state_dict() for place in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(one[name].shape != other[name].shape or not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_nothing_of_scikit_learn_stays_in_the_model(estimator: str) -> None:
    model = fitted(params(estimator), rows()).model
    for part in model.modules():
        for value in vars(part).values():
            assert not type(value).__module__.startswith("sklearn")
    assert not list(model.parameters())
    assert not model.training


def test_before_it_is_fitted_a_classifier_knows_nothing() -> None:
    assert torch.equal(logits_of(build(params("knn"), schema()), rows().x), torch.zeros(120, 3))


def test_an_oracle_of_it_tells_classes() -> None:
    data = rows()
    model = fitted(params("knn", neighbours=1), data).model
    assert torch.equal(LabelOracle(model).labels(data.x), data.y)


@pytest.mark.parametrize("iterations", [1, 1000])
def test_how_the_solver_ended_is_evidence(iterations: int) -> None:
    evidence = fitted(SklearnParams(estimator="logistic-regression", iterations=iterations), rows()).evidence
    assert evidence["solver"]["converged"] == (iterations == 1000)
    assert 1 <= evidence["solver"]["steps"] <= iterations


@pytest.mark.parametrize(
    ("estimator", "kept", "message"),
    [
        ("random-forest", [0] * 6, 'sklearn: all 6 training rows are of the class "class 0": two are needed'),
        (
            "svm-rbf",
            [0] * 4 + [1] * 5 + [2],
            "sklearn: svm-rbf finds its probabilities by 5-fold cross-validation and needs 5 training rows of each "
            "class, but there are too few of class 0 (4), class 2 (1): train on more rows",
        ),
        ("knn", [0, 1], "sklearn: knn asks 5 neighbours, but only 2 training rows have a weight"),
    ],
)
def test_rows_that_an_estimator_cannot_learn_from_are_refused(estimator: str, kept: list[int], message: str) -> None:
    y = torch.tensor(kept)
    data = make_data(torch.randn(len(y), 4).clamp(-5, 5), y, schema())
    with pytest.raises(ValueError) as raised:
        fitted(params(estimator), data)
    assert str(raised.value) == message


def test_settings_of_another_estimator_are_refused() -> None:
    with pytest.raises(ValidationError) as raised:
        SklearnParams(estimator="knn", trees=7, c=2.0)
    assert raised.value.errors()[0]["msg"] == (
        "Value error, trees, c would change nothing: knn has the settings neighbours"
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_resolved_parameters_are_valid_again(estimator: str) -> None:
    given = params(estimator)
    assert SklearnParams.model_validate(given.model_dump(mode="json")) == given


def altered(part: str) -> Training:
    whole = training(params("knn"), schema())
    return {
        "objective": replace(whole, objective=lambda call, frozen, batch: call(batch.x)[:, 0]),
        "sampler": replace(whole, sampler=object()),
        "gradient rule": replace(whole, gradient=object()),
        "networks": replace(whole, parts={**whole.parts, "adversary": whole.parts["model"]}),
    }[part]


@pytest.mark.parametrize("part", ["objective", "sampler", "gradient rule", "networks"])
def test_a_training_that_a_defense_changed_is_refused(part: str) -> None:
    whole = altered(part)
    with pytest.raises(ValueError) as raised:
        whole.fit(whole, [rows()], [rows()], [Streams(("test", 0))])
    assert str(raised.value) == f"the model trains itself: a defense cannot change its {part}"


def test_a_module_that_cannot_learn_is_named() -> None:
    whole = replace(training(params("knn"), schema()), parts={"model": lambda: torch.nn.Linear(4, 3)})
    with pytest.raises(TypeError) as raised:
        whole.fit(whole, [rows()], [rows()], [Streams(("test", 0))])
    assert str(raised.value) == "Linear has no method learn(data, val), as trains_itself=True promises"


def test_every_model_learns_from_its_own_rows() -> None:
    whole, parts = training(params("knn"), schema()), [rows(seed=2), rows(seed=3)]
    both = whole.fit(whole, parts, parts, [Streams(("test", 0)), Streams(("test", 1))])
    for one, data in zip(both, parts, strict=True):
        assert torch.equal(logits_of(one.model, data.x), logits_of(fitted(params("knn"), data).model, data.x))
