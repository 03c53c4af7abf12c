"""Adversarial training (Madry et al., arXiv:1706.06083): learn from the worst neighbour of every row.

It wraps whatever objective it is given, so it composes with weights, debiasing, and private gradients.
"""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from amulet_core.schema import DataSchema
from amulet_core.training.values import Batch, Call, Draw, Objective, Training, TrainingContext
from amulet_plugins_builtin.catalogue.evasion import AdversarialTrainingParams
from amulet_plugins_builtin.evasion.ascent import ascent_within, gradient_of

START = Draw("start", "uniform")
MIX = Draw("mix", "uniform")


def train(training: Training, params: AdversarialTrainingParams, context: TrainingContext) -> Training:
    """Return the training that minimises the given objective at the rows' worst neighbours (eq. 2.1 of the paper)."""
    wanted = (START, MIX) if params.mix < 1 else (START,)
    draws = training.draws + tuple(draw for draw in wanted if draw not in training.draws)
    objective = adversarial(training.objective, params, context.schema)
    return dataclasses.replace(training, objective=objective, draws=draws)


def adversarial(objective: Objective, params: AdversarialTrainingParams, schema: DataSchema) -> Objective:
    """Return ``objective`` at x' in place of x, for a share ``mix`` of the rows.

    x' is found on the frozen networks, so no gradient of the parameters passes through it. Mixing by rows, not by two
    losses for each row, keeps the objective to a single call of the network on ``n`` rows.
    """
    worst = worst_neighbour(params, schema)

    def robust(call: Call, frozen: Call, batch: Batch) -> Tensor:
        x = worst(frozen, batch)
        if params.mix < 1:
            chance = (batch.draws[MIX.name].flatten(1)[:, 0] + 1) / 2
            x = torch.where((chance < params.mix).reshape(-1, *(1,) * len(schema.shape)), x, batch.x)
        return objective(call, frozen, batch._replace(x=x))

    return robust


def worst_neighbour(params: AdversarialTrainingParams, schema: DataSchema) -> Callable[[Call, Batch], Tensor]:
    """Return the inner maximisation ``(frozen, batch) -> x' [n, ...]``: PGD on the cross-entropy of the true labels.

    It starts from ``batch.draws["start"]``; see ``ascent_within``.
    """
    ascent = ascent_within(
        schema, norm=params.norm, epsilon=params.epsilon, steps=params.steps, relative_step=params.relative_step
    )

    def worst(frozen: Call, batch: Batch) -> Tensor:
        return ascent(lambda x: gradient_of(frozen, x, batch.y, loss="ce"), batch.x, batch.draws[START.name])

    return worst
