"""The bootstrap of a mean of per-sample contributions, for metrics that have no closed-form interval."""

import numpy as np
from numpy.typing import ArrayLike

from amulet_core.statistics.interval import Interval, level_problems, refuse

CHUNK_VALUES = 4_000_000


def bootstrap_mean(
    contributions: ArrayLike, *, level: float = 0.95, resamples: int = 2000, generator: np.random.Generator
) -> Interval:
    """Return the mean of contributions `[n]`, in their own units, with the percentile interval of its bootstrap.

    The contributions must be independent given the model. With few of them (some tens) the interval is too narrow.
    Equal contributions give zero width. Raises ValueError for fewer than 2, or values that are not finite.
    Source: Efron 1979, Annals of Statistics 7:1; percentile limits, Efron & Tibshirani 1993, chapter 13.
    """
    values = np.asarray(contributions, dtype=np.float64)
    problems = [] if values.ndim == 1 else [f"contributions must be a list, not shape {values.shape}"]
    problems += [] if values.size >= 2 else [f"at least 2 contributions are needed, not {values.size}"]
    unfinite = np.count_nonzero(~np.isfinite(values))
    problems += [f"{unfinite} contributions are not finite"] if unfinite else []
    problems += [] if resamples >= 1 else [f"at least one resample is needed, not {resamples}"]
    refuse("bootstrap of a mean", problems + level_problems(level))
    # Taken from an origin among the values, equal contributions stay exactly equal through the sums.
    origin, shifted = float(values[0]), values - values[0]
    chunk = max(1, CHUNK_VALUES // len(values))
    sizes = [min(chunk, resamples - start) for start in range(0, resamples, chunk)]
    means = [shifted[generator.integers(len(values), size=(rows, len(values)))].mean(axis=1) for rows in sizes]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        origin + float(shifted.mean()), origin + float(low), origin + float(high), level, "percentile bootstrap"
    )
