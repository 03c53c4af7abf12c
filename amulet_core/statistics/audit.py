"""Lower bounds on epsilon from one training run: how many guesses about audit rows may be right under a privacy claim.

Source: Steinke, Nasr, Jagielski: Privacy Auditing with One (1) Training Run (arXiv:2305.08846).
"""

from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

_MOST: Final = 1_000_000
"""More rows than this nobody plants."""

_BEYOND: Final = 50.0
"""An epsilon at which all guesses may be right: the success rate rounds to 1, and nothing speaks against it."""


def audit_p_value(*, rows: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Return a bound on the chance of at least ``correct`` right guesses about a mechanism that is as private as said.

    Each of ``rows`` audit rows is included by a fair coin of its own; ``guesses`` of these coins are guessed, a number
    fixed beforehand. Under (epsilon, 0) the number of right guesses W is at most binomial, with the success rate of
    randomised response, exp(epsilon) / (1 + exp(epsilon)) (theorem 5.2); under (epsilon, delta) the bound is
    P[W >= v] + 2 rows delta max_i P[v > W >= v - i] / i (theorem 3.1 and appendix D).

    Raises:
        ValueError: if the numbers are no result of an audit.
    """
    if not 0 <= correct <= guesses <= rows or epsilon < 0 or not 0 <= delta <= 1:
        raise ValueError(
            f"an audit has 0 <= correct <= guesses <= rows, epsilon >= 0 and delta in 0 .. 1, not {correct} of "
            f"{guesses} guesses about {rows} rows, epsilon {epsilon:g} and delta {delta:g}"
        )
    rate = expit(epsilon)
    excess = 2 * rows * delta * _gained(guesses, correct, rate)
    return float(min(1.0, binom.sf(correct - 1, guesses, rate) + excess))


def _gained(guesses: int, correct: int, rate: float) -> float:
    """Return max over i of P[correct > W >= correct - i] / i: how much a failure helps the guesses."""
    below = np.arange(correct - 1, -1, -1)
    gained = np.cumsum(binom.pmf(below, guesses, rate)) / np.arange(1, correct + 1)
    return float(gained.max(initial=0.0))


def audited_epsilon(*, rows: int, guesses: int, correct: int, delta: float, confidence: float) -> float:
    """Return the largest epsilon that an audit rejects at ``delta``: a one-sided lower bound, 0 if it rejects none.

    Whatever is (epsilon, delta) private is so for every larger epsilon, so that all smaller ones are rejected too.

    Raises:
        ValueError: if the numbers are no result of an audit, or ``confidence`` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, not at {confidence:g}")

    def above(epsilon: float) -> float:
        """Return by how much the p-value exceeds the error that is allowed."""
        p = audit_p_value(rows=rows, guesses=guesses, correct=correct, epsilon=epsilon, delta=delta)
        return p - (1 - confidence)

    if above(0.0) > 0:
        return 0.0
    return float(brentq(above, 0.0, _BEYOND))


def refuting_audit(*, epsilon: float, level: float) -> tuple[int, float] | None:
    """Return an audit that can refute a claim of ``epsilon`` below ``level``: guesses about as many rows, and a delta.

    All right, so many guesses have a p-value below ``level`` if the claim's delta (one digit, rounded down) is no
    larger. They are twice as many as a claim without delta needs: with fewer, nothing is left for the delta. None where
    they are above 1,000,000.
    """
    rate = float(expit(epsilon))
    fewest = np.log(level) / np.log(rate) if rate < 1 else np.inf
    if 2 * fewest > _MOST:
        return None
    guesses = 2 * int(np.ceil(fewest))
    spare = level - float(binom.sf(guesses - 1, guesses, rate))
    largest = spare / (2 * guesses * _gained(guesses, guesses, rate))
    digit = 10.0 ** np.floor(np.log10(largest))
    return guesses, float(min(1.0, np.floor(0.999 * largest / digit) * digit))
