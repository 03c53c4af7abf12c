"""Rows with a planted truth, and scikit-learn's own answers to them, for the checks of architectures."""

from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator, isolated
from amulet_core.training.learning import fit_by_itself
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Fitted, Streams, Training
from amulet_core.victims import logits_of
from amulet_plugins_builtin.catalogue.more_models import EstimatorName, SklearnParams
from amulet_plugins_builtin.models.estimator import build

STREAM: Final = ("planted", 0)
_SMALL: Final[dict[str, dict[str, Any]]] = {"random-forest": {"trees": 20}, "gradient-boosting": {"trees": 15}}


def small(estimator: EstimatorName, **more: object) -> SklearnParams:
    """Return the settings of an estimator with few trees."""
    return SklearnParams.model_validate({"estimator": estimator, **_SMALL.get(estimator, {}), **more})


def schema(classes: int = 3, shape: tuple[int, ...] = (4,)) -> DataSchema:
    """Describe rows in -5 .. 5; those of more than one axis are images."""
    return DataSchema(
        modality="tabular" if len(shape) == 1 else "image",
        shape=shape,
        classes=tuple(f"class {k}" for k in range(classes)),
        feasible=Feasible(low=-5.0, high=5.0),
    )


def blobs(classes: int = 3, n: int = 120, seed: int = 0, shape: tuple[int, ...] = (4,)) -> Data:
    """Return blobs that overlap, so that probabilities are none of 0 and 1."""
    draws, described = generator("planted blobs", seed), schema(classes, shape)
    y = torch.randint(0, classes, (n,), generator=draws)
    x = torch.randn(n, described.width, generator=draws)
    x[:, 0] += y
    x[:, 1] -= y % 2
    return make_data(x.clamp(-5, 5).reshape(n, *shape), y, described)


def apart(n: int, seed: int, shape: tuple[int, ...]) -> Data:
    """Return rows of four classes, each of which is two standard deviations up in a quarter of the features."""
    draws, described = generator("planted quarters", seed), schema(4, shape)
    y = torch.arange(n) % 4
    x = torch.randn(n, described.width, generator=draws)
    x += 2 * (torch.arange(described.width) * 4 // described.width == y[:, None])
    return make_data(x.clamp(-5, 5).reshape(n, *shape), y, described)


def noise(n: int, seed: int, shape: tuple[int, ...]) -> Data:
    """Return rows of noise whose labels, of four, are drawn at random."""
    draws, described = generator("planted noise", seed), schema(4, shape)
    x = torch.rand(n, *shape, generator=draws) * 10 - 5
    return make_data(x, torch.randint(0, 4, (n,), generator=draws), described)


def itself(params: SklearnParams, described: DataSchema) -> Training:
    """Return the training of a classifier that trains itself."""
    plain = plain_training(partial(build, params, described), TrainingSettings(), stackable=False)
    return replace(plain, fit=fit_by_itself)


def fitted(params: SklearnParams, data: Data, *key: str | int) -> Fitted:
    """Return a classifier fitted to the rows, with the draws of a stream."""
    whole = itself(params, data.schema)
    (one,) = whole.fit(whole, [data], [data], [Streams(key or STREAM)])
    return one


def probabilities(one: Fitted, asked: Data) -> NDArray[np.float64]:
    """Return what a fitted model answers, ``[n, classes]``."""
    found: NDArray[np.float64] = logits_of(one.model, asked.x).double().softmax(1).numpy()
    return found


def scikit_learns(params: SklearnParams, data: Data, asked: Data) -> NDArray[np.float64]:
    """Return the probabilities of scikit-learn's own classifier, fitted with the same seed to the same numbers."""
    x, other = (((one.x.flatten(1) + 5) / 10).double().numpy() for one in (data, asked))
    with isolated(*STREAM, "learn"):
        seed = int(torch.randint(2**31 - 1, ()))
    machine = SVC(C=params.c, gamma=1 / (x.shape[1] * x.var()))
    model = {
        "random-forest": RandomForestClassifier(params.trees, max_depth=params.depth, random_state=seed),
        "gradient-boosting": GradientBoostingClassifier(n_estimators=params.trees, random_state=seed),
        "logistic-regression": LogisticRegression(C=params.c, max_iter=1000),
        "svm-rbf": CalibratedClassifierCV(machine, method="sigmoid", cv=5, ensemble=False),
        "knn": KNeighborsClassifier(params.neighbours, algorithm="brute"),
    }[params.estimator]
    weighted = {} if params.estimator == "knn" else {"sample_weight": data.w.double().numpy()}
    found: NDArray[np.float64] = model.fit(x, data.y.numpy(), **weighted).predict_proba(other)
    return found
