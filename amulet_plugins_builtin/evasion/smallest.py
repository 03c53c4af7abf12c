"""What attacks that look for the smallest change share: one search serves all budgets, a whole security curve.

At every budget a row becomes the smallest change that fools it, where that fits; else that change (or the best attempt)
drawn in to the budget, where this brings the other classes closer to the true one.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from amulet_core.feasible import distance, mutable
from amulet_core.games.evasion import EvasionView
from amulet_core.schema import DataSchema
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.evasion.ascent import Logits, lead
from amulet_plugins_builtin.evasion.found import Found, Task, kept, look, survivors, task_of

Search = Callable[[Task, Tensor], Found]
"""``search(task, rows [m])``: the smallest change that fools each of the rows (``lead`` is minus its size), or the
attempt where the other classes led most. The task's budget is no limit: it spans the data's bounds."""


def at_every_budget(view: EvasionView, ask: Logits, found: Found, search: Search) -> Tensor:
    """Return the answers ``[budgets, n, ...]``, from one search for all budgets that reach the same features."""
    answers: list[Tensor] = []
    searched: Found | None = None
    open_before: Tensor | None = None
    for epsilon in view.epsilons:
        free = mutable(view.data_schema, norm=view.norm, epsilon=epsilon)
        rows = survivors(found, early_stop=True)
        if searched is None or open_before is None or not torch.equal(free, open_before):
            searched, open_before = _searched(view, found, rows, free, search), free
        if len(rows):
            found = look(ask, task_of(view, epsilon=epsilon), found, rows, searched.x[rows])
        answers.append(found.x)
    return torch.stack(answers)


def untried(task: Task, rows: Tensor) -> Found:
    """Return what a search has of ``rows [m]`` before its first look: the rows themselves, worse than anything."""
    return Found(task.x[rows], task.x.new_full((len(rows),), -torch.inf), torch.zeros(len(rows), dtype=torch.bool))


def merit(
    ask: Logits, task: Task, rows: Tensor, at: Tensor, *, ahead: float = 0.0, scores: Tensor | None = None
) -> tuple[Found, Tensor]:
    """Return the possible inputs nearest to ``at [m, ...]`` as a search judges them, and the logits there.

    Those that fool by a margin of ``ahead`` are the better the smaller their change is. ``scores`` are the logits at
    ``at``, where they are known: they are asked for again only if ``at`` is not possible.
    """
    x, y = task.possible(at, task.x[rows]), task.y[rows]
    if scores is None or not torch.equal(x, at):
        scores = ask(x)
    margin = lead(scores, y, loss="margin")
    fools = (scores.argmax(1) != y) & (margin >= ahead)
    size = distance(x, task.x[rows], task.schema, norm=task.norm)
    return Found(x, torch.where(fools, -size, margin), fools), scores


def _searched(view: EvasionView, found: Found, rows: Tensor, free: Tensor, search: Search) -> Found:
    schema, norm = _only(view.data_schema, free), view.norm
    if not len(rows) or not free.any():
        return found
    task = task_of(view.model_copy(update={"data_schema": schema}), epsilon=_no_limit(schema, norm=norm))
    return kept(untried(task, torch.arange(len(view.x))), rows, search(task, rows))


def _only(schema: DataSchema, free: Tensor) -> DataSchema:
    """Return the schema in which nothing but the features ``free [*shape]`` can change."""
    fixed = tuple((~free.flatten()).nonzero()[:, 0].tolist())
    return schema.model_copy(update={"feasible": schema.feasible.model_copy(update={"immutable": fixed})})


def _no_limit(schema: DataSchema, *, norm: Norm) -> float:
    return 1.0 if norm == "linf" else math.sqrt(schema.width)
