"""A decision threshold for each group (Hardt et al., arXiv:1610.02413), without that paper's coin."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.schema import DataSchema, Frozen
from amulet_core.training.values import Fitted, Streams, Training, TrainingContext
from amulet_core.victims import logits_of
from amulet_plugins_builtin.catalogue.fairness_defenses import ThresholdOptimizerParams
from amulet_plugins_builtin.fairness.attributes import SMALLEST_GROUP, attribute_column
from amulet_plugins_builtin.fairness.thresholds import Scored, best_thresholds, largest_gap

_NAME: Final = "threshold-optimizer"


class ThresholdsSet(Frozen):
    """Evidence: each group's threshold on the probability of the second class, and what it did to ``val``.

    ``left_alone`` are the groups with too few rows there: their threshold stays at one half.
    """

    thresholds: dict[str, float]
    left_alone: tuple[str, ...]
    gap_before: float
    gap_after: float
    accuracy_before: float
    accuracy_after: float


class Thresholded(nn.Module):
    """A model whose log-odds are shifted by the row's group, ``shift [groups]``, so that one half is its threshold."""

    shift: Tensor

    def __init__(self, model: nn.Module, features: Sequence[int]) -> None:
        """Wrap ``model``; ``features`` are the flattened features that are 1 for a row of each group in turn."""
        super().__init__()
        self.model, self.features = model, tuple(features)
        self.register_buffer("shift", torch.zeros(len(features)))

    def groups(self, x: Tensor) -> Tensor:
        """Return the group of each row, int64 ``[n]``."""
        return x.flatten(1)[:, list(self.features)].argmax(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 2]`` of inputs ``[n, ...]``."""
        logits: Tensor = self.model(x)
        shift = self.shift[self.groups(x)]
        return logits - torch.stack([torch.zeros_like(shift), shift], 1)


def train(training: Training, params: ThresholdOptimizerParams, context: TrainingContext) -> Training:
    """Return training whose models are then given the thresholds that are best on the defender's ``val`` rows.

    Raises:
        ValueError: if there is no such attribute; when fitting, if fewer than two groups have rows enough in ``val``.
    """
    column = attribute_column(params.attribute, context.schema)
    fit = training.fit

    def fit_and_set(
        training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
    ) -> list[Fitted]:
        for held in val:
            _large_enough(held, column, params)
        fitted = fit(training, rows, val, streams)
        return [_with_thresholds(one, held, column, params) for one, held in zip(fitted, val, strict=True)]

    return replace(training, fit=fit_and_set)


def rebuild(build: Callable[[], nn.Module], params: ThresholdOptimizerParams, schema: DataSchema) -> nn.Module:
    """Return an untrained model with room for thresholds."""
    return Thresholded(build(), schema.one_hot_of(attribute_column(params.attribute, schema)))


def _with_thresholds(fitted: Fitted, val: Data, column: int, params: ThresholdOptimizerParams) -> Fitted:
    model = Thresholded(fitted.model, val.schema.one_hot_of(column))
    groups, labels = _large_enough(val, column, params), val.schema.sensitive[column].categories
    before = _scored(model, val, params)
    shift = best_thresholds(before, groups, tolerance=params.tolerance, balanced=params.objective != "accuracy")
    model.shift[groups] = torch.from_numpy(shift).float()
    after = _scored(model, val, params)
    found = ThresholdsSet(
        thresholds=dict(zip(labels, torch.sigmoid(model.shift).tolist(), strict=True)),
        left_alone=tuple(label for at, label in enumerate(labels) if at not in groups),
        gap_before=largest_gap(before, groups),
        gap_after=largest_gap(after, groups),
        accuracy_before=before.accuracy,
        accuracy_after=after.accuracy,
    )
    return Fitted(model.eval().requires_grad_(False), {**fitted.evidence, _NAME: found})


def _scored(model: Thresholded, val: Data, params: ThresholdOptimizerParams) -> Scored:
    logits = logits_of(model, val.x).double().numpy()
    return Scored(
        margin=logits[:, 1] - logits[:, 0],
        positive=val.y.numpy() == 1,
        counted=_counted(val, params),
        group=model.groups(val.x).numpy(),
    )


def _counted(val: Data, params: ThresholdOptimizerParams) -> NDArray[np.bool_]:
    """Return which rows stand behind the rate that is to be alike."""
    everybody = np.ones(len(val), dtype=np.bool_)
    return everybody & (val.y.numpy() == 1) if params.constraint == "equal-opportunity" else everybody


def _large_enough(val: Data, column: int, params: ThresholdOptimizerParams) -> list[int]:
    """Return the groups whose rate can be told from ``val``."""
    attribute = val.schema.sensitive[column]
    group = val.z[:, column].numpy()[_counted(val, params)]
    sizes = np.bincount(group, minlength=len(attribute.categories)).tolist()
    groups = [at for at, size in enumerate(sizes) if size >= SMALLEST_GROUP]
    if len(groups) < 2:
        listed = ", ".join(f"{label} {size}" for label, size in zip(attribute.categories, sizes, strict=True))
        raise ValueError(
            f"{_NAME} needs {SMALLEST_GROUP} validation rows behind the rates of at least 2 groups ({attribute.name}: "
            f"{listed}): raise data.val"
        )
    return groups
