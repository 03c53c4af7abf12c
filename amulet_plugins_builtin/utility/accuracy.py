"""Accuracy on the test rows, with what it hides: single classes, groups, and how far a constant answer gets."""

import math

import torch
from pydantic import JsonValue
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.behavior import BehaviorResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.proportions import wilson
from amulet_plugins_builtin.fairness.attributes import SMALLEST_GROUP


def accuracy(result: BehaviorResult, params: NoParams) -> Scores:  # noqa: ARG001 - every metric takes its settings
    """Return accuracy (Wilson's interval), balanced accuracy, the majority-class victim's, and the worst group's.

    Balanced accuracy is the mean of the classes' accuracies; its limits lie as far from it as the independent Wilson
    limits do from theirs, added in quadrature (Zou & Donner 2008, doi:10.1002/sim.3095, equation 5).
    """
    right, classes = result.predictions == result.y, len(result.data_schema.classes)
    by_class = _by_part(right, result.y, classes)
    overall = wilson(int(right.sum()), len(right))
    values: tuple[Value | Withheld, ...] = (
        Value.of("accuracy", overall, n=len(right)),
        _balanced(by_class, result.data_schema.classes),
        Value(
            name="majority_accuracy",
            estimate=max(trials for _, trials in by_class) / len(right),
            method="share of the most common class among the test rows: no interval",
            n=len(right),
        ),
        _worst_group(result, right),
    )
    return Scores(values=values, details=_details(result, right, by_class))


def _by_part(right: Tensor, part: Tensor, parts: int) -> list[tuple[int, int]]:
    """Return, for each part of the rows, how many predictions are right and how many rows there are."""
    hits, trials = torch.bincount(part[right], minlength=parts), torch.bincount(part, minlength=parts)
    return list(zip(hits.tolist(), trials.tolist(), strict=True))


def _balanced(by_class: list[tuple[int, int]], classes: tuple[str, ...]) -> Value | Withheld:
    absent = [label for label, (_, trials) in zip(classes, by_class, strict=True) if not trials]
    if absent:
        return Withheld(name="balanced_accuracy", reason=f"no test row is of the class {', '.join(absent)}")
    recalls = [wilson(hits, trials) for hits, trials in by_class]
    mean = sum(recall.estimate for recall in recalls) / len(recalls)
    below = math.hypot(*(recall.estimate - recall.low for recall in recalls)) / len(recalls)
    above = math.hypot(*(recall.high - recall.estimate for recall in recalls)) / len(recalls)
    return Value(
        name="balanced_accuracy",
        estimate=mean,
        low=max(0.0, mean - below),
        high=min(1.0, mean + above),
        method="Wilson limits of the classes' accuracies, in quadrature",
        n=sum(trials for _, trials in by_class),
    )


def _worst_group(result: BehaviorResult, right: Tensor) -> Value | Withheld:
    name = "worst_group_accuracy"
    if result.attribute is None:
        return Withheld(name=name, reason="the data set declares no sensitive attribute")
    by_group = _by_group(result, right)
    large = [(hits, trials) for hits, trials in by_group if trials >= SMALLEST_GROUP]
    if not large:
        sizes = ", ".join(f"{label} {trials}" for label, (_, trials) in zip(_labels(result), by_group, strict=True))
        return Withheld(name=name, reason=f"no group has {SMALLEST_GROUP} rows (rows: {sizes})")
    return Value(
        name=name,
        estimate=min(hits / trials for hits, trials in large),
        method=f"lowest of {len(large)} groups of at least {SMALLEST_GROUP} rows: biased downward, hence no interval",
        n=sum(trials for _, trials in large),
    )


def _by_group(result: BehaviorResult, right: Tensor) -> list[tuple[int, int]]:
    if result.attribute is None:
        return []
    return _by_part(right, result.z[:, result.attribute], len(_labels(result)))


def _labels(result: BehaviorResult) -> tuple[str, ...]:
    return () if result.attribute is None else result.data_schema.sensitive[result.attribute].categories


def _details(result: BehaviorResult, right: Tensor, by_class: list[tuple[int, int]]) -> dict[str, JsonValue]:
    per_class: list[JsonValue] = [
        {"class": label, "n": trials, **_rate("recall", hits, trials)}
        for label, (hits, trials) in zip(result.data_schema.classes, by_class, strict=True)
    ]
    per_group: list[JsonValue] = [
        {"group": label, "n": trials, **_rate("accuracy", hits, trials)}
        for label, (hits, trials) in zip(_labels(result), _by_group(result, right), strict=True)
    ]
    attribute = None if result.attribute is None else result.data_schema.sensitive[result.attribute].name
    return {"per_class": per_class, "per_group": per_group, "attribute": attribute}


def _rate(name: str, hits: int, trials: int) -> dict[str, JsonValue]:
    if not trials:
        return {name: None, "low": None, "high": None}
    interval = wilson(hits, trials)
    return {name: interval.estimate, "low": interval.low, "high": interval.high}
