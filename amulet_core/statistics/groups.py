"""Gaps between groups' rates. The largest gap of many groups is biased upward and never goes without its null."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amulet_core.statistics.interval import refuse
from amulet_core.statistics.permutation import PermutationNull, permutation_problems, summarise_null


def gap(rates: ArrayLike) -> float:
    """Return the largest minus the smallest rate of at least two groups, `[groups]` finite; ValueError otherwise."""
    values = np.asarray(rates, dtype=np.float64)
    problems = []
    if values.ndim != 1 or values.size < 2:
        problems.append(f"one rate for each of at least 2 groups is needed, not shape {values.shape}")
    if not np.isfinite(values).all():
        problems.append(f"{np.count_nonzero(~np.isfinite(values))} rates are not finite")
    refuse("gap between groups", problems)
    return float(np.ptp(values))


def permutation_null_of_gap(
    selected: ArrayLike, group: ArrayLike, *, permutations: int = 2000, generator: np.random.Generator
) -> PermutationNull:
    """Return what the gap in selection rates would be if selection had nothing to do with the group.

    Shapes: selected `[n]` boolean, group `[n]` integer labels (at least two distinct). Shuffling `selected` over fixed
    groups makes the groups' counts multivariate hypergeometric, so these are drawn outright. ValueError lists all
    problems.
    """
    flags, labels = np.asarray(selected), np.asarray(group)
    refuse("permutation null of a gap", _problems(flags, labels) + permutation_problems(permutations))
    sizes = np.unique(labels, return_counts=True)[1]
    counts = generator.multivariate_hypergeometric(
        sizes, int(np.count_nonzero(flags)), size=permutations, method="marginals"
    )
    return summarise_null(np.ptp(counts / sizes, axis=1))


def permutation_null_of_largest_gap(
    hits: NDArray[np.bool_],
    rows: NDArray[np.bool_],
    group: NDArray[np.integer[Any]],
    *,
    within: NDArray[np.integer[Any]],
    permutations: int = 2000,
    generator: np.random.Generator,
) -> PermutationNull:
    """Return what the largest of several gaps would be if none of the rates had to do with the group.

    Shapes: ``hits`` and ``rows`` ``[n, rates]``, the rows that a rate counts and those behind it (a column of ``rows``
    is whole in each set); ``group`` and ``within`` ``[n]``. Groups change places among the rows of one set of
    ``within`` at a time, all rates at once, so that every rate keeps its rows. Every group needs rows behind each rate.
    """
    sets = np.argsort(within, kind="stable")
    labels = np.unique(group)
    counted, behind = (hits & rows)[sets].astype(np.float64), rows[sets].astype(np.float64)
    trials = np.stack([behind[group[sets] == label].sum(0) for label in labels])
    gaps = np.empty(permutations)
    for at in range(permutations):
        shuffled = group[np.lexsort((generator.random(len(group)), within))]
        found = (shuffled == labels[:, None]).astype(np.float64) @ counted
        gaps[at] = np.ptp(found / trials, axis=0).max()
    return summarise_null(gaps)


def _problems(selected: NDArray[np.generic], group: NDArray[np.generic]) -> list[str]:
    problems = []
    if selected.ndim != 1 or group.shape != selected.shape:
        problems.append(f"one flag and one group per row are needed, not shapes {selected.shape} and {group.shape}")
    if selected.dtype != np.bool_:
        problems.append(f"selected must be boolean, not {selected.dtype}")
    if not np.issubdtype(group.dtype, np.integer):
        return [*problems, f"group must hold integer labels, not {group.dtype}"]
    if len(np.unique(group)) < 2:
        problems.append(f"at least 2 groups are needed, not {len(np.unique(group))}")
    return problems
