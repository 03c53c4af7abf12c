"""How far rows lie from a model's decision boundaries: what dataset inference reads (arXiv:2104.10706, section 5.2)."""

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from amulet_core.data import bounds
from amulet_core.feasible import span
from amulet_core.schema import DataSchema

Labels = Callable[[Tensor], Tensor]
Logits = Callable[[Tensor], Tensor]

_SIZES: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "l1": lambda moved: moved.abs().mean(-1),
    "l2": lambda moved: moved.square().mean(-1).sqrt(),
    "linf": lambda moved: moved.abs().amax(-1),
}
"""The size of a move ``[..., d]`` in units of the ranges: mean, root mean square and largest absolute change."""

_NOISE: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "l1": lambda coins: (-torch.log1p(-(2 * coins - 1).abs().clamp_max(1 - 1e-7))) * (2 * coins - 1).sign(),
    "l2": lambda coins: torch.special.ndtri(coins.clamp(1e-7, 1 - 1e-7)),
    "linf": lambda coins: 2 * coins - 1,
}
"""Laplace, Gaussian and uniform noise from uniform draws on 0 .. 1."""

_SPARSE: Final = 0.05
"""The share of the features that a step moves where their sum counts."""


def blind_walk(
    labels: Labels, x: Tensor, y: Tensor, schema: DataSchema, *, walks: int, step: float, steps: int, seed: int
) -> Tensor:
    """Return the distances at which random walks from rows leave their class, float32 ``[n, 3 * walks]``.

    For each row, ``walks`` straight walks in each of three kinds of noise (Laplace, Gaussian, uniform; measured by
    mean, root mean square and largest change), in steps that long, kept within the bounds. A walk that never leaves
    counts as long as it is; a row that the model gets wrong is 0 from the boundary. A row's walks of one kind come in
    the order of their length, since one random direction means no more than another.
    """
    draws = torch.Generator().manual_seed(seed)
    low, high = (bound.flatten() for bound in bounds(schema))
    start, truth = x.flatten(1).repeat(walks, 1), y.repeat(walks)
    found = []
    for norm, noise in _NOISE.items():
        direction = noise(torch.rand(start.shape, generator=draws, dtype=torch.float64)).float()
        direction /= _SIZES[norm](direction)[:, None]
        end = _end_of_walk(
            lambda rows: labels(rows.reshape(-1, *schema.shape)),
            start,
            truth,
            step * (high - low) * direction,
            lambda rows: torch.minimum(torch.maximum(rows, low), high),
            steps,
        )
        length = _SIZES[norm]((end - start) / (high - low))
        found.append(length.reshape(walks, len(x)).T.sort(1).values)
    return torch.cat(found, 1)


def _end_of_walk(
    labels: Labels, start: Tensor, truth: Tensor, stride: Tensor, inside: Callable[[Tensor], Tensor], steps: int
) -> Tensor:
    """Return where each walk meets another label, or its last place. Only walks that still go on are asked about."""
    end = start.clone()
    going = labels(start) == truth
    for count in range(1, steps + 1):
        rows = going.nonzero()[:, 0]
        if not len(rows):
            break
        end[rows] = inside(start[rows] + count * stride[rows])
        going[rows] = labels(end[rows]) == truth[rows]
    return end


def gradient_walk(logits: Logits, x: Tensor, y: Tensor, schema: DataSchema, *, step: float, steps: int) -> Tensor:
    """Return the distances at which gradient descent reaches each class, float32 ``[n, 3 * classes]``.

    For each of three norms (mean, root mean square and largest change) first the distance to the row's own class (0
    where the model gets it right), then those to the others from near to far. A class that is not reached counts as
    far as the walk came, in ``steps`` steps at most.

    Raises:
        ValueError: if the model gives no gradients.
    """
    classes = len(schema.classes)
    start, goal = x.repeat(classes, *[1] * (x.ndim - 1)), torch.arange(classes).repeat_interleave(len(x))
    width = span(schema)
    found = []
    for norm, size in _SIZES.items():
        end = _end_of_descent(logits, start, goal, schema, norm=norm, step=step, steps=steps)
        length = size(((end - start) / width).flatten(1)).reshape(classes, len(x)).T
        own = torch.arange(classes) == y[:, None]
        others = length.masked_fill(own, torch.inf).sort(1).values[:, :-1]
        found.append(torch.cat([length[own][:, None], others], 1))
    return torch.cat(found, 1)


def _end_of_descent(
    logits: Logits, start: Tensor, goal: Tensor, schema: DataSchema, *, norm: str, step: float, steps: int
) -> Tensor:
    low, high = bounds(schema)
    end = start.clone()
    going = torch.arange(len(start))
    for _ in range(steps):
        with torch.enable_grad():
            probe = end[going].requires_grad_()
            now = logits(probe)
            if not now.requires_grad:
                raise ValueError("a model gives no gradients, which distances by descent need: use random walks")
            short = now.argmax(1) != goal[going]
            (slope,) = torch.autograd.grad(cross_entropy(now, goal[going], reduction="sum"), probe)
        going = going[short]
        if not len(going):
            break
        place = end[going]
        uphill = -slope[short] * (high - low)
        # What stands at its bound and is pushed out of it takes no part in the step.
        uphill = torch.where(((place <= low) & (uphill < 0)) | ((place >= high) & (uphill > 0)), 0.0, uphill)
        stride = _steepest(uphill.flatten(1), norm).reshape(place.shape)
        end[going] = torch.minimum(torch.maximum(place + step * stride * (high - low), low), high)
    return end


def _steepest(slope: Tensor, norm: str) -> Tensor:
    """Return the step ``[n, d]`` of size 1 that goes up fastest (for the mean: some of the features, each by 1)."""
    if norm == "linf":
        return slope.sign()
    if norm == "l2":
        length = _SIZES["l2"](slope)[:, None]
        return torch.where(length > 0, slope / length, 0.0)
    kept = slope.abs().topk(max(1, round(_SPARSE * slope.shape[1])), 1).indices
    return torch.zeros_like(slope).scatter_(1, kept, slope.sign().gather(1, kept))
