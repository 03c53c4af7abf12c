"""DeepFool (Moosavi-Dezfooli et al., arXiv:1511.04599, algorithm 2): steps onto the nearest linearised boundary.

The class that must lose is the true one; on the rows that are attacked it is the predicted one, as in the paper.
"""

import torch
from torch import Tensor

from amulet_core.data import bounds
from amulet_core.feasible import mutable, span
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.evasion_attacks import DeepFoolParams
from amulet_plugins_builtin.evasion.apgd import likeliest
from amulet_plugins_builtin.evasion.ascent import Logits
from amulet_plugins_builtin.evasion.found import Found, Task, kept, unchanged, white_box
from amulet_plugins_builtin.evasion.losses import pulled_back, rows_at_once, tracked, without_gradients
from amulet_plugins_builtin.evasion.smallest import at_every_budget, merit, untried
from amulet_plugins_builtin.evasion.suspicions import zero_gradients

# A boundary is met exactly only by chance; this much of the largest logit counts as beyond it.
_BEYOND = 1e-6


def attack(view: EvasionView, params: DeepFoolParams) -> EvasionAnswer:
    """Search a small change of every row once, and answer every budget from it.

    Raises:
        TypeError: if the view's model gives no gradients.
    """
    logits = white_box(view, "deepfool").logits
    ask = without_gradients(logits)
    found = unchanged(ask, view.x, view.y)
    warnings = zero_gradients(logits, view, found, attack="deepfool", share=params.masked_share)
    answers = at_every_budget(view, ask, found, lambda task, rows: deepfool(logits, task, rows, params))
    return EvasionAnswer(x=answers, warnings=warnings)


def deepfool(logits: Logits, task: Task, rows: Tensor, params: DeepFoolParams) -> Found:
    """Return the first input that fools each of ``rows [m]``, or the attempt where the other classes led most.

    Where rounding takes a step back (integers, one-hot groups), the step aims from the logits after rounding.
    """
    ask = without_gradients(logits)
    best = untried(task, rows)
    going, at = torch.arange(len(rows)), task.x[rows]
    for step in range(params.steps + 1):
        tried, scores = merit(ask, task, rows[going], at)
        best = kept(best, going, tried)
        stays = ~tried.fooled
        going, at = going[stays], at[stays]
        if not len(going) or step == params.steps:
            break
        origin = task.x[rows[going]]
        nearest = _to_the_boundary(logits, task, at, task.y[rows[going]], scores[stays], classes=params.classes)
        change = (at - origin) / (1 + params.overshoot) + nearest
        at = task.relaxed(origin + (1 + params.overshoot) * change, origin)
    return best


def _to_the_boundary(logits: Logits, task: Task, at: Tensor, y: Tensor, scores: Tensor, *, classes: int) -> Tensor:
    """Return the smallest step ``[m, ...]`` from ``at`` onto a linearised boundary, judged by logits ``scores``."""
    size = rows_at_once(at)
    parts = zip(at.split(size), y.split(size), scores.split(size), strict=True)
    return torch.cat([_part(logits, task, *part, classes=classes) for part in parts])


def _part(logits: Logits, task: Task, at: Tensor, y: Tensor, scores: Tensor, *, classes: int) -> Tensor:
    low, high = bounds(task.schema)
    scale = span(task.schema) * mutable(task.schema, norm=task.norm, epsilon=task.epsilon)
    axes = tuple(range(1, at.ndim))
    point, here = tracked(logits, at)
    gap = (scores.gather(1, y[:, None]) - scores).clamp_min(0) + _BEYOND * scores.abs().amax(1, keepdim=True)
    shortest, step = torch.full_like(scores[:, :1], torch.inf), torch.zeros_like(at)
    for other in likeliest(scores, y, count=classes).unbind(1):
        towards = torch.zeros_like(here).scatter(1, other[:, None], 1.0).scatter(1, y[:, None], -1.0)
        uphill = pulled_back(here, point, along=towards) * scale
        # A feature at its bound can go no further, and the others must make up for it.
        uphill = torch.where(((at <= low) & (uphill < 0)) | ((at >= high) & (uphill > 0)), 0, uphill)
        length, unit = _dual(uphill, norm=task.norm, axes=axes)
        needed = gap.gather(1, other[:, None]) / length
        nearer = needed < shortest
        shortest = torch.where(nearer, needed, shortest)
        step = torch.where(_wide(nearer, at), _wide(needed, at) * unit * scale, step)
    return step


def _dual(uphill: Tensor, *, norm: Norm, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return how much a unit of budget raises the linearised difference, ``[m, 1]``, and the direction of most."""
    if norm == "linf":
        return uphill.abs().sum(axes)[:, None], uphill.sign()
    length = torch.linalg.vector_norm(uphill, dim=axes)[:, None]
    return length, uphill / _wide(length, uphill).clamp_min(torch.finfo(uphill.dtype).tiny)


def _wide(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *(1,) * (like.ndim - 1))
