"""Intervals for proportions counted in independent trials, and for the difference of two of them."""

import math

from scipy import special

from amulet_core.statistics.interval import Interval, level_problems, normal_quantile, refuse


def wilson(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Return Wilson's score interval for a proportion.

    Its coverage is close to `level` on average over the true proportion, and may lie below it for some.
    Raises ValueError without trials, or for a count outside 0..trials.
    Source: Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857, method 3.
    """
    refuse("Wilson interval", _count_problems(successes, trials) + level_problems(level))
    rate = successes / trials
    low, high = _wilson_limits(successes, trials, z=normal_quantile(level))
    return Interval(rate, low, high, level, "Wilson")


def clopper_pearson(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Return the exact (never below `level`) interval for a proportion, from the quantiles of two beta distributions.

    Valid only where what counts as a success was fixed before these trials were seen.
    Raises ValueError without trials, or for a count outside 0..trials.
    Source: Clopper & Pearson 1934, Biometrika 26:404.
    """
    refuse("Clopper-Pearson interval", _count_problems(successes, trials) + level_problems(level))
    tail = (1 - level) / 2
    failures = trials - successes
    low = float(special.betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(special.betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return Interval(successes / trials, low, high, level, "Clopper-Pearson")


def newcombe(successes_a: int, trials_a: int, successes_b: int, trials_b: int, *, level: float = 0.95) -> Interval:
    """Return the interval for the signed difference, rate of a minus rate of b, of two independent proportions.

    The hybrid score interval: the distances of the two Wilson limits from their rates, added in quadrature.
    Raises ValueError if either has no trials or a count outside 0..trials.
    Source: Newcombe 1998, Statistics in Medicine 17:873, method 10.
    """
    problems = [f"a: {text}" for text in _count_problems(successes_a, trials_a)]
    problems += [f"b: {text}" for text in _count_problems(successes_b, trials_b)]
    refuse("Newcombe interval", problems + level_problems(level))
    z = normal_quantile(level)
    rate_a, rate_b = successes_a / trials_a, successes_b / trials_b
    low_a, high_a = _wilson_limits(successes_a, trials_a, z=z)
    low_b, high_b = _wilson_limits(successes_b, trials_b, z=z)
    difference = rate_a - rate_b
    low = difference - math.hypot(rate_a - low_a, high_b - rate_b)
    high = difference + math.hypot(high_a - rate_a, rate_b - low_b)
    return Interval(difference, low, high, level, "Newcombe")


def _wilson_limits(successes: int, trials: int, *, z: float) -> tuple[float, float]:
    """Return the two roots of abs(rate - p) = z * sqrt(p * (1 - p) / trials)."""
    rate = successes / trials
    centre = rate + z * z / (2 * trials)
    reach = z * math.sqrt(rate * (1 - rate) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    # At 0 and at all successes the outer root is exactly the rate; rounding would put it a hair beyond.
    low = 0.0 if successes == 0 else (centre - reach) / scale
    high = 1.0 if successes == trials else (centre + reach) / scale
    return low, high


def _count_problems(successes: int, trials: int) -> list[str]:
    if trials < 1:
        return [f"a proportion needs at least one trial, not {trials}"]
    if not 0 <= successes <= trials:
        return [f"successes must lie between 0 and the {trials} trials, not {successes}"]
    return []
