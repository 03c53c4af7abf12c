"""Membership statistics against closed forms for Gaussian scores, brute force over pairs and rows, and coverage."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from amulet_core.statistics.interval import Interval, Withheld
from amulet_core.statistics.membership import (
    auc,
    balanced_accuracy_at,
    best_balanced_accuracy,
    roc,
    tpr_at_fpr,
)

Scored = tuple[np.ndarray, np.ndarray]


def gaussian(shift: float, each: int, *, seed: int | np.random.Generator) -> Scored:
    """Members' scores N(shift, 1), non-members' N(0, 1), `each` of both."""
    generator = np.random.default_rng(seed)
    scores = np.concatenate([generator.normal(shift, 1, each), generator.normal(0, 1, each)])
    return scores, np.repeat([True, False], each)


def tied(*, seed: int) -> Scored:
    """41 scores of few distinct values, with unequal groups in mixed order."""
    generator = np.random.default_rng(seed)
    members = generator.permutation(np.arange(41) < 17)
    return generator.integers(0, 6, 41) + members * generator.integers(0, 3, 41) + 0.0, members


def shown(found: Interval | Withheld) -> Interval:
    assert isinstance(found, Interval)
    return found


@pytest.mark.parametrize(
    ("shift", "area", "at_one_percent", "at_one_in_a_thousand"),
    [(1.0, 0.760250, 0.092362, 0.018298), (2.0, 0.921350, 0.372081, 0.137805)],
)
def test_gaussian_scores_meet_their_closed_forms(
    shift: float, area: float, at_one_percent: float, at_one_in_a_thousand: float
) -> None:
    each = 400_000
    scores, members = gaussian(shift, each, seed=9)
    # Var(AUC) is at most AUC (1 - AUC) / min(m, n) (van Dantzig 1951); four standard errors.
    assert auc(scores, members).estimate == pytest.approx(area, abs=4 * math.sqrt(area * (1 - area) / each))
    for fpr, truth in ((0.01, at_one_percent), (0.001, at_one_in_a_thousand)):
        # The members' binomial error, and the threshold's through the slope of the curve, exp(d z - d^2 / 2).
        slope = math.exp(shift * stats.norm.isf(fpr) - shift**2 / 2)
        error = math.sqrt((truth * (1 - truth) + slope**2 * fpr * (1 - fpr)) / each)
        found = shown(tpr_at_fpr(scores, members, fpr=fpr, generator=np.random.default_rng(0)))
        assert found.estimate == pytest.approx(truth, abs=4 * error)
        # The bootstrap's spread is that same error; 30 % allows for the roughness of the percentiles.
        assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.3)


@pytest.mark.parametrize("seed", range(5))
def test_auc_and_its_variance_equal_brute_force_over_all_pairs(seed: int) -> None:
    scores, members = tied(seed=seed)
    inside, outside = scores[members][:, None], scores[~members][None, :]
    wins = (inside > outside) + 0.5 * (inside == outside)
    variance = wins.mean(1).var(ddof=1) / wins.shape[0] + wins.mean(0).var(ddof=1) / wins.shape[1]
    found = auc(scores, members, level=0.8)
    assert found.estimate == pytest.approx(wins.mean(), abs=1e-12)
    assert found.estimate == pytest.approx(metrics.roc_auc_score(members, scores), abs=1e-12)
    reach = stats.norm.ppf(0.9) * math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((wins.mean() - reach, wins.mean() + reach), abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "area"), [([1.0, 1, 1, 1, 1], 0.5), ([5.0, 4, 3, 2, 1], 1.0), ([1.0, 2, 3, 4, 5], 0.0)]
)
def test_without_variance_the_auc_interval_has_zero_width(scores: list[float], area: float) -> None:
    found = auc(scores, [True, True, False, False, False])
    assert (found.estimate, found.low, found.high) == (area, area, area)


def test_delong_limits_stay_between_zero_and_one() -> None:
    scores, members = np.array([9.0, 8, 1, 2, 0, 0]), np.arange(6) < 3
    assert auc(scores, members, level=0.999).high == 1.0
    assert auc(-scores, members, level=0.999).low == 0.0


@pytest.mark.parametrize(("shift", "each"), [(0.0, 100), (1.0, 200)])
def test_delong_covers_the_true_auc(shift: float, each: int) -> None:
    generator = np.random.default_rng(1)
    truth, runs = stats.norm.cdf(shift / math.sqrt(2)), 1200
    found = [auc(*gaussian(shift, each, seed=generator)) for _ in range(runs)]
    # Three Monte Carlo errors around 95 %, and one point below for the normal approximation at these sizes.
    allowance = 3 * math.sqrt(0.95 * 0.05 / runs)
    coverage = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.94 - allowance < coverage < 0.95 + allowance


@pytest.mark.parametrize("seed", range(5))
def test_the_roc_curve_counts_every_threshold_once(seed: int) -> None:
    scores, members = tied(seed=seed)
    fpr, tpr, thresholds = roc(scores, members)
    assert thresholds.tolist() == [math.inf, *sorted(set(scores.tolist()), reverse=True)]
    assert tpr.tolist() == [np.mean(scores[members] >= t) for t in thresholds]
    assert fpr.tolist() == [np.mean(scores[~members] >= t) for t in thresholds]


@pytest.mark.parametrize("fpr", [0.29, 0.3, 0.5, 0.58, 0.99])
@pytest.mark.parametrize("digits", [0, 1, 6])
def test_tpr_at_fpr_is_the_highest_point_of_the_curve_at_or_left_of_it(fpr: float, digits: int) -> None:
    scores, members = gaussian(1, 100, seed=3)
    scores = scores.round(digits)
    curve_fpr, curve_tpr, _ = roc(scores, members)
    found = shown(tpr_at_fpr(scores, members, fpr=fpr, generator=np.random.default_rng(0)))
    assert found.estimate == curve_tpr[curve_fpr <= fpr].max()


@pytest.mark.parametrize(("fpr", "allowed"), [(0.29, 29), (0.58, 58), (0.295, 29), (0.3, 30)])
def test_a_false_positive_is_not_lost_to_rounding(fpr: float, allowed: int) -> None:
    # 0.29 * 100 is 28.999999999999996. Each member stands just above a non-member, so each false positive buys one.
    scores, members = np.concatenate([np.arange(100) + 0.5, np.arange(100)]), np.repeat([True, False], 100)
    found = shown(tpr_at_fpr(scores, members, fpr=fpr, generator=np.random.default_rng(0)))
    assert found.estimate == (allowed + 1) / 100


def test_a_tie_across_the_threshold_is_not_interpolated() -> None:
    scores, members = np.zeros(400), np.repeat([True, False], 200)
    found = shown(tpr_at_fpr(scores, members, fpr=0.1, generator=np.random.default_rng(0)))
    assert (found.estimate, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("digits", [1, 6])
def test_the_bootstrap_is_the_one_that_resamples_rows(digits: int) -> None:
    each, fpr, resamples = 400, 0.05, 4000
    scores, members = gaussian(1, each, seed=4)
    scores = scores.round(digits)
    generator = np.random.default_rng(5)
    rows = generator.integers(each, size=(2, resamples, each))
    inside, outside = scores[:each][rows[0]], scores[each:][rows[1]]
    threshold = np.sort(outside, axis=1)[:, each - 1 - int(fpr * each)]
    by_rows = (inside > threshold[:, None]).mean(axis=1)
    for level in (0.5, 0.9, 0.95):
        found = shown(tpr_at_fpr(scores, members, fpr=fpr, level=level, resamples=resamples, generator=generator))
        low, high = np.quantile(by_rows, [(1 - level) / 2, (1 + level) / 2])
        # Both ends are percentiles of 4,000 draws with standard deviation .03: about .0013 of error each, and steps of
        # 1 / 400 in what a TPR can be.
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)


@pytest.mark.parametrize(("shift", "each", "fpr"), [(1.0, 1000, 0.01), (2.0, 2000, 0.01), (1.0, 400, 0.05)])
def test_the_bootstrap_covers_the_true_tpr(shift: float, each: int, fpr: float) -> None:
    generator = np.random.default_rng(2)
    truth, runs = stats.norm.cdf(shift - stats.norm.isf(fpr)), 400
    found = [
        shown(tpr_at_fpr(*gaussian(shift, each, seed=generator), fpr=fpr, resamples=500, generator=generator))
        for _ in range(runs)
    ]
    # Percentiles of an extreme quantile are a little short; less than 91 % would be more than that and chance.
    assert 0.91 < np.mean([one.low <= truth <= one.high for one in found]) < 0.995


def test_a_rate_with_fewer_than_ten_expected_false_positives_is_withheld() -> None:
    scores, members = gaussian(1, 999, seed=0)
    assert tpr_at_fpr(scores, members, fpr=0.01, generator=np.random.default_rng(0)) == Withheld(
        "TPR at 0.01 FPR is withheld: 999 non-members make 9.99 expected false positives, fewer than 10; "
        "it takes at least 1000 non-members."
    )
    scores, members = gaussian(1, 1000, seed=0)
    assert isinstance(tpr_at_fpr(scores, members, fpr=0.01, generator=np.random.default_rng(0)), Interval)


def test_balanced_accuracy_at_a_fixed_threshold_counts_right_calls() -> None:
    scores, members = tied(seed=0)
    for threshold in (2.0, 3.5):
        guesses = scores >= threshold
        assert balanced_accuracy_at(scores, members, threshold).estimate == pytest.approx(
            metrics.balanced_accuracy_score(members, guesses), abs=1e-12
        )


@pytest.mark.parametrize(("n", "m"), [(20, 20), (15, 60)])
def test_balanced_accuracy_at_a_fixed_threshold_covers_by_exact_enumeration(n: int, m: int) -> None:
    members = np.arange(n + m) < n
    limits = np.array(
        [
            [(found.low, found.high) for b in range(m + 1) for found in [interval_of(a, n, b, m, members)]]
            for a in range(n + 1)
        ]
    )
    coverage = []
    for tpr in np.linspace(0.02, 0.98, 13):
        for tnr in np.linspace(0.02, 0.98, 13):
            chance = np.outer(stats.binom.pmf(range(n + 1), n, tpr), stats.binom.pmf(range(m + 1), m, tnr))
            truth = (tpr + tnr) / 2
            coverage.append(chance[(limits[..., 0] <= truth) & (truth <= limits[..., 1])].sum())
    assert min(coverage) > 0.95


def interval_of(hits: int, n: int, rejections: int, m: int, members: np.ndarray) -> Interval:
    scores = np.concatenate([np.arange(n) < hits, np.arange(m) >= rejections]).astype(float)
    return balanced_accuracy_at(scores, members, 0.5)


def test_the_oracle_is_the_best_of_all_thresholds() -> None:
    scores, members = tied(seed=1)
    found = best_balanced_accuracy(scores, members, permutations=50, generator=np.random.default_rng(0))
    everyone = [balanced_accuracy_at(scores, members, t).estimate for t in [math.inf, *scores]]
    assert found.balanced_accuracy == pytest.approx(max(everyone), abs=1e-12)
    at_threshold = balanced_accuracy_at(scores, members, found.threshold).estimate
    assert at_threshold == pytest.approx(found.balanced_accuracy, abs=1e-12)


@pytest.mark.parametrize("digits", [0, 6])
def test_the_oracles_null_is_that_of_shuffling_and_searching_again(digits: int) -> None:
    scores, members = gaussian(1, 40, seed=6)
    scores, runs = scores.round(digits), 2000
    generator = np.random.default_rng(7)
    by_hand = []
    for _ in range(runs):
        fpr, tpr, _ = roc(scores, generator.permutation(members))
        by_hand.append((1 + (tpr - fpr).max()) / 2)
    found = best_balanced_accuracy(scores, members, permutations=runs, generator=generator).null
    assert found.permutations == runs
    # Three standard errors of the difference of two means, and of two counts beyond the quantile (few distinct values).
    assert found.mean == pytest.approx(np.mean(by_hand), abs=3 * np.std(by_hand) * math.sqrt(2 / runs))
    allowance = 3 * math.sqrt(2 * 0.05 * 0.95 / runs)
    rounding = 1e-9
    assert np.mean(np.array(by_hand) > found.quantile_95 + rounding) < 0.05 + allowance
    assert np.mean(np.array(by_hand) > found.quantile_95 - rounding) > 0.05 - allowance


def test_the_oracles_null_does_not_depend_on_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, members = gaussian(0, 30, seed=6)
    whole = best_balanced_accuracy(scores, members, permutations=100, generator=np.random.default_rng(0))
    monkeypatch.setattr("amulet_core.statistics.membership.CHUNK_VALUES", 60 * 7)
    parts = best_balanced_accuracy(scores, members, permutations=100, generator=np.random.default_rng(0))
    assert parts == whole


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_membership_is_scored_at_chance(seed: int) -> None:
    scores, members = gaussian(2, 1000, seed=seed)
    generator = np.random.default_rng(100 + seed)
    shuffled = generator.permutation(members)
    area = auc(scores, shuffled, level=0.999)
    rate = shown(tpr_at_fpr(scores, shuffled, fpr=0.05, level=0.999, generator=generator))
    oracle = best_balanced_accuracy(scores, shuffled, permutations=200, generator=generator)
    assert area.low <= 0.5 <= area.high
    assert rate.low <= 0.05 <= rate.high
    assert oracle.balanced_accuracy > 0.5
    # The null's mean lies near .513 and its standard deviation is about .006: well under 5 of them.
    assert abs(oracle.balanced_accuracy - oracle.null.mean) < 0.03
    assert oracle.null.mean > 0.505


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: auc([0.1, np.nan, np.inf], [1, 0, 1]),
            "membership scores: 2 scores are not finite; members must be boolean, not int64.",
        ),
        (
            lambda: roc([0.1, 0.2], [True, False, True, True]),
            (
                "membership scores: one score and one flag per candidate are needed, not shapes (2,) and (4,); "
                "at least 2 members and 2 non-members are needed, not 3 and 1."
            ),
        ),
        (
            lambda: tpr_at_fpr([0.1], [True], fpr=1.0, level=0.0, resamples=0, generator=np.random.default_rng(0)),
            (
                "TPR at fixed FPR: fpr must lie between 0 and 1, both excluded, not 1.0; "
                "at least one resample is needed, not 0; level must lie between 0 and 1, both excluded, not 0.0."
            ),
        ),
        (
            lambda: balanced_accuracy_at([0.1], [True], math.nan),
            "balanced accuracy: the threshold is NaN.",
        ),
        (
            lambda: best_balanced_accuracy([0.1], [True], permutations=19, generator=np.random.default_rng(0)),
            "best balanced accuracy: a 95 % quantile needs at least 20 permutations, not 19.",
        ),
    ],
)
def test_scores_that_cannot_be_read_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message
