"""Verdicts on planted effects and on nothing at all: at most 5 % of null columns may get one."""

import math

import numpy as np
import pytest

from amulet_core.statistics.paired import paired_interval
from amulet_core.statistics.verdicts import (
    Better,
    Differences,
    EstimateOnly,
    Finding,
    NoEstimate,
    Verdict,
    verdicts,
)

UP = (0.11, 0.09, 0.10, 0.12, 0.08)
FLAT = (0.001, -0.001, 0.002, -0.002, 0.0005)
NOISY = (0.2, -0.3, 0.25, -0.1, 0.05)


def one(values: tuple[float, ...], *, better: Better = "lower", margin: float = 0.02) -> Finding:
    (found,) = verdicts([Differences("dp-sgd", values)], margin=margin, better=better)
    assert isinstance(found, Finding)
    return found


@pytest.mark.parametrize(
    ("values", "better", "verdict"),
    [
        (UP, "lower", "risk up"),
        (UP, "higher", "risk down"),
        (tuple(-v for v in UP), "lower", "risk down"),
        (tuple(-v for v in UP), "higher", "risk up"),
        (FLAT, "lower", "no change"),
        (NOISY, "lower", "inconclusive"),
        ((0.0,) * 5, "higher", "no change"),
        ((0.1,) * 5, "higher", "risk down"),
    ],
)
def test_a_planted_effect_gets_its_verdict(values: tuple[float, ...], better: Better, verdict: Verdict) -> None:
    assert one(values, better=better).verdict == verdict


def test_a_real_difference_inside_the_margin_is_still_a_difference() -> None:
    found = one(UP, margin=1.0)
    assert (found.verdict, found.p_equivalence < 0.05) == ("risk up", True)


def test_rows_are_adjusted_together_and_shown_at_their_own_levels() -> None:
    # The middle row alone has p = .048; as the second of three it does not stand.
    middle = (0.11, 0.0, 0.08, 0.03, 0.05)
    rows = [Differences("a", NOISY), Differences("b", middle), Differences("c", UP)]
    noisy, second, strong = verdicts(rows, margin=0.02, better="lower")
    assert isinstance(noisy, Finding)
    assert isinstance(second, Finding)
    assert isinstance(strong, Finding)
    assert [row.defense for row in (noisy, second, strong)] == ["a", "b", "c"]
    assert one(middle).verdict == "risk up"
    assert (strong.verdict, second.verdict, noisy.verdict) == ("risk up", "inconclusive", "inconclusive")
    assert strong.p_adjusted == pytest.approx(3 * strong.p)
    assert second.p_adjusted == pytest.approx(2 * second.p)
    assert strong.interval == paired_interval(UP, level=1 - 0.05 / 3)
    assert second.interval == paired_interval(middle, level=1 - 0.05 / 2)
    assert noisy.interval == paired_interval(NOISY, level=1 - 0.05 / 2)


def test_equivalence_is_adjusted_over_the_rows_too() -> None:
    near = (0.006, -0.004, 0.008, -0.006, 0.002)
    alone = one(near, margin=0.01)
    (first, *_) = verdicts([Differences(str(i), near) for i in range(4)], margin=0.01, better="lower")
    assert isinstance(first, Finding)
    assert alone.verdict == "no change"
    assert (first.verdict, first.p_equivalence) == ("inconclusive", pytest.approx(4 * alone.p_equivalence))


def test_few_seeds_give_an_interval_and_no_verdict() -> None:
    found = verdicts(
        [Differences("a", UP[:4]), Differences("b", UP[:1]), Differences("c", ())], margin=1, better="lower"
    )
    assert found == (
        EstimateOnly("a", "too few seeds", paired_interval(UP[:4]), "4 seeds, fewer than the 5 that a verdict needs"),
        NoEstimate("b", "too few seeds", "1 seed, fewer than the 5 that a verdict needs"),
        NoEstimate("c", "too few seeds", "0 seeds, fewer than the 5 that a verdict needs"),
    )


def test_a_degenerate_row_gets_no_verdict_and_weighs_on_nobody() -> None:
    constant = Differences("adversarial-training", UP, degenerate="balanced accuracy 0.50 is chance")
    found, other = verdicts([constant, Differences("b", UP)], margin=1, better="lower")
    assert found == EstimateOnly(
        "adversarial-training", "degenerate", paired_interval(UP), "balanced accuracy 0.50 is chance"
    )
    assert isinstance(other, Finding)
    assert other.p_adjusted == other.p
    (bare,) = verdicts([Differences("c", (), degenerate="constant")], margin=1, better="lower")
    assert bare == NoEstimate("c", "degenerate", "constant")


def test_overlap_reaches_tests_and_intervals() -> None:
    rows = [Differences("a", UP), Differences("b", UP[:3])]
    tested, shown = verdicts(rows, margin=0.02, better="lower", overlap=5.0)
    assert isinstance(tested, Finding)
    assert isinstance(shown, EstimateOnly)
    assert tested.p > one(UP).p
    assert tested.p_equivalence < one(UP).p_equivalence  # a mean far outside the margin, with a larger error
    assert tested.interval == paired_interval(UP, overlap=5.0)
    assert shown.interval == paired_interval(UP[:3], overlap=5.0)


def test_the_interval_excludes_zero_exactly_where_there_is_a_verdict() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        table = generator.standard_normal((4, 5)) + generator.choice([0.0, 2.0, 4.0], (4, 1))
        for found in verdicts(
            [Differences(str(i), tuple(row)) for i, row in enumerate(table)], margin=1, better="lower"
        ):
            assert isinstance(found, Finding)
            excludes = found.interval.low > 0 or found.interval.high < 0
            assert excludes == (found.verdict in ("risk up", "risk down"))


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_at_most_five_percent_of_null_columns_get_any_verdict(shared: float) -> None:
    # `shared` is the correlation that the common undefended baseline makes between rows. Independent rows reach
    # 1 - (1 - .05/4)^4 = .0491; three Monte Carlo errors above .05, and below .0491 as a sign that the test can fire.
    generator, columns = np.random.default_rng(2), 3000
    own = generator.standard_normal((columns, 4, 5))
    table = math.sqrt(1 - shared) * own + math.sqrt(shared) * generator.standard_normal((columns, 1, 5))
    hits = 0
    for column in table:
        found = verdicts([Differences(str(i), tuple(row)) for i, row in enumerate(column)], margin=0.1, better="lower")
        hits += any(row.verdict in ("risk up", "risk down") for row in found)
    allowance = 3 * math.sqrt(0.05 * 0.95 / columns)
    assert hits / columns <= 0.05 + allowance
    assert shared or hits / columns >= 0.0491 - allowance


def test_a_request_that_makes_no_sense_is_refused_with_all_its_problems() -> None:
    rows = [Differences("a", (math.nan, 0.1)), Differences("b", (0.1, math.inf))]
    with pytest.raises(ValueError) as caught:
        verdicts(rows, margin=-1.0, better="up", alpha=1.0, overlap=-1.0, minimum_seeds=1)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "verdicts: the margin must be positive and finite, not -1.0; "
        "overlap must be 0 or a positive finite ratio, not -1.0; better must be 'higher' or 'lower', not 'up'; "
        "alpha must lie between 0 and 1, both excluded, not 1.0; minimum_seeds must be at least 2, not 1; "
        "row 'a' holds differences that are not finite; row 'b' holds differences that are not finite."
    )


def test_an_empty_column_has_no_findings() -> None:
    assert verdicts([], margin=0.1, better="lower") == ()
