"""Training with interval bounds (Gowal et al., arXiv:1810.12715), and the certificates that they give."""

import dataclasses
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from amulet_core.data import bounds
from amulet_core.feasible import mutable, span
from amulet_core.games.evasion import CertificateQuestion
from amulet_core.schema import DataSchema
from amulet_core.training.values import Batch, Call, Objective, Training, TrainingContext, View
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.robust_training import EARLY_STOPPING, IbpParams
from amulet_plugins_builtin.evasion.intervals import Interval, margins

VIEW = "interval margins"
_ROWS = 256
_ROUNDING = 1e-5
"""A margin of less, beside logits of size 1, may be lost to the rounding of the deployed model's float32."""


def train(training: Training, params: IbpParams, context: TrainingContext) -> Training:
    """Return the training that mixes the objective with the loss at the worst logits in bounds (section 3, "Loss").

    Raises:
        ValueError: with early stopping, or if another defense has a view of the same name.
    """
    if training.settings.patience:
        raise ValueError(f"ibp: {EARLY_STOPPING}set training.patience to 0")
    objective = bounded(training.objective, params, context.schema)
    views: dict[str, View] = {**training.views, VIEW: partial(margins_around, norm=params.norm)}
    return dataclasses.replace(training, objective=objective, views=views)


def bounded(objective: Objective, params: IbpParams, schema: DataSchema) -> Objective:
    """Return ``kappa * objective + (1 - kappa) * w * CE(worst logits, y)``, per row.

    Over the training epsilon grows from 0 to the budget, and kappa falls from 1 to ``kappa``: the share
    ``warmup`` of all steps is plain training, the share ``ramp`` after it is linear.
    """

    def robust(call: Call, frozen: Call, batch: Batch) -> Tensor:
        share = min(1.0, max(0.0, (batch.progress - params.warmup) / params.ramp))
        kappa = 1 - share * (1 - params.kappa)
        losses = objective(call, frozen, batch)
        if share == 0:
            return losses
        around = reachable(batch.x, schema, norm=params.norm, epsilon=params.epsilon, share=share)
        worst = worst_logits(call(around, VIEW), batch.y)
        return kappa * losses + (1 - kappa) * batch.w * cross_entropy(worst, batch.y, reduction="none")

    return robust


def worst_logits(least: Tensor, y: Tensor) -> Tensor:
    """Return by how much each class may lead the true one, ``[n, classes]`` (0 for itself), from ``margins``."""
    index = y[:, None, None].expand(-1, 1, least.shape[-1])
    return -least.gather(1, index)[:, 0]


def reachable(x: Tensor, schema: DataSchema, *, norm: Norm, epsilon: float, share: float = 1.0) -> Tensor:
    """Return centre and radius ``[2, n, ...]`` of what can be made of ``x`` by a ``share`` of the budget, at least.

    In linf it is a box within the data's bounds; in L2 an ellipsoid, whatever the bounds. Whole numbers and one-hot
    groups are relaxed.
    """
    radius = share * epsilon * span(schema) * mutable(schema, norm=norm, epsilon=epsilon)
    if norm == "l2":
        return torch.stack([x, radius.expand_as(x)])
    least, most = bounds(schema)
    low = torch.minimum(x, torch.maximum(x - radius, least))
    high = torch.maximum(x, torch.minimum(x + radius, most))
    return torch.stack([(low + high) / 2, (high - low) / 2])


def margins_around(model: nn.Module, around: Tensor, *, norm: Norm) -> Tensor:
    """Return ``margins`` of the interval with centre and radius ``around [2, n, ...]``."""
    return margins(model, Interval(around[0], around[1], norm))


def certify(question: CertificateQuestion, params: IbpParams) -> Tensor:  # noqa: ARG001 - bounds hold however it was trained
    """Return where the true class leads all others throughout the budget, bool ``[budgets, n]``.

    Bounds are computed in float64 and must be positive by more than the deployed model's rounding.

    Raises:
        UnboundedError: if the model is made of more than affine and monotone layers.
    """
    model = question.model.double()
    with torch.no_grad():
        return torch.stack([_proved(model, question, epsilon) for epsilon in question.epsilons])


def _proved(model: nn.Module, question: CertificateQuestion, epsilon: float) -> Tensor:
    proved = []
    for x, y in zip(question.x.double().split(_ROWS), question.y.split(_ROWS), strict=True):
        around = reachable(x, question.data_schema, norm=question.norm, epsilon=epsilon)
        lead = worst_logits(margins_around(model, around, norm=question.norm), y)
        others = torch.arange(lead.shape[1]) != y[:, None]
        size = 1 + model(x).abs().amax(1, keepdim=True)
        proved.append((~others | (lead < -_ROUNDING * size)).all(1))
    return torch.cat(proved)
