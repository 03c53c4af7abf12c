"""Projected gradient descent (Madry et al., arXiv:1706.06083): steps uphill on the loss of the true label, restarted.

Rows that are fooled already are left alone, and what fools a row at one budget is kept for all larger ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from amulet_core.feasible import Projection, mutable, projection
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_core.schema import DataSchema
from amulet_core.victims import WhiteBox
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.evasion import PgdParams
from amulet_plugins_builtin.evasion.ascent import Logits, Loss, gradient_of, lead, steepest, uniform_in_ball


class Found(NamedTuple):
    """The best input found for each row, ``x [n, ...]``, the lead of the other classes there, and whether it fools."""

    x: Tensor
    lead: Tensor
    fooled: Tensor


def attack(view: EvasionView, params: PgdParams) -> EvasionAnswer:
    """Attack every row at every budget, from the smallest on.

    Raises:
        TypeError: if the view's model gives no gradients.
    """
    if not isinstance(view.model, WhiteBox):
        raise TypeError("pgd follows gradients: it needs a white-box view of its victim")
    logits = view.model.logits
    with torch.no_grad():
        found = unchanged(logits, view.x, view.y, loss=params.loss)
    warnings = masked_gradients(logits, view, found, params)
    answers = []
    for epsilon in view.epsilons:
        found = pgd(
            logits, view.x, view.y, view.data_schema, norm=view.norm, epsilon=epsilon, params=params, found=found
        )
        answers.append(found.x)
    return EvasionAnswer(x=torch.stack(answers), warnings=warnings)


def unchanged(logits: Logits, x: Tensor, y: Tensor, *, loss: Loss) -> Found:
    """Return what is found before any change: a row that is misclassified as it stands needs none."""
    scores = logits(x)
    return Found(x, lead(scores, y, loss=loss), scores.argmax(1) != y)


def pgd(
    logits: Logits,
    x: Tensor,
    y: Tensor,
    schema: DataSchema,
    *,
    norm: Norm,
    epsilon: float,
    params: PgdParams,
    found: Found,
) -> Found:
    """Return the best of ``found`` and of what ``params.restarts`` climbs within ``epsilon`` of ``x [n, ...]`` find.

    The first climb starts from the rows themselves, the others from points uniform in the ball. An input that fools
    is better than one that does not; among equals the one with the larger loss is.
    """
    task = _Task(
        logits=logits,
        x=x,
        y=y,
        params=params,
        relaxed=projection(schema, norm=norm, epsilon=epsilon, integers=False),
        possible=projection(schema, norm=norm, epsilon=epsilon),
        move=steepest(schema, norm=norm, epsilon=epsilon),
    )
    for restart in range(params.restarts):
        # Drawn for all rows, fooled or not, so that the draws do not depend on the victim.
        draws = torch.rand_like(x) * 2 - 1
        start = x if restart == 0 else uniform_in_ball(draws, x, schema, norm=norm, epsilon=epsilon)
        found = _climb(task, start, found)
    return found


class _Task(NamedTuple):
    logits: Logits
    x: Tensor
    y: Tensor
    params: PgdParams
    relaxed: Projection
    possible: Projection
    move: Callable[[Tensor], Tensor]


def _climb(task: _Task, start: Tensor, found: Found) -> Found:
    params = task.params
    size = 2.5 / params.steps if params.relative_step is None else params.relative_step
    at, rows = _survivors(found, torch.arange(len(task.y)), task.relaxed(start, task.x), params)
    for _ in range(params.steps):
        if not len(rows):
            return found
        gradient, scores = gradient_of(task.logits, at, task.y[rows], loss=params.loss)
        found = _look(task, found, rows, at, scores)
        at = task.relaxed(at + size * task.move(gradient), task.x[rows])
        at, rows = _survivors(found, rows, at, params)
    return _look(task, found, rows, at, None) if len(rows) else found


def _look(task: _Task, found: Found, rows: Tensor, at: Tensor, scores: Tensor | None) -> Found:
    """Return the better of what was found and the possible input nearest to ``at``, for each of ``rows``."""
    candidate = task.possible(at, task.x[rows])
    if scores is None or not torch.equal(candidate, at):
        with torch.no_grad():
            scores = task.logits(candidate)
    ahead, fooled = lead(scores, task.y[rows], loss=task.params.loss), scores.argmax(1) != task.y[rows]
    before = found.fooled[rows]
    better = (fooled & ~before) | ((fooled == before) & (ahead > found.lead[rows]))
    into = rows[better]
    return Found(
        found.x.index_copy(0, into, candidate[better]),
        found.lead.index_copy(0, into, ahead[better]),
        found.fooled.index_copy(0, into, fooled[better]),
    )


def _survivors(found: Found, rows: Tensor, at: Tensor, params: PgdParams) -> tuple[Tensor, Tensor]:
    """Return the points, and the rows they belong to, that are worth another step."""
    if not params.early_stop:
        return at, rows
    survives = ~found.fooled[rows]
    return at[survives], rows[survives]


def masked_gradients(logits: Logits, view: EvasionView, found: Found, params: PgdParams) -> tuple[str, ...]:
    """Return a warning if the gradient is exactly zero at too many of the rows that the model classifies correctly."""
    rows = ~found.fooled
    if not rows.any():
        return ()
    gradient, _ = gradient_of(logits, view.x[rows], view.y[rows], loss=params.loss)
    free = mutable(view.data_schema, norm=view.norm, epsilon=view.epsilons[-1])
    zero = int((gradient * free == 0).flatten(1).all(1).sum())
    if zero <= params.masked_share * len(gradient):
        return ()
    text = (
        f"masked gradients: the gradient of the loss is exactly zero at {zero} of the {len(gradient)} rows that the "
        "model classifies correctly, so pgd cannot see which way to go there and the robust accuracy may be too high; "
        "run an attack without gradients beside it"
    )
    return (text,)
