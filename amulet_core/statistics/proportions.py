"""Intervals for proportions counted in independent trials, and for the difference of two of them, apart or paired."""

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


def newcombe_paired(both: int, only_a: int, only_b: int, neither: int, *, level: float = 0.95) -> Interval:
    """Return the interval for the signed difference, rate of a minus rate of b, of two proportions of the same trials.

    The four counts say in how many trials both happened, a alone, b alone, neither. The hybrid score interval of
    `newcombe`, less what the correlation of a and b (with a continuity correction) takes off.
    Raises ValueError without trials, or for a negative count.
    Source: Newcombe 1998, Statistics in Medicine 17:2635, method 10.
    """
    counts, trials = (both, only_a, only_b, neither), both + only_a + only_b + neither
    problems = [f"counts must not be negative, found {', '.join(map(str, counts))}"] if min(counts) < 0 else []
    problems += ["a proportion needs at least one trial"] if not trials else []
    refuse("Newcombe interval of paired proportions", problems + level_problems(level))
    z, a, b = normal_quantile(level), both + only_a, both + only_b
    (low_a, high_a), (low_b, high_b) = _wilson_limits(a, trials, z=z), _wilson_limits(b, trials, z=z)
    rate_a, rate_b, phi = a / trials, b / trials, _correlation(both, only_a, only_b, neither)
    low = _joint_reach(rate_a - low_a, high_b - rate_b, phi=phi)
    high = _joint_reach(high_a - rate_a, rate_b - low_b, phi=phi)
    difference = (only_a - only_b) / trials
    return Interval(difference, difference - low, difference + high, level, "Newcombe, paired")


def _correlation(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Return the correlation of a and b; a positive one is corrected for continuity, without a variance it is 0."""
    product = both * neither - only_a * only_b
    scale = math.sqrt((both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither))
    corrected = max(product - (both + only_a + only_b + neither) / 2, 0) if product > 0 else product
    return corrected / scale if scale else 0.0


def _joint_reach(first: float, second: float, *, phi: float) -> float:
    return math.sqrt(max(first**2 - 2 * phi * first * second + second**2, 0.0))


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
