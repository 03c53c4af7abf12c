"""The most accurate thresholds, one for each group, under which the groups' rates lie within a tolerance: exact."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SLACK = 1e-12


@dataclass(frozen=True)
class Scored:
    """Rows ``[n]``: the log-odds of the positive class, whether it is the true one, whether the row counts, its group.

    A group's rate is the share of its counted rows whose margin is above the threshold.
    """

    margin: NDArray[np.float64]
    positive: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    group: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Return the share of rows that are right at threshold 0."""
        return float(((self.margin > 0) == self.positive).mean())


class _Options(NamedTuple):
    """The thresholds that tell a group's rows apart, best first, with the rate and the gain of each."""

    threshold: NDArray[np.float64]
    rate: NDArray[np.float64]
    gain: NDArray[np.float64]


def best_thresholds(rows: Scored, groups: Sequence[int], *, tolerance: float, balanced: bool) -> NDArray[np.float64]:
    """Return a threshold for each of ``groups`` that maximises accuracy (``balanced``: over both classes alike).

    In the best solution every rate lies between the smallest, ``s``, and ``s + tolerance``; given ``s``, the groups
    choose independently. So it is found by trying every rate that some group can have as ``s``. Among equally good
    thresholds those nearest to 0 are taken, which leave the model as it is.
    """
    weight = _weights(rows, balanced=balanced)
    options = [_options(rows, group, weight) for group in groups]
    starts = np.unique(np.concatenate([one.rate for one in options]))
    within = [
        (one.rate >= starts[:, None] - _SLACK) & (one.rate <= starts[:, None] + tolerance + _SLACK) for one in options
    ]
    feasible = np.logical_and.reduce([allowed.any(1) for allowed in within])
    # Options are sorted, so the first allowed one is a group's best.
    chosen = np.stack([allowed.argmax(1) for allowed in within])[:, feasible]
    gains = sum(one.gain[at] for one, at in zip(options, chosen, strict=True))
    moved = sum(np.abs(one.threshold[at]) for one, at in zip(options, chosen, strict=True))
    best = np.lexsort((moved, -np.round(gains, 9)))[0]
    return np.array([one.threshold[at] for one, at in zip(options, chosen[:, best], strict=True)])


def largest_gap(rows: Scored, groups: Sequence[int]) -> float:
    """Return the largest difference of the groups' rates at threshold 0."""
    chosen = [rows.counted & (rows.group == group) for group in groups]
    return float(np.ptp([(rows.margin[own] > 0).mean() for own in chosen]))


def _weights(rows: Scored, *, balanced: bool) -> NDArray[np.float64]:
    """Return what each row is worth if it is right."""
    if not balanced:
        return np.ones(len(rows.margin))
    positives = max(1, int(rows.positive.sum()))
    negatives = max(1, len(rows.positive) - positives)
    return np.where(rows.positive, len(rows.positive) / positives, len(rows.positive) / negatives)


def _options(rows: Scored, group: int, weight: NDArray[np.float64]) -> _Options:
    own = rows.group == group
    margin = np.unique(rows.margin[own])
    # 0 is an option too: with it, a model that is fair as it is stays as it is.
    between = np.unique(np.concatenate([[margin[0] - 1, margin[-1] + 1, 0.0], (margin[1:] + margin[:-1]) / 2]))
    above = rows.margin[own][:, None] > between
    rate = above[rows.counted[own]].mean(0)
    gain = (weight[own][:, None] * (above == rows.positive[own][:, None])).sum(0)
    order = np.lexsort((np.abs(between), -np.round(gain, 9)))
    return _Options(between[order], rate[order], gain[order])
