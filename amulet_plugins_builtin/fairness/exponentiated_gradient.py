"""Exponentiated gradient (Agarwal et al., arXiv:1803.02453): fairlearn's reduction, over the recipe's own training."""

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import torch
from fairlearn.reductions import DemographicParity, EqualizedOdds, ExponentiatedGradient
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from torch import nn

from amulet_core.data import Data
from amulet_core.schema import DataSchema, Frozen
from amulet_core.training.values import Fit, Fitted, Streams, Training, TrainingContext
from amulet_core.victims import logits_of
from amulet_plugins_builtin.catalogue.fairness_defenses import ExponentiatedGradientParams, slots
from amulet_plugins_builtin.fairness.attributes import attribute_column
from amulet_plugins_builtin.fairness.mixture import Mixture

_NAME: Final = "exponentiated-gradient"
_NO_WEIGHT: Final = 1e-9


class MixtureMade(Frozen):
    """Evidence: the models trained, those in the mixture, and how much of it is a constant answer.

    A violation is the largest difference of a group's rate from that of all training rows: of the paper's randomised
    mixture of labels, for which the method gives its guarantee, and of the released mean of probabilities.
    """

    trained: int
    members: int
    constant: float
    violation_randomised: float
    violation_released: float


def train(training: Training, params: ExponentiatedGradientParams, context: TrainingContext) -> Training:
    """Return training whose models are mixtures: the mean of the probabilities of several models.

    The reduction (algorithm 1, with the linear programme of section 3 after each round, as in fairlearn) asks for the
    best model of rows with other labels and weights; each is trained by the chain's training, with the same draws.
    Members know no early stopping: the validation rows carry the true labels, not those that a member learns.

    Raises:
        ValueError: if there is no such attribute; when fitting, if rows have weights, or are of one class or group.
    """
    column = attribute_column(params.attribute, context.schema)
    fit, room = training.fit, slots(params, context.schema)

    def fit_mixtures(
        training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
    ) -> list[Fitted]:
        for data in rows:
            _check(data, column)
        unhurried = replace(training, settings=training.settings.model_copy(update={"patience": 0}))
        return [
            _mixture(_Oracle(_learning(fit, unhurried, *own)), own[0], column, params, room)
            for own in zip(rows, val, streams, strict=True)
        ]

    return replace(training, fit=fit_mixtures)


def rebuild(build: Callable[[], nn.Module], params: ExponentiatedGradientParams, schema: DataSchema) -> nn.Module:
    """Return an untrained mixture with room for all models that one can need."""
    return Mixture([build() for _ in range(slots(params, schema))], classes=len(schema.classes))


Learn = Callable[[NDArray[np.int64], NDArray[np.float64]], tuple[Fitted, NDArray[np.int64]]]
"""``learn(labels [n], weights [n]) -> the model trained on them, and its predictions [n]``."""


@dataclass
class _Oracle:
    """The estimator that the reduction asks, in the manner of scikit-learn; ``X [n, 1]`` holds row numbers."""

    learn: Learn
    known: dict[bytes, tuple[Fitted, NDArray[np.int64]]] = field(default_factory=dict)
    fitted: Fitted | None = None
    predicted: NDArray[np.int64] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Oracle":
        """Return an oracle that shares what is known: training is a function of labels and weights."""
        return _Oracle(self.learn, self.known)

    def fit(self, X: NDArray[np.int64], y: Any, sample_weight: Any) -> "_Oracle":  # noqa: N803, ARG002 - as scikit-learn calls it
        labels, weights = np.asarray(y, dtype=np.int64), np.asarray(sample_weight, dtype=np.float64)
        key = labels.tobytes() + weights.tobytes()
        if key not in self.known:
            self.known[key] = self.learn(labels, weights)
        self.fitted, self.predicted = self.known[key]
        return self

    def predict(self, X: NDArray[np.int64]) -> NDArray[np.int64]:  # noqa: N803 - as scikit-learn calls it
        assert self.predicted is not None
        return self.predicted[np.asarray(X)[:, 0]]


def _learning(fit: Fit, training: Training, rows: Data, val: Data, streams: Streams) -> Learn:
    def learn(labels: NDArray[np.int64], weights: NDArray[np.float64]) -> tuple[Fitted, NDArray[np.int64]]:
        asked = replace(rows, y=torch.tensor(labels), w=torch.tensor(weights).float())
        (fitted,) = fit(training, [asked], [val], [streams])
        return fitted, logits_of(fitted.model, rows.x).argmax(1).numpy()

    return learn


def _mixture(oracle: _Oracle, rows: Data, column: int, params: ExponentiatedGradientParams, room: int) -> Fitted:
    constraint = DemographicParity if params.constraint == "demographic-parity" else EqualizedOdds
    reduction = ExponentiatedGradient(
        oracle, constraint(difference_bound=params.difference), eps=params.difference, max_iter=params.max_iter
    )
    numbers = np.arange(len(rows))[:, None]
    with warnings.catch_warnings():
        # fairlearn 0.15 grows a pandas series in a way that pandas 3 deprecates: nobody here can do anything about it.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="fairlearn")
        reduction.fit(numbers, rows.y.numpy(), sensitive_features=rows.z[:, column].numpy())
    chosen = [(reduction.predictors_[at], weight) for at, weight in reduction.weights_.items() if weight > _NO_WEIGHT]
    first, _ = next(iter(oracle.known.values()))
    released = _released(chosen, first.model, len(rows.schema.classes), room)
    randomised = sum(weight * one.predict(numbers) for one, weight in chosen) / sum(weight for _, weight in chosen)
    found = MixtureMade(
        trained=len(oracle.known),
        members=sum(not isinstance(one, DummyClassifier) for one, _ in chosen),
        constant=float(released.constant.sum()),
        violation_randomised=_violation(reduction, randomised),
        violation_released=_violation(reduction, logits_of(released, rows.x).argmax(1).numpy()),
    )
    return Fitted(released, {**first.evidence, _NAME: found})


def _released(chosen: Sequence[tuple[Any, float]], filler: nn.Module, classes: int, room: int) -> Mixture:
    """Return the mixture; rooms that no member needs hold a copy of ``filler`` without weight."""
    members = [(one.fitted.model, weight) for one, weight in chosen if not isinstance(one, DummyClassifier)]
    spare = [(filler, 0.0)] * (room - len(members))
    total = sum(weight for _, weight in chosen)
    mixture = Mixture([copy.deepcopy(model) for model, _ in (*members, *spare)], classes=classes)
    mixture.constant.zero_()
    mixture.weights.copy_(torch.tensor([weight / total for _, weight in (*members, *spare)]))
    for one, weight in chosen:
        if isinstance(one, DummyClassifier):
            mixture.constant[int(one.constant)] += weight / total
    return mixture.eval().requires_grad_(False)


def _violation(reduction: ExponentiatedGradient, predicted: NDArray[np.generic]) -> float:
    return float(reduction.constraints_.gamma(lambda _rows: predicted).max())


def _check(rows: Data, column: int) -> None:
    attribute = rows.schema.sensitive[column]
    if len(rows.w.unique()) > 1:
        raise ValueError(f"{_NAME} sets the weights of the rows itself, and these rows have weights already")
    for what, names, values in (
        ("class", rows.schema.classes, rows.y),
        (attribute.name, attribute.categories, rows.z[:, column]),
    ):
        if len(values.unique()) < 2:
            raise ValueError(
                f"{_NAME} compares groups of both classes, and all {len(rows)} training rows have the {what} "
                f'"{names[int(values[0])]}": train on more rows'
            )


__all__ = ["MixtureMade", "rebuild", "train"]
