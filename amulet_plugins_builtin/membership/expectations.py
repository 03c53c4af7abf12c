"""What checks of membership inference expect of scores and thresholds; each expectation says what was found instead."""

import math
from collections.abc import Callable, Sequence
from statistics import mean, variance

from scipy.stats import beta, norm

from amulet_core.checks import Check
from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_core.statistics.interval import Interval
from amulet_core.statistics.membership import auc, balanced_accuracy_at
from amulet_plugins_builtin.membership.planted import Planted, planted

Scorer = Callable[[MembershipView], MembershipAnswer]
Limits = tuple[float, float]

RATE = float(norm.sf(1))
"""The false positive rate of the threshold 1 on N(0, 1), which is the best one against N(2, 1)."""


def area(game: Planted, scorer: Scorer, *, level: float = 0.95) -> Interval:
    """Return the AUC of an attack's scores, with its interval."""
    return auc(scorer(game.view).score.numpy(), game.member.numpy(), level=level)


def within(what: str, found: float, low: float, high: float) -> None:
    """Raise an AssertionError unless ``found`` lies between ``low`` and ``high``."""
    if not low <= found <= high:
        raise AssertionError(f"{what} is {found:.6f}, expected {low:.6f} to {high:.6f}")


def chance(game: Planted, scorer: Scorer) -> None:
    """Raise an AssertionError unless the 99.9 % interval of the AUC holds 1/2."""
    found = area(game, scorer, level=0.999)
    if not found.low <= 0.5 <= found.high:
        raise AssertionError(
            f"the 99.9 % interval of the AUC is {found.low:.4f} to {found.high:.4f}, expected to hold .5"
        )


def own_threshold(scorer: Scorer, *, of: str = "") -> Check:
    """Return the check of an attack's threshold against Gaussian confidences two standard deviations apart.

    An attack that fixes it at a false positive rate is to be given ``RATE``.
    """
    return Check(
        f"At its own threshold{of} the balanced accuracy is that of the closed form.",
        "Scores may be right and the threshold wrong: it then calls everybody a member, or nobody.",
        lambda: _accurate_at_its_threshold(scorer),
    )


def _accurate_at_its_threshold(scorer: Scorer) -> None:
    game = planted(rows=2000, shadow_models=32, shift=2.0, population=4000, seed=7)
    answer = scorer(game.view)
    found = balanced_accuracy_at(answer.score.numpy(), game.member.numpy(), threshold_of(answer)).estimate
    exact = float(norm.cdf(1))
    # Four standard errors of two shares of 1,000 rows; what shadow models or regressions do not know costs .01.
    error = 4 * math.sqrt(exact * (1 - exact) / 2000)
    within("the balanced accuracy at its own threshold", found, exact - error - 0.01, exact + error)


def threshold_of(answer: MembershipAnswer) -> float:
    """Return the threshold of an answer, or raise an AssertionError."""
    if answer.threshold is None:
        raise AssertionError("no threshold was handed back")
    return answer.threshold


def share_called(answer: MembershipAnswer, game: Planted, *, rate: float, own: int) -> None:
    """Raise an AssertionError unless the share ``rate`` of the non-members is called members.

    Share and threshold come from the non-members and from ``own`` rows: four standard errors of their difference.
    """
    called = (answer.score >= threshold_of(answer))[~game.member].double()
    error = 4 * math.sqrt(rate * (1 - rate) * (1 / len(called) + 1 / own))
    within("the share of non-members called members", float(called.mean()), rate - error, rate + error)


def delong(inside: Sequence[float], outside: Sequence[float]) -> Limits:
    """Return the 95 % limits of the AUC by DeLong's formula, in plain arithmetic over all pairs."""
    beaten = [mean(_above(one, other) for other in outside) for one in inside]
    beating = [mean(_above(one, other) for one in inside) for other in outside]
    reach = float(norm.ppf(0.975)) * math.sqrt(variance(beaten) / len(inside) + variance(beating) / len(outside))
    return mean(beaten) - reach, mean(beaten) + reach


def _above(one: float, other: float) -> float:
    return 0.5 if one == other else float(one > other)


def quadrature(*counts: tuple[int, int]) -> Limits:
    """Return the 95 % limits of the mean of shares, ``(hits, rows)`` each: Clopper-Pearson's, in quadrature."""
    shares = [hits / n for hits, n in counts]
    lows = [float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0 for hits, n in counts]
    highs = [float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0 for hits, n in counts]
    below = math.hypot(*(share - low for share, low in zip(shares, lows, strict=True))) / len(counts)
    above = math.hypot(*(high - share for share, high in zip(shares, highs, strict=True))) / len(counts)
    return mean(shares) - below, mean(shares) + above


def same_limits(what: str, found: Limits, expected: Limits) -> None:
    """Raise an AssertionError unless both limits are the expected ones."""
    for side, limit, exact in zip(("lower", "upper"), found, expected, strict=True):
        within(f"the {side} limit of {what}", limit, exact - 1e-9, exact + 1e-9)
