"""Checks of the privacy audit: bounds against published numbers, alarms for planted lies and none for planted truth."""

import math

import torch

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.audit import AuditResult
from amulet_core.scores import ALARM, Scores
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
            name="a model that tells all its rows and claims epsilon 0.1 raises an alarm",
            why="an audit without power says nothing of any account",
            run=_a_lie_raises_an_alarm,
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


def _a_lie_raises_an_alarm() -> None:
    found = _measured(50, 50, epsilon=0.1, delta=1e-5)
    if not any(text.startswith(ALARM) for text in found.warnings):
        raise AssertionError(f"50 of 50 right under epsilon 0.1: p = {found['p_of_claim'].estimate:.1e}, and no alarm")


def _the_truth_raises_none() -> None:
    for epsilon in (0.0, 0.5, 2.0):
        right = round(200 / (1 + math.exp(-epsilon)))
        found = _measured(right, 200, epsilon=epsilon, delta=1e-5)
        if found.warnings or found["audited_epsilon"].estimate > epsilon:
            raise AssertionError(
                f"{right} of 200 right under epsilon {epsilon:g}: a bound of {found['audited_epsilon'].estimate:.3f}, "
                f"warnings {found.warnings}; expected a bound below epsilon and no alarm"
            )
