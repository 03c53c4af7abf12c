"""Evasion without gradients: the toolbox's searches row by row, and the nearest change that they found."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from amulet_core.feasible import mutable, project
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_core.victims import LabelOracle, ProbabilityOracle
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from amulet_plugin_art import searches
from amulet_plugin_art.asked import Asked, Floats, Units, units_of
from amulet_plugin_art.settings import HopSkipJumpParams, SimbaParams

# Rounding may put a change of the whole budget a little outside of it.
_SLACK = 1e-5


class Nearest(NamedTuple):
    """The nearest changes so far, in units ``[n, ...]``, and how far they lie ``[n]`` (infinity: none was found)."""

    units: Floats
    distance: NDArray[np.float64]

    def reached(self, epsilon: float) -> NDArray[np.bool_]:
        """Tell which rows were fooled within a budget."""
        return self.distance <= epsilon * (1 + _SLACK)


Search = Callable[[int, NDArray[np.bool_], float], Asked]
"""``search(row, features that may change, budget)``."""


def hop_skip_jump(view: EvasionView, params: HopSkipJumpParams) -> EvasionAnswer:
    """Attack by labels alone, in the view's norm; starts are random inputs and the view's rows of other classes.

    The smallest change is sought once for all budgets, and again only where a larger one lets more features change.
    Chen et al., arXiv:1904.02144, algorithm 2.
    """
    classes, units = len(view.data_schema.classes), units_of(view.data_schema, view.norm, snap="snapped")
    origins, predicted = units.of(view.x), _labels(view)(view.x)

    def ask(x: Tensor) -> Tensor:
        return one_hot(_labels(view)(x), classes).float()

    def search(row: int, free: NDArray[np.bool_], epsilon: float) -> Asked:  # noqa: ARG001 - the smallest is sought
        label = int(view.y[row])
        asked = Asked(ask, units, origins[row], label=label, free=free, queries=params.queries)
        others = origins[(predicted != label).numpy()][: params.starts]
        searches.hop_skip_jump(asked, params, others=others, classes=classes)
        return asked

    return _answer(view, units, search, correct=predicted == view.y, once=True)


def simba(view: EvasionView, params: SimbaParams) -> EvasionAnswer:
    """Attack by probabilities: single features move by a share of the budget (Guo et al., arXiv:1905.07121).

    Every feature is tried once, in random order, so that a change in linf stays within the budget.

    Raises:
        TypeError: if the view's model tells no probabilities.
    """
    model = view.model
    if not isinstance(model, ProbabilityOracle):
        raise TypeError(f"art/simba asks for probabilities, and the view has {type(model).__name__}")
    units, classes = units_of(view.data_schema, view.norm, snap="snapped"), len(view.data_schema.classes)
    origins, width = units.of(view.x), view.data_schema.width
    share = params.relative_step or {"linf": 1.0, "l2": 0.2}[view.norm]

    def search(row: int, free: NDArray[np.bool_], epsilon: float) -> Asked:
        label = int(view.y[row])
        asked = Asked(model.probabilities, units, origins[row], label=label, free=free, queries=params.queries)
        searches.simba(asked, label=label, classes=classes, step=share * epsilon, steps=min(params.steps, width))
        return asked

    return _answer(view, units, search, correct=model.labels(view.x) == view.y, once=False)


def _answer(view: EvasionView, units: Units, search: Search, *, correct: Tensor, once: bool) -> EvasionAnswer:
    """Return the nearest changes found, made possible within every budget; misclassified rows stay as they are.

    The largest budget comes first: rows that it does not fool are not attacked within smaller ones.
    """
    origins = units.of(view.x)
    nearest = Nearest(origins.copy(), np.where(correct.numpy(), np.inf, 0.0))
    rows, before = correct.numpy(), np.zeros(units.shape, dtype=np.bool_)
    for epsilon in reversed(view.epsilons):
        free = mutable(view.data_schema, norm=view.norm, epsilon=epsilon).reshape(units.shape).numpy()
        if free.any() and not (once and np.array_equal(free, before)):
            nearest = _searched(nearest, search, rows & ~nearest.reached(epsilon), free, epsilon=epsilon)
            rows, before = np.isfinite(nearest.distance), free
    # Adding the change, not going back from units, leaves what did not change exactly as it was.
    moved = view.x + (units.rows(nearest.units) - units.rows(origins))
    answers = [project(moved, view.x, view.data_schema, norm=view.norm, epsilon=epsilon) for epsilon in view.epsilons]
    return EvasionAnswer(x=torch.stack(answers))


def _searched(
    nearest: Nearest, search: Search, rows: NDArray[np.bool_], free: NDArray[np.bool_], *, epsilon: float
) -> Nearest:
    """Return the nearest changes after a search on behalf of each of some ``rows [n]``."""
    units, distance = nearest.units.copy(), nearest.distance.copy()
    for row in np.flatnonzero(rows):
        asked = search(int(row), free, epsilon)
        if asked.distance < distance[row]:
            units[row], distance[row] = asked.nearest, asked.distance
    return Nearest(units, distance)


def _labels(view: EvasionView) -> Callable[[Tensor], Tensor]:
    if not isinstance(view.model, LabelOracle):
        raise TypeError(f"art/hop-skip-jump asks for labels, and the view has {type(view.model).__name__}")
    return view.model.labels
