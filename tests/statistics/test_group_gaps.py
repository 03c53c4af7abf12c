"""The gap between groups and its null, against brute force and the published bias for five unequal groups."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from amulet_core.statistics.groups import gap, permutation_null_of_gap, permutation_null_of_largest_gap

# Adult's shares of White, Black, Asian-Pacific Islander, American Indian and other.
SHARES = np.array([0.854, 0.096, 0.031, 0.0096, 0.0083])
SELECTED = 0.24


def adult_sized(rows: int) -> np.ndarray:
    return np.round(rows * SHARES).astype(int)


def test_the_gap_is_the_largest_minus_the_smallest_rate() -> None:
    assert gap([0.25, 0.75, 0.5]) == 0.5
    assert gap([0.3, 0.3]) == 0.0


@pytest.mark.parametrize(("rows", "published"), [(2000, 0.155), (5000, 0.097), (16000, 0.056)])
def test_equal_true_rates_show_a_gap_that_the_null_predicts(rows: int, published: float) -> None:
    sizes, generator = adult_sized(rows), np.random.default_rng(28)
    gaps = np.ptp(generator.binomial(sizes, SELECTED, size=(20_000, 5)) / sizes, axis=1)
    # The published mean is itself a simulation: three standard errors of a mean of 900 runs, and its last digit.
    assert gaps.mean() == pytest.approx(published, abs=3 * gaps.std() / math.sqrt(900) + 0.0005)
    group = np.repeat(np.arange(5), sizes)
    selected = np.arange(len(group)) < SELECTED * len(group)
    null = permutation_null_of_gap(selected, group, permutations=20_000, generator=generator)
    # Shuffling without replacement narrows the rates by about 1 / rows; otherwise the two means are the same.
    assert null.mean == pytest.approx(gaps.mean(), abs=3 * gaps.std() * math.sqrt(2 / 20_000) + 1 / rows)
    assert null.quantile_95 == pytest.approx(np.quantile(gaps, 0.95), rel=0.04)


def test_the_null_is_that_of_shuffling_rows() -> None:
    generator = np.random.default_rng(0)
    group, runs = np.array([7, -2, 3]).repeat([5, 12, 30]), 4000
    selected = generator.permutation(np.arange(47) < 15)
    rows = np.stack([generator.permutation(selected) for _ in range(runs)])
    gaps = np.ptp(np.stack([rows[:, group == label].mean(1) for label in (7, -2, 3)]), axis=0)
    null = permutation_null_of_gap(selected, group, permutations=runs, generator=generator)
    assert null.mean == pytest.approx(gaps.mean(), abs=3 * gaps.std() * math.sqrt(2 / runs))
    assert null.quantile_95 == pytest.approx(np.quantile(gaps, 0.95), abs=0.04)


@pytest.mark.parametrize("rate", [0, 1])
def test_selecting_all_or_nobody_leaves_no_gap_in_the_null(rate: int) -> None:
    null = permutation_null_of_gap(np.full(10, rate == 1), np.arange(10) % 2, generator=np.random.default_rng(0))
    assert (null.mean, null.quantile_95, null.permutations) == (0.0, 0.0, 2000)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: gap([math.nan]),
            (
                "gap between groups: one rate for each of at least 2 groups is needed, not shape (1,); "
                "1 rates are not finite."
            ),
        ),
        (
            lambda: permutation_null_of_gap(
                [1, 0], [0.5, 1.5, 2.5], permutations=3, generator=np.random.default_rng(0)
            ),
            (
                "permutation null of a gap: one flag and one group per row are needed, not shapes (2,) and (3,); "
                "selected must be boolean, not int64; group must hold integer labels, not float64; "
                "a 95 % quantile needs at least 20 permutations, not 3."
            ),
        ),
        (
            lambda: permutation_null_of_gap([True, False], [4, 4], generator=np.random.default_rng(0)),
            "permutation null of a gap: at least 2 groups are needed, not 1.",
        ),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message


def test_the_null_of_one_rate_is_the_same_by_shuffling_rows() -> None:
    generator, group = np.random.default_rng(1), np.array([0, 1, 2]).repeat([12, 30, 50])
    selected, runs = generator.permutation(np.arange(92) < 40), 4000
    one = permutation_null_of_gap(selected, group, permutations=runs, generator=generator)
    other = permutation_null_of_largest_gap(
        selected[:, None],
        np.ones((92, 1), dtype=bool),
        group,
        within=np.zeros(92, dtype=int),
        permutations=runs,
        generator=generator,
    )
    assert other.mean == pytest.approx(one.mean, abs=0.01)
    assert other.quantile_95 == pytest.approx(one.quantile_95, abs=0.02)


def test_groups_change_places_within_a_set_alone_and_the_largest_gap_counts() -> None:
    # In either set everybody, or nobody, is counted: shuffling within the sets cannot change the rates of the first
    # column (gap .5), and the second is that of the other set.
    within, group = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 1, 1, 0, 0, 0, 1])
    hits = np.stack([within == 1, np.zeros(8, dtype=bool)], 1)
    null = permutation_null_of_largest_gap(
        hits, np.ones((8, 2), dtype=bool), group, within=within, permutations=50, generator=np.random.default_rng(0)
    )
    assert (null.mean, null.quantile_95, null.permutations) == (0.5, 0.5, 50)
