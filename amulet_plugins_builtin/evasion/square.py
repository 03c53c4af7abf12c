"""Square attack (Andriushchenko et al., arXiv:1912.00049): random search by blocks that needs no gradients.

A proposal is taken if it brings the other classes closer to the true one; what is asked is counted, row by row.
"""

import torch
from torch import Generator, Tensor

from amulet_core.feasible import mutable, span
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_core.victims import ProbabilityOracle
from amulet_plugins_builtin.catalogue.evasion_attacks import SquareParams
from amulet_plugins_builtin.evasion.ascent import Logits, lead
from amulet_plugins_builtin.evasion.blocks import Blocks, Draw, feature_blocks, proposed, share_at, square_blocks
from amulet_plugins_builtin.evasion.found import Found, Task, by_budget, kept, survivors, unchanged


def attack(view: EvasionView, params: SquareParams) -> EvasionAnswer:
    """Attack every row at every budget, from the smallest on, with ``queries`` questions for each at most.

    Raises:
        TypeError: if the view's model gives no probabilities.
    """
    if not isinstance(view.model, ProbabilityOracle):
        raise TypeError("square compares probabilities: it needs a view of its victim that gives them")
    ask = view.model.log_probabilities
    found = unchanged(ask, view.x, view.y)
    answers = by_budget(
        view, found, lambda task, found: square(ask, task, found, queries=params.queries, share=params.share)
    )
    return EvasionAnswer(x=answers)


def square(ask: Logits, task: Task, found: Found, *, queries: int, share: float) -> Found:
    """Return the best of ``found`` and of what random search finds with so many ``queries`` for each row.

    ``ask`` gives logits, or log-probabilities, which differ from them by a constant of the row. The first blocks cover
    ``share`` of the features. Rows that are fooled are not asked about again.
    """
    free = mutable(task.schema, norm=task.norm, epsilon=task.epsilon)
    # One draw here, whatever becomes of the search: what follows it does not depend on the victim.
    draws = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    rows = survivors(found, early_stop=True)
    if not free.any() or not len(rows):
        return found
    blocks = _blocks(task, free, draws)
    reach = span(task.schema) * free
    best = _asked(ask, task, rows, _moved(task.x[rows], reach, blocks.start()[rows]))
    for query in range(1, queries):
        if best.fooled.any():
            found = kept(found, rows, best)
            rows, best = _not_fooled(rows, best)
        if not len(rows):
            return found
        drawn = Draw(*(part[rows] for part in blocks.draw(share_at(query, queries, first=share))))
        origin = task.x[rows]
        so_far = torch.where(free, (best.x - origin) / reach, 0).reshape(-1, *blocks.shape)
        step = proposed(so_far, drawn, blocks=blocks, norm=task.norm, epsilon=task.epsilon)
        tried = _asked(ask, task, rows, _moved(origin, reach, step))
        best = kept(best, torch.arange(len(rows)), tried)
    return kept(found, rows, best)


def _blocks(task: Task, free: Tensor, draws: Generator) -> Blocks:
    n, shape = len(task.x), task.schema.shape
    if task.schema.modality == "image" and len(shape) == 3:
        return square_blocks(n, shape, norm=task.norm, epsilon=task.epsilon, draws=draws)
    groups = task.schema.feasible.one_hot
    return feature_blocks(n, free.flatten(), groups=groups, norm=task.norm, epsilon=task.epsilon, draws=draws)


def _moved(origin: Tensor, reach: Tensor, change: Tensor) -> Tensor:
    return origin + reach * change.reshape(origin.shape)


def _asked(ask: Logits, task: Task, rows: Tensor, at: Tensor) -> Found:
    x, y = task.possible(at, task.x[rows]), task.y[rows]
    scores = ask(x)
    return Found(x, lead(scores, y, loss="margin"), scores.argmax(1) != y)


def _not_fooled(rows: Tensor, best: Found) -> tuple[Tensor, Found]:
    going = ~best.fooled
    return rows[going], Found(*(part[going] for part in best))
