"""Auto-PGD (Croce & Hein, arXiv:2003.01690, algorithm 1): gradient steps with momentum whose length adapts by itself.

A row's steps are halved, and it returns to its best point, where a stretch between two checkpoints brought too little.
"""

from itertools import pairwise
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from amulet_core.feasible import distance
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_plugins_builtin.catalogue.evasion_attacks import ApgdParams
from amulet_plugins_builtin.evasion.ascent import Logits, uniform_in_ball
from amulet_plugins_builtin.evasion.found import Found, Task, by_budget, look, survivors, unchanged, white_box
from amulet_plugins_builtin.evasion.losses import Loss, loss_named, slope, without_gradients
from amulet_plugins_builtin.evasion.suspicions import zero_gradients

_MOMENTUM = 0.75
_RISING = 0.75


class Climb(NamedTuple):
    """How climbs are made: what is climbed, the steps of each, how many, and whether fooled rows are left alone."""

    loss: Loss
    steps: int
    restarts: int = 1
    early_stop: bool = True


def attack(view: EvasionView, params: ApgdParams) -> EvasionAnswer:
    """Attack every row at every budget, from the smallest on.

    Raises:
        TypeError: if the view's model gives no gradients.
    """
    logits = white_box(view, "apgd").logits
    ask = without_gradients(logits)
    found = unchanged(ask, view.x, view.y)
    warnings = zero_gradients(logits, view, found, attack="apgd", share=params.masked_share)
    loss = loss_named(params.loss, classes=len(view.data_schema.classes))
    climb = Climb(loss, params.steps, params.restarts, params.early_stop)
    targets = likeliest(ask(view.x), view.y, count=params.targets) if params.loss == "targeted-dlr" else view.y[:, None]
    answers = by_budget(view, found, lambda task, found: apgd(logits, task, found, climb=climb, targets=targets))
    return EvasionAnswer(x=answers, warnings=warnings)


def likeliest(scores: Tensor, y: Tensor, *, count: int) -> Tensor:
    """Return the ``count`` (or as many as there are) likeliest wrong classes of each row, ``[n, count]``."""
    others = scores.scatter(1, y[:, None], -torch.inf)
    return others.topk(min(count, scores.shape[1] - 1), dim=1).indices


def apgd(logits: Logits, task: Task, found: Found, *, climb: Climb, targets: Tensor) -> Found:
    """Return the best of ``found`` and of what the climbs find, for each column of ``targets [n, t]`` in turn.

    Each climb starts from a point uniform in the ball. Losses without a target ignore it; they want one column.
    """
    for target in targets.unbind(1):
        for _ in range(climb.restarts):
            # Drawn for all rows, fooled or not, so that the draws do not depend on the victim.
            draws = torch.rand_like(task.x) * 2 - 1
            start = uniform_in_ball(draws, task.x, task.schema, norm=task.norm, epsilon=task.epsilon)
            found = _climbed(logits, task, found, start, climb=climb, target=target)
    return found


class _State(NamedTuple):
    """Where the climbing rows are: every field has one entry for each of them.

    ``rows`` are their indices; ``at``, ``gradient``, ``value`` the current point, ``before`` the previous one, ``top``,
    ``top_gradient``, ``top_value`` the best one. Since the last checkpoint: ``risen`` counts the steps that raised the
    loss, ``mark`` is the best loss there, and ``halved`` whether the ``size`` was halved there.
    """

    rows: Tensor
    at: Tensor
    before: Tensor
    gradient: Tensor
    value: Tensor
    top: Tensor
    top_gradient: Tensor
    top_value: Tensor
    size: Tensor
    risen: Tensor
    mark: Tensor
    halved: Tensor


def _climbed(logits: Logits, task: Task, found: Found, start: Tensor, *, climb: Climb, target: Tensor) -> Found:
    ask = without_gradients(logits)
    rows = survivors(found, early_stop=climb.early_stop)
    if not len(rows):
        return found
    at = task.relaxed(start[rows], task.x[rows])
    here = slope(logits, at, task.y[rows], loss=climb.loss, target=target[rows])
    found = look(ask, task, found, rows, at, scores=here.scores)
    state = _start(rows, at, here.gradient, here.value)
    checks = {check: check - previous for previous, check in _checkpoints(climb.steps)}
    for step in range(climb.steps):
        state = _only(state, ~found.fooled[state.rows]) if climb.early_stop else state
        if not len(state.rows):
            return found
        at = _next(task, state, momentum=_MOMENTUM if step else 1.0)
        here = slope(logits, at, task.y[state.rows], loss=climb.loss, target=target[state.rows])
        found = look(ask, task, found, state.rows, at, scores=here.scores)
        state = _arrived(state, at, here.gradient, here.value)
        if step + 1 in checks:
            state = _checked(state, stretch=checks[step + 1])
    return found


def _start(rows: Tensor, at: Tensor, gradient: Tensor, value: Tensor) -> _State:
    zero = torch.zeros_like(value)
    # Algorithm 1 begins with steps of twice the budget.
    return _State(
        rows, at, at, gradient, value, at, gradient, value, size=zero + 2, risen=zero, mark=value, halved=zero > 0
    )


def _next(task: Task, state: _State, *, momentum: float) -> Tensor:
    origin = task.x[state.rows]
    stepped = task.relaxed(state.at + _wide(state.size, origin) * task.move(state.gradient), origin)
    ahead = state.at + momentum * (stepped - state.at) + (1 - momentum) * (state.at - state.before)
    return _not_outside(task, task.relaxed(ahead, origin), origin)


def _not_outside(task: Task, at: Tensor, origin: Tensor) -> Tensor:
    """Draw points in that lie outside an L2 ball by what the projection takes for rounding: momentum adds that up."""
    if task.norm == "linf":
        return at
    used = distance(at, origin, task.schema, norm="l2")
    return torch.where(_wide(used > task.epsilon, at), origin + _wide(task.epsilon / used, at) * (at - origin), at)


def _arrived(state: _State, at: Tensor, gradient: Tensor, value: Tensor) -> _State:
    best = value > state.top_value
    return state._replace(
        at=at,
        before=state.at,
        gradient=gradient,
        value=value,
        top=_where(best, at, state.top),
        top_gradient=_where(best, gradient, state.top_gradient),
        top_value=torch.where(best, value, state.top_value),
        risen=state.risen + (value > state.value),
    )


def _checked(state: _State, *, stretch: int) -> _State:
    """Halve the steps of the rows that rose too rarely, or not at all at an unchanged size, and send them back."""
    rarely = state.risen < _RISING * stretch
    stuck = ~state.halved & (state.top_value == state.mark)
    halves = rarely | stuck
    return state._replace(
        at=_where(halves, state.top, state.at),
        gradient=_where(halves, state.top_gradient, state.gradient),
        value=torch.where(halves, state.top_value, state.value),
        size=torch.where(halves, state.size / 2, state.size),
        risen=torch.zeros_like(state.risen),
        mark=state.top_value,
        halved=halves,
    )


def _checkpoints(steps: int) -> list[tuple[int, int]]:
    """Return the checkpoints (each with the one before it): ever shorter stretches, from .22 to .06 of the steps."""
    places = [0.0, 0.22]
    while places[-1] < 1:
        places.append(places[-1] + max(places[-1] - places[-2] - 0.03, 0.06))
    # Sums of hundredths come out a rounding error beside the whole number that they mean.
    marks = sorted({ceil(place * steps - 1e-6) for place in places})
    return list(pairwise(marks))


def _only(state: _State, keep: Tensor) -> _State:
    return state if keep.all() else _State(*(part[keep] for part in state))


def _where(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(_wide(condition, yes), yes, no)


def _wide(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *(1,) * (like.ndim - 1))
