"""Holm's step-down procedure, as adjusted p values and as the levels that the shown intervals carry."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amulet_core.statistics.interval import refuse


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return the adjusted p values `[m]` in the given order: reject where one is at most alpha.

    The chance of any false rejection is then at most alpha, whatever the dependence between the tests. No p values give
    none back. Raises ValueError for values outside [0, 1]. Source: Holm 1979, Scandinavian J. of Statistics 6:65.
    """
    values = _checked(p_values)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * _hypotheses_left(len(values)))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def holm_levels(p_values: ArrayLike, *, alpha: float = 0.05) -> NDArray[np.float64]:
    """Return for each hypothesis `[m]` the two-sided error rate at which its interval is shown (confidence 1 - rate).

    The i-th smallest p value (from 0) gets alpha / (m - i) up to and including the first that is not rejected; those
    after it keep that rate. An interval then excludes the null value exactly where Holm rejects. The rates follow the
    tests' decisions: they do not make the intervals of m strong effects cover jointly at 1 - alpha.
    Raises ValueError for values outside [0, 1] or alpha outside (0, 1). Source: Holm 1979, as `holm`.
    """
    refuse("Holm levels", [] if 0 < alpha < 1 else [f"alpha must lie between 0 and 1, both excluded, not {alpha}"])
    values = _checked(p_values)
    order = np.argsort(values, kind="stable")
    rates = alpha / _hypotheses_left(len(values))
    kept = np.flatnonzero(holm(values)[order] > alpha)
    if kept.size:
        rates[kept[0] :] = rates[kept[0]]
    levels = np.empty_like(values)
    levels[order] = rates
    return levels


def _hypotheses_left(count: int) -> NDArray[np.float64]:
    return np.arange(count, 0, -1, dtype=np.float64)


def _checked(p_values: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(p_values, dtype=np.float64)
    inside = (values >= 0) & (values <= 1)
    problems = [] if values.ndim == 1 else [f"p values must be a list, not shape {values.shape}"]
    problems += [] if inside.all() else [f"{np.count_nonzero(~inside)} of {values.size} p values lie outside 0 to 1"]
    refuse("Holm", problems)
    return values
