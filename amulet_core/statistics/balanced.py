"""Balanced accuracy over groups of rows, each guessed right or wrong, and the paired gain over other guesses."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amulet_core.statistics.interval import Interval, level_problems, normal_quantile, refuse
from amulet_core.statistics.proportions import clopper_pearson


def balanced_accuracy(right: ArrayLike, group: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return the mean over the groups of the share of their rows that were guessed right.

    Shapes: right `[n]` boolean, group `[n]` integer labels. The rule of guessing must have been fixed without these
    rows. The limits of the groups' shares are Clopper-Pearson; their distances are added in quadrature (variance
    estimates recovery: Zou & Donner 2008, Statistics in Medicine 27:1693). ValueError lists all problems.
    """
    (flags,), labels = _checked("balanced accuracy", [right], group, level)
    parts = [flags[labels == one] for one in np.unique(labels)]
    shares = [clopper_pearson(int(part.sum()), len(part), level=level) for part in parts]
    accuracy = sum(share.estimate for share in shares) / len(shares)
    low = accuracy - math.hypot(*(share.estimate - share.low for share in shares)) / len(shares)
    high = accuracy + math.hypot(*(share.high - share.estimate for share in shares)) / len(shares)
    return Interval(accuracy, low, high, level, "Clopper-Pearson in quadrature")


def balanced_gain(right: ArrayLike, other: ArrayLike, group: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return the balanced accuracy of guesses less that of other guesses about the same rows.

    Shapes: right and other `[n]` boolean, group `[n]` integer labels. Rows on which both are right, or both wrong, tell
    nothing. Each group's difference of matched proportions has half a row added to each of its four counts (Agresti &
    Min 2005, Statistics in Medicine 24:729), so that an interval has a width where all guesses agree; the
    variances of the groups are added. ValueError lists all problems.
    """
    (first, second), labels = _checked("gain in balanced accuracy", [right, other], group, level)
    groups = np.unique(labels)
    gain = centre = variance = 0.0
    for one in groups:
        rows = labels == one
        n = int(rows.sum())
        won, lost = int((first & ~second & rows).sum()), int((second & ~first & rows).sum())
        gain += (won - lost) / n
        centre += (won - lost) / (n + 2)
        variance += (won + lost + 1 - (won - lost) ** 2 / (n + 2)) / (n + 2) ** 2
    gain, centre = gain / len(groups), centre / len(groups)
    reach = normal_quantile(level) * math.sqrt(variance) / len(groups)
    low, high = max(-1.0, min(gain, centre - reach)), min(1.0, max(gain, centre + reach))
    return Interval(gain, low, high, level, "matched pairs, Agresti-Min, over values")


def difference(first: Interval, second: Interval) -> Interval:
    """Return the difference of two independent estimates, the distances of their limits added in quadrature.

    Both must have the same level. Source: Zou & Donner 2008, Statistics in Medicine 27:1693.
    """
    refuse("difference", [] if first.level == second.level else [f"levels differ: {first.level} and {second.level}"])
    gap = first.estimate - second.estimate
    low = gap - math.hypot(first.estimate - first.low, second.high - second.estimate)
    high = gap + math.hypot(first.high - first.estimate, second.estimate - second.low)
    return Interval(gap, low, high, first.level, f"{first.method}, in quadrature")


def _checked(
    task: str, flags: list[ArrayLike], group: ArrayLike, level: float
) -> tuple[list[NDArray[np.bool_]], NDArray[np.int64]]:
    marks, labels = [np.asarray(one) for one in flags], np.asarray(group)
    problems = level_problems(level)
    if labels.ndim != 1 or not len(labels) or any(one.shape != labels.shape for one in marks):
        shapes = ", ".join(str(one.shape) for one in (*marks, labels))
        problems.append(f"one flag and one group per row are needed, for at least one row, not shapes {shapes}")
    if any(one.dtype != np.bool_ for one in marks):
        problems.append(f"flags must be boolean, not {', '.join(str(one.dtype) for one in marks)}")
    if not np.issubdtype(labels.dtype, np.integer):
        problems.append(f"group must hold integer labels, not {labels.dtype}")
    refuse(task, problems)
    return marks, labels.astype(np.int64)
