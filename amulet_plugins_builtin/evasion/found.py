"""What searches for adversarial inputs share: the budget they keep to, what they have found, and which is better.

An input that fools is better than one that does not; among equals the one where other classes lead by more is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from amulet_core.feasible import Projection, projection
from amulet_core.games.evasion import EvasionView
from amulet_core.schema import DataSchema
from amulet_core.victims import WhiteBox
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.evasion.ascent import Logits, Loss, lead, steepest


class Found(NamedTuple):
    """The best input found for each row, ``x [n, ...]``, the lead of the other classes there, and whether it fools."""

    x: Tensor
    lead: Tensor
    fooled: Tensor


@dataclass(frozen=True)
class Task:
    """Rows ``x [n, ...]`` with their true labels ``y [n]``, and what can be reached from them with one budget."""

    x: Tensor
    y: Tensor
    schema: DataSchema
    norm: Norm
    epsilon: float
    relaxed: Projection
    """Onto the ball and the bounds, integers and one-hot groups left relaxed."""
    possible: Projection
    move: Callable[[Tensor], Tensor]
    """From a gradient to the step of the budget's length that raises the loss most."""


def task_of(view: EvasionView, *, epsilon: float) -> Task:
    """Return the task of attacking every row of a view within one budget."""
    schema, norm = view.data_schema, view.norm
    return Task(
        x=view.x,
        y=view.y,
        schema=schema,
        norm=norm,
        epsilon=epsilon,
        relaxed=projection(schema, norm=norm, epsilon=epsilon, integers=False),
        possible=projection(schema, norm=norm, epsilon=epsilon),
        move=steepest(schema, norm=norm, epsilon=epsilon),
    )


def white_box(view: EvasionView, attack: str) -> WhiteBox:
    """Return the view's model.

    Raises:
        TypeError: if it gives no gradients.
    """
    if not isinstance(view.model, WhiteBox):
        raise TypeError(f"{attack} follows gradients: it needs a white-box view of its victim")
    return view.model


def unchanged(ask: Logits, x: Tensor, y: Tensor, *, loss: Loss = "margin") -> Found:
    """Return what is found before any change: a row that is misclassified as it stands needs none."""
    return _judged(x, ask(x), y, loss=loss)


def by_budget(view: EvasionView, found: Found, search: Callable[[Task, Found], Found]) -> Tensor:
    """Return what ``search`` finds at every budget, ``[budgets, n, ...]``; what fools at one is kept for the larger."""
    answers = []
    for epsilon in view.epsilons:
        found = search(task_of(view, epsilon=epsilon), found)
        answers.append(found.x)
    return torch.stack(answers)


def survivors(found: Found, *, early_stop: bool) -> Tensor:
    """Return the indices of the rows that are worth a search: without ``early_stop`` all, else those not fooled."""
    rows = torch.arange(len(found.fooled))
    return rows[~found.fooled] if early_stop else rows


def look(
    ask: Logits,
    task: Task,
    found: Found,
    rows: Tensor,
    at: Tensor,
    *,
    scores: Tensor | None = None,
    loss: Loss = "margin",
) -> Found:
    """Return the better of what was found and the possible input nearest to ``at [m, ...]``, for each of ``rows [m]``.

    ``scores`` are the logits at ``at``, where they are known: they are asked for again only if ``at`` is not possible.
    """
    candidate = task.possible(at, task.x[rows])
    if scores is None or not torch.equal(candidate, at):
        scores = ask(candidate)
    return kept(found, rows, _judged(candidate, scores, task.y[rows], loss=loss))


def kept(found: Found, rows: Tensor, other: Found) -> Found:
    """Return ``found`` with ``other``, which is of ``rows [m]`` (indices), in its place where that is better."""
    before = found.fooled[rows]
    better = (other.fooled & ~before) | ((other.fooled == before) & (other.lead > found.lead[rows]))
    into = rows[better]
    return Found(*(whole.index_copy(0, into, part[better]) for whole, part in zip(found, other, strict=True)))


def _judged(x: Tensor, scores: Tensor, y: Tensor, *, loss: Loss) -> Found:
    return Found(x, lead(scores, y, loss=loss), scores.argmax(1) != y)
