"""Bounds of the one-run audit against published values, definitions and mechanisms whose epsilon is known."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from amulet_core.statistics.audit import audit_p_value, audited_epsilon, refuting_audit


@pytest.mark.parametrize(("rows", "correct", "epsilon"), [(100, 100, 3.4930), (100, 80, 0.9584), (1000, 600, 0.2975)])
def test_bounds_on_pure_privacy_are_the_published_ones(rows, correct, epsilon):
    found = audited_epsilon(rows=rows, guesses=rows, correct=correct, delta=0.0, confidence=0.95)
    assert found == pytest.approx(epsilon, abs=5e-5)


def test_all_right_is_the_closed_form():
    """All of r guesses right: the success rate p of randomised response has p ** r = 1 - confidence."""
    rate = 0.01 ** (1 / 40)
    found = audited_epsilon(rows=200, guesses=40, correct=40, delta=0.0, confidence=0.99)
    assert found == pytest.approx(math.log(rate / (1 - rate)), rel=1e-9)


def by_definition(rows, guesses, correct, epsilon, delta):
    """Sum the bound as the theorem states it, with f(v) = P[W >= v]."""
    rate = math.exp(epsilon) / (1 + math.exp(epsilon))

    def f(least):
        return sum(float(binom.pmf(k, guesses, rate)) for k in range(max(0, least), guesses + 1))

    steepest = max((f(correct - i) - f(correct)) / i for i in range(1, rows + 1))
    return min(1.0, f(correct) + 2 * rows * delta * steepest)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.01])
@pytest.mark.parametrize(("rows", "guesses", "correct"), [(30, 30, 28), (50, 20, 12), (20, 20, 0), (20, 5, 5)])
def test_the_p_value_is_the_theorems_sum(rows, guesses, correct, epsilon, delta):
    found = audit_p_value(rows=rows, guesses=guesses, correct=correct, epsilon=epsilon, delta=delta)
    assert found == pytest.approx(by_definition(rows, guesses, correct, epsilon, delta), rel=1e-9)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 0.0), (0.5, 0.0), (2.0, 0.0), (0.5, 0.002)])
def test_the_bound_on_a_mechanism_of_known_epsilon_is_below_it_at_least_as_often_as_stated(epsilon, delta):
    """Randomised response that tells the truth outright with probability delta: exactly (epsilon, delta) private."""
    rate = delta + (1 - delta) / (1 + math.exp(-epsilon))
    draws = np.random.default_rng(0).binomial(80, rate, size=4000)
    bounds = {
        int(right): audited_epsilon(rows=80, guesses=80, correct=int(right), delta=delta, confidence=0.95)
        for right in np.unique(draws)
    }
    covered = np.mean([bounds[int(right)] <= epsilon for right in draws])
    assert covered >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / len(draws))
    assert covered < 1 or epsilon == 0


@pytest.mark.parametrize("correct", [0, 20, 40, 44])
def test_guesses_no_better_than_chance_bound_nothing(correct):
    assert audited_epsilon(rows=80, guesses=80, correct=correct, delta=1e-5, confidence=0.95) == 0.0


def test_a_larger_delta_and_more_rows_without_a_guess_weaken_the_bound():
    known = {"guesses": 50, "correct": 48, "confidence": 0.95}
    found = [
        audited_epsilon(rows=rows, delta=delta, **known)
        for rows, delta in [(50, 0.0), (50, 1e-5), (50, 1e-3), (500, 1e-3), (500, 0.5)]
    ]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 5
    assert found[-1] == 0.0


@pytest.mark.parametrize("level", [1e-3, 1e-6])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 2.0, 8.0])
def test_an_audit_said_to_refute_a_claim_does_and_with_twice_the_delta_or_half_the_guesses_does_not(epsilon, level):
    guesses, delta = refuting_audit(epsilon=epsilon, level=level)

    def p(some, delta):
        return audit_p_value(rows=some, guesses=some, correct=some, epsilon=epsilon, delta=delta)

    assert p(guesses, delta) < level < p(guesses, 2.1 * delta)
    assert p(guesses // 2 - 1, 0.0) > level


@pytest.mark.parametrize("epsilon", [12.0, 100.0])
def test_no_audit_of_a_million_rows_or_fewer_refutes_a_large_claim(epsilon):
    assert refuting_audit(epsilon=epsilon, level=1e-3) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"correct": 6},
            "an audit has 0 <= correct <= guesses <= rows, epsilon >= 0 and delta in 0 .. 1, not 6 of 5 guesses about 9 "
            "rows, epsilon 0 and delta 0",
        ),
        (
            {"rows": 4},
            "an audit has 0 <= correct <= guesses <= rows, epsilon >= 0 and delta in 0 .. 1, not 4 of 5 guesses about 4 "
            "rows, epsilon 0 and delta 0",
        ),
        (
            {"delta": 1.5},
            "an audit has 0 <= correct <= guesses <= rows, epsilon >= 0 and delta in 0 .. 1, not 4 of 5 guesses about 9 "
            "rows, epsilon 0 and delta 1.5",
        ),
        ({"confidence": 1.0}, "a confidence lies between 0 and 1, not at 1"),
    ],
)
def test_what_is_no_audit_is_refused(change, message):
    with pytest.raises(ValueError, match=r"lies|audit") as error:
        audited_epsilon(**{"rows": 9, "guesses": 5, "correct": 4, "delta": 0.0, "confidence": 0.95} | change)
    assert str(error.value) == message
