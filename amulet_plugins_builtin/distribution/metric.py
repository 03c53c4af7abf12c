"""The metric of distribution inference: how well victims were told apart, and how many samples that is worth."""

import math
from dataclasses import replace
from typing import Final

import numpy as np
from pydantic import JsonValue
from scipy import stats

from amulet_core.components import NoParams
from amulet_core.games.distribution import DistributionResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.membership import auc
from amulet_core.statistics.proportions import clopper_pearson

METHOD: Final = "Clopper-Pearson, for victims drawn from the same rows, against the same own models"
MOST_SAMPLES: Final = 1_000_000
"""The most samples that the exact number is looked for among."""


def measure(result: DistributionResult, params: NoParams) -> Scores:  # noqa: ARG001 (every metric is called so)
    """Return accuracy at the threshold fixed beforehand, AUC, n-leaked (exact, and the published bound), and quality.

    The interval of the accuracy is Clopper-Pearson: each victim is a trial, as its rows are a draw of its own. But all
    draws are from the same rows, and overlap: it holds for more victims drawn from these rows, against these own
    models, and for no other; what another draw of both would change, the seeds show. Without a threshold accuracy is
    withheld, and with it what is made of it. Balanced accuracy is the lower median over the victims: half of them, or
    more, are no better. Models that know nothing cannot be told apart by what they answer.

    Raises:
        ValueError: if there are fewer than two victims of a hypothesis.
    """
    second, count = result.second.numpy(), len(result.second)
    area = Value.of("auc", auc(result.score.numpy(), second), n=count)
    quality = _quality(result)
    if result.threshold is None:
        reason = "The attack fixed no threshold beforehand, and one chosen on these victims would flatter it."
        names = ("accuracy", "n_leaked_exact", "n_leaked_bound")
        return Scores(values=(area, *(Withheld(name=name, reason=reason) for name in names), quality))
    right = int(((result.score >= result.threshold) == result.second).sum())
    interval = replace(clopper_pearson(right, count), method=METHOD)
    accuracy = Value.of("accuracy", interval, n=count)
    exact, bound = _exact(right / count, result), _bound(right / count, result)
    details: dict[str, JsonValue] = {"rows": result.rows, "ratios": list(result.ratios)}
    return Scores(values=(accuracy, area, exact, bound, quality), details=details)


def best_accuracy(first: float, second: float, samples: int) -> float:
    """Return the best accuracy with which so many Bernoulli samples tell the two shares apart, at equal priors.

    It is 1/2 + TV(Bin(n, first), Bin(n, second)) / 2 (Neyman and Pearson; the count is sufficient).
    """
    counts = np.arange(samples + 1)
    gaps = np.abs(stats.binom.pmf(counts, samples, first) - stats.binom.pmf(counts, samples, second))
    return 0.5 + float(gaps.sum()) / 4


def n_leaked_exact(accuracy: float, first: float, second: float) -> int | None:
    """Return the fewest samples with which the best accuracy is no lower than ``accuracy``; None above 1,000,000.

    The shares must differ, and the accuracy be below 1.
    """
    if accuracy <= 0.5:
        return 0
    enough, reached = 1, accuracy - 1e-9
    while best_accuracy(first, second, enough) < reached:
        enough *= 2
        if enough > MOST_SAMPLES:
            return None
    low = enough // 2
    while enough - low > 1:
        middle = (low + enough) // 2
        low, enough = (low, middle) if best_accuracy(first, second, middle) >= reached else (middle, enough)
    return enough


def n_leaked_bound(accuracy: float, first: float, second: float) -> float:
    """Return the published bound: log(1 - (2 w - 1)^2) / log max(min/max of the shares, min/max of their complements).

    An accuracy w below 1/2 counts as 1/2. Source: arXiv:2109.06024, the theorem on ratios of a binary property.
    """
    low, high = sorted((first, second))
    closest = max(low / high, (1 - high) / (1 - low))
    advantage = max(0.0, 2 * accuracy - 1)
    return math.log1p(-(advantage**2)) / math.log(closest) if closest else 0.0


def _exact(accuracy: float, result: DistributionResult) -> Value | Withheld:
    name, reason = "n_leaked_exact", _impossible(accuracy, result)
    if reason:
        return Withheld(name=name, reason=reason)
    found = n_leaked_exact(accuracy, *result.ratios)
    if found is None:
        return Withheld(name=name, reason=f"Such shares give that accuracy from no {MOST_SAMPLES:,} samples.")
    method = "inverse of the best accuracy from Bernoulli samples"
    return Value(name=name, estimate=found, method=method, n=len(result.second))


def _bound(accuracy: float, result: DistributionResult) -> Value | Withheld:
    name, reason = "n_leaked_bound", _impossible(accuracy, result)
    if reason:
        return Withheld(name=name, reason=reason)
    method = "bound of arXiv:2109.06024"
    return Value(name=name, estimate=n_leaked_bound(accuracy, *result.ratios), method=method, n=len(result.second))


def _quality(result: DistributionResult) -> Value | Withheld:
    name = "balanced_accuracy"
    if result.balanced is None:
        return Withheld(name=name, reason="Not every class is among the rows asked about.")
    method = "lower median over the victims: no interval"
    return Value(name=name, estimate=float(result.balanced.median()), method=method, n=len(result.balanced))


def _impossible(accuracy: float, result: DistributionResult) -> str:
    if result.ratios[0] == result.ratios[1]:
        return "The shares are equal: no number of samples tells them apart."
    if accuracy == 1:
        return f"All {len(result.second)} victims were told apart: no finite number of samples is sure to do that."
    return ""
