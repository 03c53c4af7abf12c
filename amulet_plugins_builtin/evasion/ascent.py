"""The steps that every gradient attack shares: what to climb, its gradient, the steepest move, a random start."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.func import grad

from amulet_core.feasible import mutable, projection, span
from amulet_core.schema import DataSchema
from amulet_core.vocabulary import Norm

Logits = Callable[[Tensor], Tensor]
Loss = Literal["ce", "margin"]
Ascent = Callable[[Logits, Tensor, Tensor], Tensor]
"""``ascent(uphill, x, draws) -> x'``, all ``[n, ...]``; ``uphill`` is the gradient at a point, ``draws`` the start."""


def lead(logits: Tensor, y: Tensor, *, loss: Loss) -> Tensor:
    """Return by how much the other classes lead the true one, ``[n]``, from logits ``[n, classes]``.

    ``margin``: the largest other logit minus the true one (Carlini & Wagner, arXiv:1608.04644). ``ce``: the
    log-sum-exp of the others minus the true logit, which is log((1 - p_y) / p_y) and so grows strictly with the
    cross-entropy -log p_y. Both have the same maxima and, row by row, parallel gradients, but this one does not
    underflow to zero for a confident model.
    """
    true = torch.arange(logits.shape[-1], device=logits.device) == y[..., None]
    others = logits.masked_fill(true, -torch.inf)
    rest = others.logsumexp(-1) if loss == "ce" else others.amax(-1)
    return rest - torch.where(true, logits, 0).sum(-1)


def gradient_of(logits: Logits, x: Tensor, y: Tensor, *, loss: Loss) -> Tensor:
    """Return the gradient ``[n, ...]`` of each row's lead in its own input; works inside ``vmap``."""
    gradient: Tensor = grad(lambda at: lead(logits(at), y, loss=loss).sum())(x)
    return gradient.detach()


def steepest(schema: DataSchema, *, norm: Norm, epsilon: float) -> Callable[[Tensor], Tensor]:
    """Return the function from a gradient ``[n, ...]`` to the move of length ``epsilon`` that raises the loss most.

    Lengths are in units of each feature's range; features that cannot change stay, and so does a row without gradient.
    """
    scale = span(schema) * mutable(schema, norm=norm, epsilon=epsilon)

    def move(gradient: Tensor) -> Tensor:
        unit = scale.to(gradient.device)
        if norm == "linf":
            return epsilon * unit * gradient.sign()
        return epsilon * unit * _normalised(gradient * unit, len(schema.shape))

    return move


def uniform_in_ball(draws: Tensor, origin: Tensor, schema: DataSchema, *, norm: Norm, epsilon: float) -> Tensor:
    """Return points uniform in the ball of radius ``epsilon`` around ``origin``, from draws uniform on [-1, 1].

    All tensors are ``[..., *schema.shape]``; the ball spans the mutable features, in units of their ranges; bounds are
    not kept. L2: normal deviates give the direction, and the chi-square distribution function of their squared length,
    which is uniform and independent of it, gives the radius.
    """
    free = mutable(schema, norm=norm, epsilon=epsilon)
    dimension = int(free.sum())
    unit = (span(schema) * free).to(origin.device)
    if norm == "linf" or dimension == 0:
        return origin + epsilon * unit * draws
    axes = tuple(range(-len(schema.shape), 0))
    # A draw of exactly -1 would be an infinite deviate.
    normal = 2**0.5 * torch.erfinv(draws.clamp(-1 + 1e-6, 1 - 1e-6)) * free.to(draws.device)
    squared = normal.square().sum(axes, keepdim=True)
    half = torch.full_like(squared, dimension / 2)
    radius = torch.special.gammainc(half, squared / 2) ** (1 / dimension)
    point: Tensor = origin + epsilon * unit * radius * _normalised(normal, len(schema.shape))
    return point


def ascent_within(schema: DataSchema, *, norm: Norm, epsilon: float, steps: int, relative_step: float | None) -> Ascent:
    """Return projected gradient ascent, the inner maximisation of robust training.

    It starts from a point uniform in the ball (from draws uniform on [-1, 1]), takes every step at every row, of a
    fraction ``relative_step`` of the budget (none: 2.5 / steps), and ends at a possible input.
    """
    relaxed = projection(schema, norm=norm, epsilon=epsilon, integers=False)
    possible = projection(schema, norm=norm, epsilon=epsilon)
    move = steepest(schema, norm=norm, epsilon=epsilon)
    size = 2.5 / steps if relative_step is None else relative_step

    def ascent(uphill: Logits, origin: Tensor, draws: Tensor) -> Tensor:
        x = relaxed(uniform_in_ball(draws, origin, schema, norm=norm, epsilon=epsilon), origin)
        for _ in range(steps):
            x = relaxed(x + size * move(uphill(x)), origin)
        return possible(x, origin).detach()

    return ascent


def _normalised(vector: Tensor, axes: int) -> Tensor:
    """Return each row at length 1 (0 if it is 0), by its largest entry first, as squares can underflow."""
    over = tuple(range(-axes, 0))
    tiny = torch.finfo(vector.dtype).tiny
    scaled = vector / vector.abs().amax(over, keepdim=True).clamp_min(tiny)
    length: Tensor = torch.linalg.vector_norm(scaled, dim=over, keepdim=True)
    return scaled / length.clamp_min(tiny)
