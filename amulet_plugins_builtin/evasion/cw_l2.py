"""The L2 attack of Carlini & Wagner (arXiv:1608.04644, section VI.A): Adam on the squared norm plus c times a margin.

Inputs are kept possible by the paper's first way (section V.B), a projection after every step, not by its change of
variables: features on their bounds, as most pixels of a drawing, would hardly move there.
"""

import torch
from torch import Tensor

from amulet_core.feasible import mutable, span
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_plugins_builtin.catalogue.evasion_attacks import CwL2Params
from amulet_plugins_builtin.evasion.ascent import Logits, lead
from amulet_plugins_builtin.evasion.found import Found, Task, kept, unchanged, white_box
from amulet_plugins_builtin.evasion.losses import margin, slope, without_gradients
from amulet_plugins_builtin.evasion.smallest import at_every_budget, merit, untried
from amulet_plugins_builtin.evasion.suspicions import zero_gradients


def attack(view: EvasionView, params: CwL2Params) -> EvasionAnswer:
    """Search the smallest change of every row once, and answer every budget from it.

    Raises:
        ValueError: if budgets are not measured in L2.
        TypeError: if the view's model gives no gradients.
    """
    if view.norm != "l2":
        raise ValueError(
            f"cw-l2 looks for small changes in L2, the threat model's norm is {view.norm}: set "
            "risks.evasion.threat.norm to l2, or leave this attack out"
        )
    logits = white_box(view, "cw-l2").logits
    ask = without_gradients(logits)
    found = unchanged(ask, view.x, view.y)
    warnings = zero_gradients(logits, view, found, attack="cw-l2", share=params.masked_share)
    answers = at_every_budget(view, ask, found, lambda task, rows: carlini_wagner(logits, task, rows, params))
    return EvasionAnswer(x=answers, warnings=warnings)


def carlini_wagner(logits: Logits, task: Task, rows: Tensor, params: CwL2Params) -> Found:
    """Return the smallest change that fools each of ``rows [m]`` by ``kappa``, or the attempt that came closest.

    The weight c of the margin is bisected for each row: less of it after a success, more (at first ten times) after a
    failure. All searches start at the rows themselves.
    """
    best = untried(task, rows)
    weight = torch.full((len(rows),), params.first_constant)
    below, above = torch.zeros_like(weight), torch.full_like(weight, torch.inf)
    for _ in range(params.searches):
        found = _descended(logits, task, rows, params, weight)
        best = kept(best, torch.arange(len(rows)), found)
        above = torch.where(found.fooled, weight, above)
        below = torch.where(found.fooled, below, weight)
        weight = torch.where(above.isinf(), 10 * weight, (below + above) / 2)
    return best


def _descended(logits: Logits, task: Task, rows: Tensor, params: CwL2Params, weight: Tensor) -> Found:
    """Return the best point of a descent on ``|change|^2 + weight max(z_y - max z_other + kappa, 0)``."""
    ask = without_gradients(logits)
    origin, y, every = task.x[rows], task.y[rows], torch.arange(len(rows))
    unit = span(task.schema)
    reach = unit * mutable(task.schema, norm="l2", epsilon=task.epsilon)
    at, change = origin, torch.zeros_like(origin)
    best = untried(task, rows)
    adam = torch.optim.Adam([change], lr=params.learning_rate)
    for step in range(params.steps):
        here = slope(logits, at, y, loss=margin, target=y)
        tried, scores = merit(ask, task, rows, at, ahead=params.kappa, scores=here.scores)
        best = kept(best, every, tried)
        # The margin counts until another class wins by kappa, and that at a possible input: rounding may undo a step.
        counts = weight * (lead(scores, y, loss="margin") <= params.kappa)
        change.grad = 2 * change - counts.reshape(-1, *(1,) * (at.ndim - 1)) * reach * here.gradient
        # A step that falls to nothing lets the row settle on the boundary, which a constant one jumps across.
        adam.param_groups[0]["lr"] = params.learning_rate * (1 - step / params.steps)
        adam.step()
        at = task.relaxed(origin + reach * change, origin)
        change.copy_((at - origin) / unit)
    return kept(best, every, merit(ask, task, rows, at, ahead=params.kappa)[0])
