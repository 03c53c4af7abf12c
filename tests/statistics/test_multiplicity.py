"""Holm's procedure against its definition, a worked example and the closed test it shortens."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from amulet_core.statistics.multiplicity import holm, holm_levels


def test_holm_adjusts_the_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_one_hypothesis_alone_and_accepts_none() -> None:
    assert holm([0.2]).tolist() == [0.2]
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    assert holm_levels([]).tolist() == []


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_closed_test_by_bonferroni(seed: int) -> None:
    # A hypothesis falls if every intersection that holds it falls: its adjusted p is the largest Bonferroni p of these.
    p = np.random.default_rng(seed).beta(0.3, 1, 5)
    subsets = [subset for size in range(1, 6) for subset in combinations(range(5), size)]
    for index, adjusted in enumerate(holm(p)):
        bonferroni = [min(1.0, len(s) * p[list(s)].min()) for s in subsets if index in s]
        assert adjusted == pytest.approx(max(bonferroni))


def test_levels_step_down_until_the_first_hypothesis_that_stands() -> None:
    # .005 <= .05/4 and .01 <= .05/3 fall, .03 > .05/2 stands and holds the rate for .04.
    assert holm_levels([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4])
    assert holm_levels([0.5, 0.4, 0.3]) == pytest.approx([0.05 / 3] * 3)
    assert holm_levels([0.001, 0.003, 0.002], alpha=0.1) == pytest.approx([0.1 / 3, 0.1, 0.1 / 2])


@pytest.mark.parametrize("seed", range(20))
def test_a_p_value_is_within_its_level_exactly_where_holm_rejects(seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.3, 3, 7)
    assert ((p <= holm_levels(p, alpha=0.05)) == (holm(p) <= 0.05)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: holm([0.1, np.nan, 1.5]), "Holm: 2 of 3 p values lie outside 0 to 1."),
        (lambda: holm([[0.1]]), "Holm: p values must be a list, not shape (1, 1)."),
        (
            lambda: holm_levels([0.1], alpha=0.0),
            "Holm levels: alpha must lie between 0 and 1, both excluded, not 0.0.",
        ),
    ],
)
def test_values_that_are_no_probabilities_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message
