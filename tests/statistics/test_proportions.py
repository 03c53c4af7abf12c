"""Intervals for proportions against published limits, defining equations and exact enumeration."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from amulet_core.statistics.interval import Interval
from amulet_core.statistics.proportions import clopper_pearson, newcombe, newcombe_paired, wilson

# Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
WILSON = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
# Newcombe 1998 (Statistics in Medicine 17:873), table II, method 10.
NEWCOMBE = [
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0),
]


@pytest.mark.parametrize(("successes", "trials", "low", "high"), WILSON)
def test_wilson_gives_the_published_limits(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert (found.estimate, found.level, found.method) == (successes / trials, 0.95, "Wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "trials"), [(1, 7), (3, 7), (40, 1000)])
def test_a_rate_at_a_wilson_limit_is_just_rejected_by_the_score_test(successes: int, trials: int, level: float) -> None:
    found = wilson(successes, trials, level=level)
    for limit in (found.low, found.high):
        score = (successes / trials - limit) / np.sqrt(limit * (1 - limit) / trials)
        assert 2 * stats.norm.sf(abs(score)) == pytest.approx(1 - level, rel=1e-9)


def test_clopper_pearson_of_none_in_a_thousand() -> None:
    assert clopper_pearson(0, 1000).low == 0
    assert clopper_pearson(0, 1000).high == pytest.approx(0.003682, abs=5e-7)


@pytest.mark.parametrize(("successes", "trials"), [(1, 7), (3, 7), (6, 7), (40, 1000)])
def test_a_rate_at_a_clopper_pearson_limit_has_a_binomial_tail_of_half_the_error(successes: int, trials: int) -> None:
    found = clopper_pearson(successes, trials, level=0.9)
    assert stats.binom.sf(successes - 1, trials, found.low) == pytest.approx(0.05, rel=1e-9)
    assert stats.binom.cdf(successes, trials, found.high) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_the_limits_at_the_ends_are_exactly_the_ends(interval: Callable[[int, int], Interval]) -> None:
    for trials in range(1, 200):
        assert interval(0, trials).low == 0
        assert interval(trials, trials).high == 1


def test_clopper_pearson_never_covers_less_than_its_level() -> None:
    found = [clopper_pearson(k, 17) for k in range(18)]
    for rate in np.linspace(0.001, 0.999, 200):
        covers = [interval.low <= rate <= interval.high for interval in found]
        assert stats.binom.pmf(np.arange(18), 17, rate) @ covers >= 0.95


@pytest.mark.parametrize(("a", "n", "b", "m", "low", "high"), NEWCOMBE)
def test_newcombe_gives_the_published_limits(a: int, n: int, b: int, m: int, low: float, high: float) -> None:
    found = newcombe(a, n, b, m)
    assert found.estimate == a / n - b / m
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_newcombe_changes_sign_with_the_order_of_the_groups() -> None:
    forth, back = newcombe(9, 40, 11, 30), newcombe(11, 30, 9, 40)
    assert (back.estimate, back.low, back.high) == pytest.approx((-forth.estimate, -forth.high, -forth.low))


def test_newcombe_covers_about_its_level_by_exact_enumeration() -> None:
    # A score interval may fall a little short for some rates; it must not for these sizes and rates of .05 to .95 fall
    # more than three points short, nor be cautious on average.
    n, m = 30, 50
    limits = [[newcombe(a, n, b, m) for b in range(m + 1)] for a in range(n + 1)]
    low = np.array([[found.low for found in row] for row in limits])
    high = np.array([[found.high for found in row] for row in limits])
    coverage = []
    for rate_a in np.linspace(0.05, 0.95, 13):
        for rate_b in np.linspace(0.05, 0.95, 13):
            chance = np.outer(stats.binom.pmf(range(n + 1), n, rate_a), stats.binom.pmf(range(m + 1), m, rate_b))
            coverage.append(chance[(low <= rate_a - rate_b) & (rate_a - rate_b <= high)].sum())
    assert min(coverage) > 0.92
    assert np.mean(coverage) == pytest.approx(0.955, abs=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(0, 0), "Wilson interval: a proportion needs at least one trial, not 0."),
        (
            lambda: wilson(8, 7, level=1.0),
            (
                "Wilson interval: successes must lie between 0 and the 7 trials, not 8; "
                "level must lie between 0 and 1, both excluded, not 1.0."
            ),
        ),
        (
            lambda: clopper_pearson(-1, 7),
            "Clopper-Pearson interval: successes must lie between 0 and the 7 trials, not -1.",
        ),
        (
            lambda: newcombe(1, 0, 5, 4),
            (
                "Newcombe interval: a: a proportion needs at least one trial, not 0; "
                "b: successes must lie between 0 and the 4 trials, not 5."
            ),
        ),
        (
            lambda: Interval(0.5, float("nan"), 1.0, 0.95, "DeLong"),
            (
                "DeLong made no interval: estimate 0.5, low nan, high 1.0. "
                "Low must not exceed high and none may be NaN; check the numbers it was given."
            ),
        ),
    ],
)
def test_impossible_counts_and_levels_are_refused(call: Callable[[], Interval], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message


# (both, a alone, b alone, neither): Newcombe 1998 (Statistics in Medicine 17:2635), method 10, and the worked example
# of chapter 6 in Altman et al., Statistics with Confidence (2000).
PAIRED = [(36, 12, 2, 0, 0.0569, 0.3404), (14, 5, 0, 22, 0.0115, 0.2265)]


@pytest.mark.parametrize(("both", "a", "b", "neither", "low", "high"), PAIRED)
def test_paired_newcombe_gives_the_published_limits(
    both: int, a: int, b: int, neither: int, low: float, high: float
) -> None:
    found = newcombe_paired(both, a, b, neither)
    assert (found.estimate, found.method) == ((a - b) / (both + a + b + neither), "Newcombe, paired")
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_paired_newcombe_changes_sign_with_the_order_of_the_two() -> None:
    forth, back = newcombe_paired(20, 7, 3, 11), newcombe_paired(20, 3, 7, 11)
    assert (back.estimate, back.low, back.high) == pytest.approx((-forth.estimate, -forth.high, -forth.low))


def test_paired_newcombe_of_two_that_never_differ_is_around_zero_and_not_empty() -> None:
    found = newcombe_paired(30, 0, 0, 10)
    assert found.low == pytest.approx(-found.high)
    assert found.low < -0.05 < 0 == found.estimate


def test_without_a_correlation_paired_newcombe_is_that_of_independent_proportions() -> None:
    # both * neither = a * b; a positive correlation makes it narrower, a negative one wider.
    found, expected = newcombe_paired(6, 12, 3, 6), newcombe(18, 27, 9, 27)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    like, unlike = newcombe_paired(16, 2, 2, 10), newcombe_paired(6, 12, 12, 0)
    apart = newcombe(18, 30, 18, 30)
    assert like.high - like.low < apart.high - apart.low < unlike.high - unlike.low


def test_paired_newcombe_covers_about_its_level_by_exact_enumeration() -> None:
    n, chances = 25, (0.5, 0.2, 0.1, 0.2)
    covered = 0.0
    for both in range(n + 1):
        for a in range(n + 1 - both):
            for b in range(n + 1 - both - a):
                counts = (both, a, b, n - both - a - b)
                found = newcombe_paired(*counts)
                if found.low <= chances[1] - chances[2] <= found.high:
                    covered += float(stats.multinomial.pmf(counts, n, chances))
    assert 0.94 < covered < 0.985


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((0, 0, 0, 0), "Newcombe interval of paired proportions: a proportion needs at least one trial."),
        ((3, -1, 2, 4), "Newcombe interval of paired proportions: counts must not be negative, found 3, -1, 2, 4."),
    ],
)
def test_paired_counts_that_make_no_sense_are_refused(counts: tuple[int, ...], text: str) -> None:
    with pytest.raises(ValueError) as error:
        newcombe_paired(*counts)
    assert str(error.value) == text
