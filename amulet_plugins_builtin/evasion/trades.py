"""TRADES (Zhang et al., arXiv:1901.08573): learn to be right on the rows, and to answer alike in their neighbourhood.

It adds its penalty to whatever objective it is given, and calls each network once.
"""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad
from torch.nn.functional import log_softmax

from amulet_core.schema import DataSchema
from amulet_core.training.values import Batch, Call, Draw, Objective, Training, TrainingContext
from amulet_plugins_builtin.catalogue.robust_training import TradesParams
from amulet_plugins_builtin.evasion.ascent import ascent_within

START = Draw("start", "uniform")


def train(training: Training, params: TradesParams, context: TrainingContext) -> Training:
    """Return the training that adds ``beta`` times the divergence at the rows' worst neighbours (algorithm 1)."""
    draws = training.draws if START in training.draws else (*training.draws, START)
    objective = regularised(training.objective, params, context.schema)
    return dataclasses.replace(training, objective=objective, draws=draws)


def regularised(objective: Objective, params: TradesParams, schema: DataSchema) -> Objective:
    """Return ``objective + w * beta * KL(f(x) || f(x'))``, per row; ``w`` are the rows' weights.

    x' is found on the frozen networks; both sides of the divergence carry gradients. The neighbours go through the
    network in the one call that the wrapped objective makes.
    """
    worst = most_divergent(params, schema)

    def robust(call: Call, frozen: Call, batch: Batch) -> Tensor:
        neighbours = worst(frozen, batch)
        answers: list[Tensor] = []

        def joint(x: Tensor, part: str = "model") -> Tensor:
            if part != "model":
                return call(x, part)
            inputs = (x, neighbours) if x is batch.x else (x, neighbours, batch.x)
            first, *others = together(call, inputs)
            answers[:] = (others[-1] if len(others) > 1 else first, others[0])
            return first

        losses = objective(joint, frozen, batch)
        if not answers:
            raise ValueError("trades: the objective that it adds its penalty to does not call the model")
        return losses + batch.w * params.beta * divergence(*answers)

    return robust


def most_divergent(params: TradesParams, schema: DataSchema) -> Callable[[Call, Batch], Tensor]:
    """Return the inner maximisation ``(frozen, batch) -> x' [n, ...]`` of the divergence, from ``draws["start"]``.

    The start is uniform in the ball, as in adversarial training; at x itself the divergence has no gradient.
    """
    ascent = ascent_within(
        schema, norm=params.norm, epsilon=params.epsilon, steps=params.steps, relative_step=params.relative_step
    )

    def worst(frozen: Call, batch: Batch) -> Tensor:
        here = frozen(batch.x).detach()
        uphill = grad(lambda x: divergence(here, frozen(x)).sum())
        return ascent(uphill, batch.x, batch.draws[START.name])

    return worst


def divergence(logits: Tensor, other: Tensor) -> Tensor:
    """Return KL(p || q) of each row, ``[n]``, from the logits ``[n, classes]`` of p and of q."""
    p, q = log_softmax(logits, -1), log_softmax(other, -1)
    return (p.exp() * (p - q)).sum(-1)


def together(call: Call, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the model's outputs on inputs ``[n, ...]`` (or ``[k * n, ...]``) of the rows, from one call."""
    return tuple(call(torch.cat(inputs)).split([len(one) for one in inputs]))
