"""Known-answer and power checks of the architectures."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, get_args

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn.functional import cross_entropy

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator, isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Streams
from amulet_core.victims import logits_of
from amulet_plugins_builtin.catalogue.models import CapacityParams
from amulet_plugins_builtin.catalogue.more_models import EstimatorName
from amulet_plugins_builtin.models import cnn, logistic, mlp, planted, resnet, vgg
from amulet_plugins_builtin.models.estimator import build as build_estimator

Build = Callable[[Any, DataSchema], nn.Module]
CAPACITIES: Final = ("m1", "m2", "m3", "m4")
TABLE: Final = (16,)
IMAGE: Final = (1, 8, 8)
_KINDS: Final = {TABLE: "tables", IMAGE: "images"}


def mlp_checks() -> tuple[Check, ...]:
    """Return the checks of ``mlp``."""
    return (*_power("mlp", mlp.build, TABLE, IMAGE), _grows("mlp", mlp.build))


def cnn_checks() -> tuple[Check, ...]:
    """Return the checks of ``cnn``."""
    return (*_power("cnn", cnn.build, IMAGE), _grows("cnn", cnn.build))


def resnet_checks() -> tuple[Check, ...]:
    """Return the checks of ``resnet``."""
    return (*_power("resnet", resnet.build, IMAGE), _grows("resnet", resnet.build))


def vgg_checks() -> tuple[Check, ...]:
    """Return the checks of ``vgg``."""
    return (*_power("vgg", vgg.build, IMAGE), _grows("vgg", vgg.build))


def logistic_checks() -> tuple[Check, ...]:
    """Return the checks of ``logistic``."""
    return (
        Check(
            "the optimum of logistic's loss is scikit-learn's",
            "another function than an affine one of the scaled row would have another optimum",
            partial(optimum_is_scikit_learns, logistic.build),
        ),
        Check(
            "logistic cannot tell which of two features is alone",
            "what learns exclusive or is no linear model",
            partial(fails_at_exclusive_or, logistic.build),
        ),
    )


def sklearn_checks() -> tuple[Check, ...]:
    """Return the checks of ``sklearn``: two for each estimator."""
    return tuple(check for name in get_args(EstimatorName) for check in _estimator_checks(name))


def _estimator_checks(name: EstimatorName) -> tuple[Check, Check]:
    return (
        Check(
            f"{name} answers as scikit-learn does",
            "the report names scikit-learn's classifier, so it must be that which is measured",
            partial(answers_as_scikit_learn, name),
        ),
        Check(
            f"{name} is its tensors, bit for bit",
            "the cache keeps tensors alone",
            partial(is_its_tensors, name),
        ),
    )


def _power(name: str, build: Build, *shapes: tuple[int, ...]) -> tuple[Check, ...]:
    return tuple(
        check
        for shape in shapes
        for check in (
            Check(
                f"{name} tells four planted classes apart on {_KINDS[shape]}",
                "a victim that learns nothing is robust, private and fair, and of no use",
                partial(learns_the_planted, build, shape),
            ),
            Check(
                f"{name} learns random labels of {_KINDS[shape]} by heart, and nothing of other rows",
                "a model that cannot memorise leaks no members, whatever the defense",
                partial(memorises_random_labels, build, shape),
            ),
        )
    )


def _grows(name: str, build: Build) -> Check:
    return Check(
        f"each capacity of {name} has more parameters than the one before",
        "capacity is a factor that runs vary",
        partial(capacities_ascend, build),
    )


def trained(build: Build, data: Data, epochs: int = 20) -> nn.Module:
    """Return a network of the least capacity after some epochs of plain training on the rows."""
    settings = TrainingSettings(epochs=epochs, batch_size=32, learning_rate=3e-3)
    training = plain_training(partial(build, CapacityParams(), data.schema), settings, stackable=False)
    (fitted,) = training.fit(training, [data], [data], [Streams(("check of a model",))])
    return fitted.model


def learns_the_planted(build: Build, shape: tuple[int, ...]) -> None:
    """Train on rows of classes that lie apart, and ask about others."""
    model = trained(build, planted.apart(128, 0, shape))
    found = _accuracy(model, planted.apart(200, 1, shape))
    assert found > 0.9, f"accuracy on other rows is {found:.3f}, expected more than 0.9"


def memorises_random_labels(build: Build, shape: tuple[int, ...]) -> None:
    """Train on noise with labels drawn at random: all of them are learnt, and none of others."""
    data, other = planted.noise(24, 0, shape), planted.noise(400, 1, shape)
    model = trained(build, data, epochs=120)
    inside, outside = _accuracy(model, data), _accuracy(model, other)
    assert inside == 1, f"accuracy on the training rows is {inside:.3f}, expected 1"
    # A quarter, and four standard deviations of a share of 400 rows.
    assert outside < 0.34, f"accuracy on other rows is {outside:.3f}, expected less than 0.34"


def capacities_ascend(build: Build) -> None:
    """Count the parameters of every capacity; they are built without any memory."""
    with torch.device("meta"):
        models = [
            build(CapacityParams.model_validate({"capacity": one}), planted.schema(4, IMAGE)) for one in CAPACITIES
        ]
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in models]
    assert counts == sorted(set(counts)), f"the numbers of parameters are {counts}, expected ascending ones"


def optimum_is_scikit_learns(build: Build) -> None:
    """Minimise the mean loss without a penalty, and compare the probabilities with scikit-learn's."""
    data = planted.blobs(n=200)
    with isolated("check of a model"):
        model = build(NoParams(), data.schema)
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = cross_entropy(model(data.x), data.y)
        value.backward()
        return value

    optimiser.step(loss)
    found = logits_of(model, data.x).softmax(1).numpy()
    x = ((data.x + 5) / 10).double().numpy()
    own = LogisticRegression(C=np.inf, max_iter=10_000, tol=1e-10).fit(x, data.y.numpy())
    off = float(np.abs(found - own.predict_proba(x)).max())
    assert off < 1e-3, f"its probabilities are off by {off:.2g}, expected less than 0.001"


def fails_at_exclusive_or(build: Build) -> None:
    """Train on rows whose class says whether exactly one of two features is positive: no plane parts more than 3/4."""
    draws = generator("exclusive or")
    x = torch.rand(400, 2, generator=draws) * 10 - 5
    data = make_data(x, (x > 0).sum(1) % 2, planted.schema(classes=2, shape=(2,)))
    found = _accuracy(trained(lambda _, schema: build(NoParams(), schema), data), data)
    assert found < 0.8, f"accuracy is {found:.3f}, expected less than 0.8"


def answers_as_scikit_learn(name: EstimatorName) -> None:
    """Fit both to the same rows with the same seed."""
    params, data, asked = planted.small(name), planted.blobs(), planted.blobs(seed=1)
    found, expected = (
        planted.probabilities(planted.fitted(params, data), asked),
        planted.scikit_learns(params, data, asked),
    )
    off = float(np.abs(found - expected).max())
    assert off < 1e-6, f"its probabilities are off by {off:.2g} from scikit-learn's, expected less than 1e-6"


def is_its_tensors(name: EstimatorName) -> None:
    """Give the tensors of a fitted model to one that is not."""
    params, data, asked = planted.small(name), planted.blobs(), planted.blobs(seed=1)
    model, twin = planted.fitted(params, data).model, build_estimator(params, data.schema)
    twin.load_state_dict(model.state_dict())
    found, expected = logits_of(twin, asked.x), logits_of(model, asked.x)
    assert expected.std() > 0, "the fitted model answers everything alike, expected that it has learnt something"
    assert torch.equal(found, expected), "a twin with the same tensors gives other logits, expected equal bits"


def _accuracy(model: nn.Module, data: Data) -> float:
    return float((logits_of(model, data.x).argmax(1) == data.y).float().mean())
