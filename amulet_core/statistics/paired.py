"""Tests and intervals for differences paired by seed; repeats that share rows are corrected for their overlap."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from amulet_core.statistics.interval import Interval, level_problems, refuse


@dataclass(frozen=True)
class _Sample:
    """The mean of the differences, its standard error and its degrees of freedom."""

    mean: float
    error: float
    freedom: int


def paired_interval(differences: ArrayLike, *, level: float = 0.95, overlap: float = 0.0) -> Interval:
    """Return the mean of paired differences `[J]` with its t interval, on J - 1 degrees of freedom.

    `overlap` is n_test / n_train where the repeats redraw the same rows, and 0 where their rows are disjoint: the
    variance of the mean is (1/J + overlap) * S^2. Differences that are all equal give an interval of zero width.
    Raises ValueError for fewer than 2 differences, or values that are not finite.
    Source: Nadeau & Bengio 2003, Machine Learning 52:239, section 3 (corrected resampled t).
    """
    sample = _sample(differences, overlap=overlap, problems=level_problems(level))
    reach = float(special.stdtrit(sample.freedom, (1 + level) / 2)) * sample.error
    method = "corrected resampled t" if overlap else "paired t"
    return Interval(sample.mean, sample.mean - reach, sample.mean + reach, level, method)


def paired_p(differences: ArrayLike, *, null: float = 0.0, overlap: float = 0.0) -> float:
    """Return the two-sided p value of the hypothesis that the mean difference is `null`.

    Differences that are all equal give 1 if they equal `null` and 0 otherwise. `overlap` and errors as
    `paired_interval`.
    """
    problems = [] if math.isfinite(null) else [f"the null must be finite, not {null}"]
    sample = _sample(differences, overlap=overlap, problems=problems)
    return 2 * _tail(-abs(sample.mean - null), sample)


def equivalence_p(differences: ArrayLike, *, margin: float, overlap: float = 0.0) -> float:
    """Return the p value of the hypothesis that the mean difference is at least `margin` in size.

    Two one-sided t tests; the larger p value of the two. A small value is evidence of no change beyond the margin.
    Differences that are all equal give 0 strictly inside the margin and 1 elsewhere. The margin has the units of the
    differences and is positive. `overlap` and other errors as `paired_interval`.
    Source: Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15:657.
    """
    sample = _sample(differences, overlap=overlap, problems=margin_problems(margin))
    return _tail(abs(sample.mean) - margin, sample, at_zero=1.0)


def no_loss_p(gains: ArrayLike, *, margin: float, overlap: float = 0.0) -> float:
    """Return the p value of the hypothesis that the mean gain is `-margin` or less: a loss that matters.

    One t test. A small value is evidence that nothing beyond the margin is lost. Gains that are all equal give 0 above
    `-margin` and 1 elsewhere. The margin has the units of the gains and is positive. `overlap` and other errors as
    `paired_interval`. Source: Schuirmann 1987, as `equivalence_p`, whose other half this leaves out.
    """
    sample = _sample(gains, overlap=overlap, problems=margin_problems(margin))
    return _tail(-sample.mean - margin, sample, at_zero=1.0)


def margin_problems(margin: float) -> list[str]:
    """List what is wrong with an equivalence margin: it must be positive and finite."""
    return [] if 0 < margin < math.inf else [f"the margin must be positive and finite, not {margin}"]


def overlap_problems(overlap: float) -> list[str]:
    """List what is wrong with an overlap n_test / n_train: it must be 0 or a positive, finite ratio."""
    return [] if 0 <= overlap < math.inf else [f"overlap must be 0 or a positive finite ratio, not {overlap}"]


def _tail(distance: float, sample: _Sample, *, at_zero: float = 0.5) -> float:
    """Return the t probability below distance / error; without spread 0 below zero, 1 above, `at_zero` at zero."""
    if sample.error:
        return float(special.stdtr(sample.freedom, distance / sample.error))
    return at_zero if distance == 0 else float(distance > 0)


def _sample(differences: ArrayLike, *, overlap: float, problems: list[str]) -> _Sample:
    values = np.asarray(differences, dtype=np.float64)
    count = values.size
    if values.ndim != 1:
        problems = [*problems, f"one difference per seed is needed, not shape {values.shape}"]
    if count < 2:
        problems = [*problems, f"at least 2 differences are needed to estimate their spread, not {count}"]
    if not np.isfinite(values).all():
        problems = [*problems, f"{np.count_nonzero(~np.isfinite(values))} differences are not finite"]
    refuse("paired differences", problems + overlap_problems(overlap))
    # Equal values must have exactly no spread; the rounded mean of three times 0.1 is not 0.1.
    if np.ptp(values) == 0:
        return _Sample(float(values[0]), 0.0, count - 1)
    variance = (1 / count + overlap) * float(values.var(ddof=1))
    return _Sample(float(values.mean()), math.sqrt(variance), count - 1)
