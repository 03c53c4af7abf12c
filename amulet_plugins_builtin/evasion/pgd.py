"""Projected gradient descent (Madry et al., arXiv:1706.06083): steps uphill on the loss of the true label, restarted.

Rows that are fooled already are left alone, and what fools a row at one budget is kept for all larger ones.
"""

import torch
from torch import Tensor

from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_plugins_builtin.catalogue.evasion import PgdParams
from amulet_plugins_builtin.evasion.ascent import Logits, uniform_in_ball
from amulet_plugins_builtin.evasion.found import Found, Task, by_budget, look, survivors, unchanged, white_box
from amulet_plugins_builtin.evasion.losses import loss_named, slope, without_gradients
from amulet_plugins_builtin.evasion.suspicions import zero_gradients


def attack(view: EvasionView, params: PgdParams) -> EvasionAnswer:
    """Attack every row at every budget, from the smallest on.

    Raises:
        TypeError: if the view's model gives no gradients.
    """
    logits = white_box(view, "pgd").logits
    found = unchanged(without_gradients(logits), view.x, view.y, loss=params.loss)
    loss = loss_named(params.loss, classes=len(view.data_schema.classes))
    warnings = zero_gradients(logits, view, found, attack="pgd", share=params.masked_share, loss=loss)
    answers = by_budget(view, found, lambda task, found: pgd(logits, task, found, params))
    return EvasionAnswer(x=answers, warnings=warnings)


def pgd(logits: Logits, task: Task, found: Found, params: PgdParams) -> Found:
    """Return the best of ``found`` and of what ``params.restarts`` climbs find.

    The first climb starts from the rows themselves, the others from points uniform in the ball.
    """
    for restart in range(params.restarts):
        # Drawn for all rows, fooled or not, so that the draws do not depend on the victim.
        draws = torch.rand_like(task.x) * 2 - 1
        start = task.x
        if restart:
            start = uniform_in_ball(draws, task.x, task.schema, norm=task.norm, epsilon=task.epsilon)
        found = _climbed(logits, task, found, start, params)
    return found


def _climbed(logits: Logits, task: Task, found: Found, start: Tensor, params: PgdParams) -> Found:
    ask, loss = without_gradients(logits), loss_named(params.loss, classes=len(task.schema.classes))
    size = 2.5 / params.steps if params.relative_step is None else params.relative_step
    rows = survivors(found, early_stop=params.early_stop)
    at = task.relaxed(start, task.x)[rows]
    for _ in range(params.steps):
        if not len(rows):
            return found
        y = task.y[rows]
        here = slope(logits, at, y, loss=loss, target=y)
        found = look(ask, task, found, rows, at, scores=here.scores, loss=params.loss)
        at = task.relaxed(at + size * task.move(here.gradient), task.x[rows])
        if params.early_stop:
            survives = ~found.fooled[rows]
            at, rows = at[survives], rows[survives]
    return look(ask, task, found, rows, at, loss=params.loss) if len(rows) else found
