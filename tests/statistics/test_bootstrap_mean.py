"""The bootstrap of a mean against the central limit theorem, exact enumeration and coverage."""

import math
from itertools import product

import numpy as np
import pytest

from amulet_core.statistics.bootstrap import bootstrap_mean
from amulet_core.statistics.interval import Interval


def resampled(
    values: np.ndarray | list[float], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    return bootstrap_mean(values, level=level, resamples=resamples, generator=np.random.default_rng(seed))


def test_a_large_sample_gives_the_normal_interval() -> None:
    values = np.random.default_rng(1).exponential(3, 5000)
    found = resampled(values)
    error = values.std() / math.sqrt(5000)
    assert (found.estimate, found.level) == (pytest.approx(values.mean()), 0.95)
    # A percentile at 2.5 % of 2,000 draws has a standard error of .06 standard deviations; three of them.
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.18 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.18 * error)


def test_a_tiny_sample_gives_the_percentiles_of_all_its_resamples() -> None:
    values = [0.0, 1.0, 5.0, 6.0]
    means = np.array(list(product(values, repeat=4))).mean(axis=1)
    found = resampled(values, level=0.8, resamples=40_000)
    # The means are .25 apart, so each percentile is one of them.
    assert (found.low, found.high) == tuple(np.quantile(means, [0.1, 0.9]))


def test_the_interval_covers_the_true_mean() -> None:
    generator, runs = np.random.default_rng(3), 600
    found = [bootstrap_mean(generator.random(100), resamples=400, generator=generator) for _ in range(runs)]
    coverage = np.mean([one.low <= 0.5 <= one.high for one in found])
    # Percentiles of 100 values are short by about one point; three Monte Carlo errors either way.
    allowance = 3 * math.sqrt(0.95 * 0.05 / runs)
    assert 0.94 - allowance < coverage < 0.95 + allowance


def test_equal_contributions_give_zero_width() -> None:
    found = resampled([0.1] * 7)
    assert (found.estimate, found.low, found.high) == (0.1, 0.1, 0.1)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random(50)
    whole = resampled(values, resamples=101)
    monkeypatch.setattr("amulet_core.statistics.bootstrap.CHUNK_VALUES", 50 * 10)
    assert resampled(values, resamples=101) == whole


def test_contributions_without_a_spread_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        resampled([math.nan], level=1.5, resamples=0)
    assert str(caught.value) == (
        "bootstrap of a mean: at least 2 contributions are needed, not 1; 1 contributions are not finite; "
        "at least one resample is needed, not 0; level must lie between 0 and 1, both excluded, not 1.5."
    )
    with pytest.raises(ValueError) as caught:
        resampled([[0.0, 1.0]])
    assert str(caught.value) == "bootstrap of a mean: contributions must be a list, not shape (1, 2)."
