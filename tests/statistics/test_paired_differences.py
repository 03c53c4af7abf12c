"""Paired t tests and intervals against a worked example, scipy and the definition of two one-sided tests."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from amulet_core.statistics.paired import equivalence_p, paired_interval, paired_p

WORKED = [0.02, 0.03, 0.05]
EFFECTS = [0.012, -0.004, 0.021, 0.009, 0.017]


def test_three_differences_give_the_worked_interval_and_p_value() -> None:
    found = paired_interval(WORKED)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.0333, -0.0046, 0.0713), abs=5e-5)
    assert (found.level, found.method) == (0.95, "paired t")
    assert paired_p(WORKED) == pytest.approx(0.0634, abs=5e-5)


@pytest.mark.parametrize("null", [0.0, 0.01, -0.3])
def test_interval_and_p_value_equal_scipys_one_sample_t_test(null: float) -> None:
    reference = stats.ttest_1samp(EFFECTS, null)
    limits = reference.confidence_interval(0.99)
    found = paired_interval(EFFECTS, level=0.99)
    assert paired_p(EFFECTS, null=null) == pytest.approx(reference.pvalue, rel=1e-10)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), rel=1e-10)


def test_overlap_is_added_to_one_over_the_number_of_seeds() -> None:
    overlap, freedom = 0.5, len(EFFECTS) - 1
    error = math.sqrt((1 / 5 + 0.5) * np.var(EFFECTS, ddof=1))
    reach = stats.t.ppf(0.975, freedom) * error
    found = paired_interval(EFFECTS, overlap=overlap)
    assert found.method == "corrected resampled t"
    assert (found.low, found.high) == pytest.approx((np.mean(EFFECTS) - reach, np.mean(EFFECTS) + reach))
    expected = 2 * stats.t.sf(np.mean(EFFECTS) / error, freedom)
    assert paired_p(EFFECTS, overlap=overlap) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("margin", [0.005, 0.02, 0.1])
def test_equivalence_is_the_larger_of_two_one_sided_tests(margin: float, sign: int) -> None:
    values = sign * np.array(EFFECTS)
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    assert equivalence_p(values, margin=margin) == pytest.approx(max(below, above), rel=1e-10)


def test_overlap_weakens_the_evidence_of_equivalence() -> None:
    assert equivalence_p(EFFECTS, margin=0.1) < equivalence_p(EFFECTS, margin=0.1, overlap=0.5) < 0.5


@pytest.mark.parametrize(
    ("value", "p", "equivalence"),
    [(0.0, 1.0, 0.0), (0.1, 0.0, 0.0), (-0.1, 0.0, 0.0), (0.3, 0.0, 1.0), (0.7, 0.0, 1.0)],
)
def test_equal_differences_are_decided_exactly(value: float, p: float, equivalence: float) -> None:
    # The rounded mean of these is not the value itself; a variance of 1e-34 would pass for evidence.
    values = [value] * 3
    found = paired_interval(values)
    assert (found.estimate, found.low, found.high) == (value, value, value)
    assert paired_p(values) == p
    assert paired_p(values, null=value) == 1.0
    assert equivalence_p(values, margin=0.3) == equivalence


def test_corrected_intervals_cover_where_repeats_share_their_noise() -> None:
    # Differences with a common part of variance rho and own parts of 1 - rho: the mean of J has variance
    # rho + (1 - rho) / J, which the correction meets at overlap = rho / (1 - rho) (Nadeau & Bengio 2003, section 3).
    generator, rho, runs = np.random.default_rng(0), 0.25, 3000
    common = math.sqrt(rho) * generator.standard_normal((runs, 1))
    draws = common + math.sqrt(1 - rho) * generator.standard_normal((runs, 6))
    plain = np.mean([paired_p(row) <= 0.05 for row in draws])
    corrected = np.mean([paired_p(row, overlap=rho / (1 - rho)) <= 0.05 for row in draws])
    assert plain > 0.15
    assert corrected == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / runs))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: paired_interval([0.1]),
            "paired differences: at least 2 differences are needed to estimate their spread, not 1.",
        ),
        (
            lambda: paired_interval([[0.1, math.nan]], level=2.0, overlap=-1.0),
            (
                "paired differences: level must lie between 0 and 1, both excluded, not 2.0; "
                "one difference per seed is needed, not shape (1, 2); 1 differences are not finite; "
                "overlap must be 0 or a positive finite ratio, not -1.0."
            ),
        ),
        (
            lambda: paired_p(WORKED, null=math.inf),
            "paired differences: the null must be finite, not inf.",
        ),
        (
            lambda: equivalence_p([], margin=0.0),
            (
                "paired differences: the margin must be positive and finite, not 0.0; "
                "at least 2 differences are needed to estimate their spread, not 0."
            ),
        ),
    ],
)
def test_differences_that_carry_no_test_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message
