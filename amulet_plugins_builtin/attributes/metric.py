"""The metric of attribute inference: how often the value is right, and how much more often than without the victim."""

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from amulet_core.components import NoParams
from amulet_core.games.attribute import AttributeResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.balanced import balanced_accuracy, balanced_gain, difference
from amulet_core.statistics.interval import Interval
from amulet_core.statistics.membership import auc
from amulet_plugins_builtin.fairness.attributes import SMALLEST_GROUP

Bools = NDArray[np.bool_]
Shown = Value | Withheld


def measure(result: AttributeResult, params: NoParams) -> Scores:  # noqa: ARG001 (every metric is called so)
    """Return balanced accuracy, AUC, and the gain in balanced accuracy over the best control: on all, by membership.

    Each value of the attribute counts alike, but for those of fewer than 30 candidates, which do not count: one row
    would then move the mean more than a defense does. All that the values need, but are not given, is withheld with
    the reason. Intervals are two-sided, 95 %.
    """
    z, member = result.z.numpy(), result.member.numpy()
    counts = np.bincount(z, minlength=len(result.values))
    counted = np.flatnonzero(counts >= SMALLEST_GROUP)
    parts = {"": np.ones(len(z), bool), "_members": member, "_non_members": ~member}
    measured = [part for name, rows in parts.items() for part in _part(result, name, rows, counted)]
    return Scores(values=(*measured, _leak(measured)), details={"by_value": _by_value(result)})


def _part(result: AttributeResult, name: str, rows: Bools, counted: NDArray[np.int64]) -> list[Shown]:
    z, named = result.z.numpy(), ("advantage", "balanced_accuracy", "auc")
    problem = _problem(result, z[rows], counted)
    if problem:
        return [Withheld(name=f"{each}{name}", reason=problem) for each in named]
    used = rows & np.isin(z, counted)
    right = (result.guess == result.z).numpy()[used]
    accuracy = Value.of(f"balanced_accuracy{name}", balanced_accuracy(right, z[used]), n=len(right))
    return [_advantage(result, name, used), accuracy, _area(result, name, used, counted)]


def _problem(result: AttributeResult, z: NDArray[np.int64], counted: NDArray[np.int64]) -> str:
    if len(counted) < 2:
        return f"Fewer than two values have {SMALLEST_GROUP} candidates: there is nothing to tell apart."
    few = [result.values[value] for value in counted if np.count_nonzero(z == value) < 2]
    return f"Fewer than two of these rows are {' or '.join(few)}." if few else ""


def _advantage(result: AttributeResult, name: str, used: Bools) -> Shown:
    z, right = result.z.numpy()[used], (result.guess == result.z).numpy()[used]
    controls = [(guess == result.z).numpy()[used] for guess in result.control]
    if not controls:
        reason = "No control stands beside it: it is one itself, or none could be played."
        return Withheld(name=f"advantage{name}", reason=reason)
    best = max(controls, key=lambda control: balanced_accuracy(control, z).estimate)
    return Value.of(f"advantage{name}", balanced_gain(right, best, z), n=len(right))


def _area(result: AttributeResult, name: str, used: Bools, counted: NDArray[np.int64]) -> Shown:
    z, score = result.z.numpy()[used], result.score.numpy()[used]
    if len(result.values) == 2:
        return Value.of(f"auc{name}", auc(score[:, 1] - score[:, 0], z == 1), n=len(z))
    areas = [auc(score[:, value], z == value).estimate for value in counted]
    method = "mean over the values of the area of each against all others; no interval"
    return Value(name=f"auc{name}", estimate=float(np.mean(areas)), method=method, n=len(z))


def _leak(measured: list[Shown]) -> Shown:
    """Return what training leaked: the advantage on members less that on others."""
    name = "advantage_gap"
    found = {one.name: one for one in measured}
    parts = [found["advantage_members"], found["advantage_non_members"]]
    for part in parts:
        if isinstance(part, Withheld):
            return Withheld(name=name, reason=part.reason)
    first, second = (_interval(part) for part in parts)
    return Value.of(name, difference(first, second), n=sum(part.n for part in parts if isinstance(part, Value)))


def _interval(value: Shown) -> Interval:
    assert isinstance(value, Value)
    assert value.low is not None
    assert value.high is not None
    return Interval(value.estimate, value.low, value.high, 0.95, value.method)


def _by_value(result: AttributeResult) -> JsonValue:
    """Return, for each value, how many candidates have it, whether it counts, and how many of them were found."""
    lines: list[JsonValue] = []
    for value, label in enumerate(result.values):
        rows = result.z == value
        n = int(rows.sum())
        line: dict[str, JsonValue] = {"value": label, "n": n, "counts": "yes" if n >= SMALLEST_GROUP else "no"}
        line["found"] = float((result.guess[rows] == value).double().mean()) if n else None
        for index, guess in enumerate(result.control):
            which = f" {index + 1}" if len(result.control) > 1 else ""
            line[f"found by the control{which}"] = float((guess[rows] == value).double().mean()) if n else None
        lines.append(line)
    return lines
