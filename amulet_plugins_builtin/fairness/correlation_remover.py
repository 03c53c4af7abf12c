"""Features without their correlation with the group, by fairlearn's projection as a fixed layer before the model."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from fairlearn.preprocessing import CorrelationRemover
from numpy.typing import NDArray
from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.schema import DataSchema, Frozen
from amulet_core.training.values import Fitted, Streams, Training, TrainingContext
from amulet_plugins_builtin.catalogue.fairness_defenses import CorrelationRemoverParams
from amulet_plugins_builtin.fairness.attributes import attribute_column

_NAME: Final = "correlation-remover"


class CorrelationRemoved(Frozen):
    """Evidence: the largest correlation of a feature with membership of a group, on the training rows."""

    before: float
    after: float


class Decorrelated(nn.Module):
    """A model behind a fixed layer: ``x - (s - mean) beta``, and 0 in the place of ``s``, the features of the group.

    ``mean [groups]`` and ``beta [groups, width]`` are fitted to training rows; both are 0 until then.
    """

    mean: Tensor
    beta: Tensor

    def __init__(self, model: nn.Module, features: Sequence[int], *, width: int) -> None:
        """Wrap ``model`` for rows of ``width`` features, of which ``features`` hold the group."""
        super().__init__()
        self.model, self.features = model, tuple(features)
        self.register_buffer("mean", torch.zeros(len(features)))
        self.register_buffer("beta", torch.zeros(len(features), width))

    def remove(self, x: Tensor) -> Tensor:
        """Return the inputs ``[..., width]`` as the model sees them."""
        places = list(self.features)
        kept = torch.ones_like(x[..., :1]).expand(x.shape).index_fill(-1, torch.tensor(places), 0.0)
        return (x - (x[..., places] - self.mean) @ self.beta) * kept

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of inputs ``[..., width]``."""
        logits: Tensor = self.model(self.remove(x))
        return logits


def train(training: Training, params: CorrelationRemoverParams, context: TrainingContext) -> Training:
    """Return training of the architecture behind a layer that is fitted to each model's training rows.

    The layer is part of the model, so that it acts on whatever the model is asked; what an adversary may do to an input
    stays as declared. All rows count alike in it. Each model has a layer of its own: models are trained one by one.

    Raises:
        ValueError: if there is no such attribute.
    """
    column = attribute_column(params.attribute, context.schema)
    fit = training.fit

    def fit_behind(
        training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
    ) -> list[Fitted]:
        fitted = []
        for data, held, own in zip(rows, val, streams, strict=True):
            layer = fitted_layer(data, column, alpha=params.alpha)
            (one,) = fit(_behind(training, layer), [data], [held], [own])
            evidence = {**one.evidence, _NAME: _removed(layer, data)}
            fitted.append(Fitted(one.model, evidence))
        return fitted

    return replace(training, fit=fit_behind)


def rebuild(build: Callable[[], nn.Module], params: CorrelationRemoverParams, schema: DataSchema) -> nn.Module:
    """Return an untrained model behind a layer that is not fitted yet."""
    return _wrapped(build(), schema, attribute_column(params.attribute, schema))


def fitted_layer(rows: Data, column: int, *, alpha: float) -> Decorrelated:
    """Return the layer for training rows (around no model), by fairlearn's least squares in double precision."""
    layer = _wrapped(nn.Identity(), rows.schema, column)
    places = list(layer.features)
    remover = CorrelationRemover(sensitive_feature_ids=places).fit(rows.x.double().numpy())
    others = [at for at in range(rows.schema.width) if at not in places]
    layer.mean.copy_(torch.from_numpy(remover.sensitive_mean_))
    layer.beta[:, others] = alpha * torch.from_numpy(remover.beta_).float()
    return layer


def _wrapped(model: nn.Module, schema: DataSchema, column: int) -> Decorrelated:
    return Decorrelated(model, schema.one_hot_of(column), width=schema.width)


def _behind(training: Training, layer: Decorrelated) -> Training:
    build = training.parts["model"]

    def behind() -> nn.Module:
        wrapped = Decorrelated(build(), layer.features, width=layer.beta.shape[1])
        wrapped.mean.copy_(layer.mean)
        wrapped.beta.copy_(layer.beta)
        return wrapped

    return replace(training, parts={**training.parts, "model": behind})


def _removed(layer: Decorrelated, rows: Data) -> CorrelationRemoved:
    places = list(layer.features)
    others = [at for at in range(rows.schema.width) if at not in places]
    held = rows.x[:, places].double().numpy()
    before, after = (x[:, others].double().numpy() for x in (rows.x, layer.remove(rows.x)))
    return CorrelationRemoved(before=_correlation(before, held), after=_correlation(after, held))


def _correlation(features: NDArray[np.float64], held: NDArray[np.float64]) -> float:
    """Return the largest absolute correlation of a feature with a column of ``held``; constant ones have none."""
    left, right = (values - values.mean(0) for values in (features, held))
    # What single precision leaves of a feature that the layer has emptied is no feature any more.
    scale = np.maximum(np.abs(features).max(0), 1.0) * 1e-6
    left = left[:, left.std(0) > scale]
    right = right[:, right.std(0) > 0]
    if not left.size or not right.size:
        return 0.0
    covariance = left.T @ right / len(left)
    return float(np.abs(covariance / np.outer(left.std(0), right.std(0))).max())
