"""Checks of the privacy audit: bounds against published numbers, alarms for planted lies and none for planted truth."""

import math

import torch

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.audit import AuditResult
from amulet_core.scores import ALARM, Scores, Withheld
from amulet_plugins_builtin.privacy.audit import measure


def metric() -> tuple[Check, ...]:
    """Return the checks of ``privacy-audit``."""
    return (
        Check(
            name="all of 100 guesses right, 80 of 100, and 600 of 1,000 bound epsilon by the published numbers",
            why="another bound would accuse the innocent, or nobody",
            run=_bounds_are_the_published_ones,
        ),
        Check(
            name="45 of 50 guesses about 200 rows at delta 0.001 have p = .03336 at epsilon 1, and bound it by 1.1883",
            why="an account that may fail with probability delta is refuted less, and the more rows the less",
            run=_delta_and_rows_count,
        ),
        Check(
            name="a model that tells all its rows and claims epsilon 0.1 raises an alarm",
            why="an audit without power says nothing of any account",
            run=_a_lie_raises_an_alarm,
        ),
        Check(
            name="what refutes a claim in one of 10 audits refutes none in one of 1,000",
            why="each further audit is one more chance of a false alarm",
            run=_every_audit_counts,
        ),
        Check(
            name="a claim on condition of another stage raises no alarm, and gets no p-value",
            why="what that stage tells is not claimed to be private",
            run=_conditions_hold,
        ),
        Check(
            name="guesses as good as randomised response of the claimed epsilon raise none",
            why="an alarm is to mean that something is wrong",
            run=_the_truth_raises_none,
        ),
    )


def planted(right: int, guesses: int, *, epsilon: float, delta: float = 0.0) -> AuditResult:
    """Return an audit with so many right guesses about as many rows, and what is claimed."""
    guess = torch.where(torch.arange(guesses) % 2 == 0, 1, -1)
    correct = torch.arange(guesses) < right
    return AuditResult(
        included=(guess > 0) == correct,
        guess=guess,
        epsilon=epsilon,
        delta=delta,
        conditional_on=(),
        confidence=0.95,
        audits=10,
    )


def _measured(right: int, guesses: int, *, epsilon: float, delta: float = 0.0) -> Scores:
    return measure(planted(right, guesses, epsilon=epsilon, delta=delta), NoParams())


def _bounds_are_the_published_ones() -> None:
    for right, guesses, expected in ((100, 100, 3.4930), (80, 100, 0.9584), (600, 1000, 0.2975)):
        found = _measured(right, guesses, epsilon=1.0)["audited_epsilon"].estimate
        if abs(found - expected) > 5e-5:
            raise AssertionError(f"{right} of {guesses} right bound epsilon by {found:.4f}, published {expected}")


def _delta_and_rows_count() -> None:
    result = planted(45, 50, epsilon=1.0, delta=1e-3)
    unguessed = torch.zeros(150, dtype=torch.int64)
    more = {"included": torch.cat([result.included, unguessed.bool()]), "guess": torch.cat([result.guess, unguessed])}
    scores = measure(result.model_copy(update=more), NoParams())
    # By the theorem's sums, in 40 digits.
    for name, expected in (("p_of_claim", 0.0333636), ("audited_epsilon", 1.1883485)):
        if abs(scores[name].estimate - expected) > 1e-6:
            raise AssertionError(f"{name} is {scores[name].estimate:.7f}, expected {expected}")


def _every_audit_counts() -> None:
    """Forty of 40 right under epsilon 1 have p = 3.6e-6."""
    for audits, expected in ((10, True), (1000, False)):
        found = measure(planted(40, 40, epsilon=1.0).model_copy(update={"audits": audits}), NoParams())
        if _alarms(found) != expected:
            raise AssertionError(f"in one of {audits} audits: {found.warnings or 'no warning'}")


def _conditions_hold() -> None:
    result = planted(50, 50, epsilon=0.1).model_copy(update={"conditional_on": ("early-stopping",)})
    found = measure(result, NoParams())
    if _alarms(found) or not isinstance(found["p_of_claim"], Withheld):
        raise AssertionError(f"p_of_claim {found['p_of_claim']}, warnings {found.warnings}")


def _alarms(scores: Scores) -> bool:
    return any(text.startswith(ALARM) for text in scores.warnings)


def _a_lie_raises_an_alarm() -> None:
    found = _measured(50, 50, epsilon=0.1, delta=1e-5)
    if not _alarms(found):
        raise AssertionError(f"50 of 50 right under epsilon 0.1: p = {found['p_of_claim'].estimate:.1e}, and no alarm")


def _the_truth_raises_none() -> None:
    for epsilon in (0.0, 0.5, 2.0):
        right = round(200 / (1 + math.exp(-epsilon)))
        found = _measured(right, 200, epsilon=epsilon, delta=1e-5)
        if _alarms(found) or found["audited_epsilon"].estimate > epsilon:
            raise AssertionError(
                f"{right} of 200 right under epsilon {epsilon:g}: a bound of {found['audited_epsilon'].estimate:.3f}, "
                f"warnings {found.warnings}; expected a bound below epsilon and no alarm"
            )
