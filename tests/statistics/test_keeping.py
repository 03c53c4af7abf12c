"""Conflicts within chains: found where they are planted, with the numbers of the formulas."""

import math

import numpy as np
import pytest

from amulet_core.statistics.keeping import keeping
from amulet_core.statistics.paired import equivalence_p, no_loss_p, paired_interval, paired_p
from amulet_core.statistics.verdicts import Better

LOSS = (-0.11, -0.09, -0.10, -0.12, -0.08)
SAME = (0.01, -0.01, 0.0, 0.005, -0.005)
NOISY = (0.2, -0.3, 0.25, -0.1, 0.05)


def below(t: float) -> float:
    """The t distribution on 4 degrees of freedom in closed form (Student 1908)."""
    root = t / math.sqrt(4 + t * t)
    return 0.5 + 0.75 * (root - root**3 / 3)


@pytest.mark.parametrize(
    ("pair", "better", "margin", "verdict"),
    [
        (LOSS, "higher", 0.05, "conflict"),
        (LOSS, "lower", 0.05, "kept"),
        (tuple(-d for d in LOSS), "lower", 0.05, "conflict"),
        (tuple(-d for d in LOSS), "higher", 0.05, "kept"),
        (SAME, "higher", 0.05, "kept"),
        (SAME, "lower", 0.05, "kept"),
        (NOISY, "higher", 0.05, "inconclusive"),
        ((0.0,) * 5, "higher", 0.05, "kept"),
        ((-0.01,) * 5, "higher", 0.05, "conflict"),
        (LOSS, "higher", 0.5, "conflict"),
    ],
    ids=str,
)
def test_a_planted_pair_gets_its_verdict(pair: tuple[float, ...], better: Better, margin: float, verdict: str) -> None:
    (found,) = keeping([pair], margin=margin, better=better)
    assert found.verdict == verdict


def test_the_numbers_of_five_seeds_are_those_of_the_formulas() -> None:
    """LOSS has mean -.1 and standard error sqrt(.00025 / 5); SAME has mean 0 and standard error sqrt(.0000625 / 5)."""
    lost, same = keeping([LOSS, SAME], margin=0.05, better="higher")
    assert lost.p == pytest.approx(2 * below(-0.1 / math.sqrt(0.00005)))
    assert lost.p_adjusted == pytest.approx(2 * lost.p)
    assert lost.p_kept == pytest.approx(below(0.05 / math.sqrt(0.00005)))
    assert same.p == same.p_adjusted == 1.0
    assert same.p_kept == pytest.approx(2 * below(-0.05 / math.sqrt(0.0000125)))
    assert lost.interval == paired_interval(LOSS, level=1 - 0.05 / 2)
    assert same.interval == paired_interval(SAME, level=1 - 0.05)


def test_one_side_of_the_two_one_sided_tests_is_asked_alone() -> None:
    loss, gain = no_loss_p(LOSS, margin=0.05), no_loss_p([-d for d in LOSS], margin=0.05)
    assert max(loss, gain) == pytest.approx(equivalence_p(LOSS, margin=0.05))
    assert gain < 1e-4
    assert [no_loss_p((d,) * 5, margin=0.05) for d in (-0.04, -0.05, -0.06)] == [0.0, 1.0, 1.0]


def test_overlap_reaches_every_number() -> None:
    (without,), (found,) = (keeping([LOSS], margin=0.2, better="higher", overlap=o) for o in (0.0, 1.0))
    assert found.interval == paired_interval(LOSS, overlap=1.0)
    assert found.p == paired_p(LOSS, overlap=1.0)
    assert found.p_kept == no_loss_p(LOSS, margin=0.2, overlap=1.0) > without.p_kept


ALL, GAIN, LOST = (0.0,) * 5, (0.1,) * 5, (-0.1,) * 5


@pytest.mark.parametrize(
    ("pair", "trials", "verdict", "p"),
    [
        (ALL, 30, "inconclusive", 0.95**30),  # a loss of .05 shows in no trial of 30 in more than a fifth of all cases
        (ALL, 58, "inconclusive", 0.95**58),
        (ALL, 59, "kept", 0.95**59),  # .0485; the rule of three says 60
        (ALL, None, "kept", 0.0),
        (tuple(5 / 6 - (5 - d) / 6 - (d / 6) for d in (0, 1, 2, 3, 1)), 30, "inconclusive", 0.95**30),
        (GAIN, 30, "inconclusive", 0.95**30),
        (GAIN, 60, "kept", 0.95**60),
        (LOST, None, "conflict", 1.0),
        (LOST, 50, "inconclusive", 1.0),  # five trials lost and none won: McNemar's exact p is .0625
        (LOST, 60, "conflict", 1.0),  # six: .03125
        ((-1e-17,) * 5, None, "kept", 0.0),  # rounding is no loss
        (SAME, 30, "kept", no_loss_p(SAME, margin=0.05)),  # the seeds tell of their spread
    ],
    ids=str,
)
def test_pairs_that_are_alike_on_all_seeds_are_no_surer_than_their_trials(
    pair: tuple[float, ...], trials: int | None, verdict: str, p: float
) -> None:
    (found,) = keeping([pair], margin=0.05, better="higher", trials=[trials])
    assert (found.verdict, found.p_kept) == (verdict, pytest.approx(p))


@pytest.mark.parametrize(("trials", "p"), [(50, 0.0625), (60, 0.03125), (600, 2 * 0.5**60)])
def test_a_loss_that_is_the_same_on_all_seeds_has_the_p_of_the_trials_that_were_lost(trials: int, p: float) -> None:
    (found,) = keeping([LOST], margin=0.05, better="higher", trials=[trials])
    assert found.p == found.p_adjusted == pytest.approx(p)


def test_a_gain_that_is_real_is_kept_where_the_test_against_a_loss_of_the_margin_says_nothing() -> None:
    """Beside two losses a gain is adjusted for by itself, and the test against losses by all three."""
    gain = (0.3, 0.0, 0.2, 0.1, 0.15)
    found = keeping([LOSS, gain, LOSS], margin=1e-6, better="higher")[1]
    assert found.p_adjusted == found.p < 0.05 < found.p_kept
    assert found.verdict == "kept"


def test_few_trials_are_adjusted_for_like_all_that_is_tested() -> None:
    first, second = keeping([ALL, NOISY], margin=0.05, better="higher", trials=[59, 59])
    assert (first.verdict, first.p_kept) == ("inconclusive", pytest.approx(2 * 0.95**59))
    assert second.p_kept == pytest.approx(no_loss_p(NOISY, margin=0.05))


def test_a_margin_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        keeping([LOSS], margin=0.0, better="higher")
    assert str(caught.value) == "paired differences: the margin must be positive and finite, not 0.0."
    assert keeping([], margin=0.1, better="lower") == ()


def test_a_planted_conflict_is_found_beside_pairs_that_keep() -> None:
    generator, found = np.random.default_rng(4), 0
    for _ in range(200):
        pairs = 0.02 * generator.standard_normal((3, 5)) - np.array([[0.2], [0.0], [0.0]])
        verdict = [one.verdict for one in keeping(pairs, margin=0.1, better="higher")]
        found += verdict == ["conflict", "kept", "kept"]
    assert found >= 180
