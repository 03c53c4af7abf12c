"""The null distribution of a statistic that is biased upward, summarised so that it can stand beside the statistic."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PermutationNull:
    """What a statistic shows when there is nothing to find: its mean and 95 % quantile over random permutations."""

    mean: float
    quantile_95: float
    permutations: int


def summarise_null(statistics: NDArray[np.float64]) -> PermutationNull:
    """Summarise the statistics `[permutations]` of the permuted data."""
    return PermutationNull(float(statistics.mean()), float(np.quantile(statistics, 0.95)), len(statistics))


def permutation_problems(permutations: int) -> list[str]:
    """List what is wrong with a number of permutations: its 95 % quantile needs at least 20."""
    return [] if permutations >= 20 else [f"a 95 % quantile needs at least 20 permutations, not {permutations}"]
