"""Group fairness: how far apart a model treats the groups of a sensitive attribute, with what chance alone would show.

One class counts as selected, against all others: the last, or the one the parameters name. A group is compared by a
rate only where it has at least ``SMALLEST_GROUP`` rows behind that rate.
"""

from dataclasses import dataclass

import numpy as np
import torch
from fairlearn.metrics import false_positive_rate, selection_rate, true_positive_rate
from numpy.typing import NDArray
from pydantic import JsonValue
from sklearn.metrics import accuracy_score

from amulet_core.games.behavior import BehaviorResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.groups import gap, permutation_null_of_gap
from amulet_core.statistics.interval import Interval
from amulet_core.statistics.permutation import PermutationNull
from amulet_core.statistics.proportions import newcombe, wilson
from amulet_plugins_builtin.catalogue.fairness import GroupFairnessParams
from amulet_plugins_builtin.fairness.attributes import SMALLEST_GROUP

_FAIRLEARN = {
    "selection rate": selection_rate,
    "true positive rate": true_positive_rate,
    "false positive rate": false_positive_rate,
    "accuracy": accuracy_score,
}


@dataclass(frozen=True)
class Treatment:
    """What a metric of groups reads, by row ``[n]``: was it selected, should it have been, and whose is it."""

    selected: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    group: NDArray[np.int64]
    labels: tuple[str, ...]
    permutations: int

    def rows(self, rate: str) -> NDArray[np.bool_]:
        """Return which rows stand behind a rate."""
        all_rows = np.ones_like(self.positive)
        return {"true positive rate": self.positive, "false positive rate": ~self.positive}.get(rate, all_rows)

    def hits(self, rate: str) -> NDArray[np.bool_]:
        """Return which rows a rate counts."""
        return self.correct if rate == "accuracy" else self.selected

    def counts(self, rate: str) -> tuple[list[int], list[int]]:
        """Return the hits and the trials of every group."""
        rows = self.rows(rate)
        hits = np.bincount(self.group[rows & self.hits(rate)], minlength=len(self.labels))
        return hits.tolist(), np.bincount(self.group[rows], minlength=len(self.labels)).tolist()


def group_fairness(result: BehaviorResult, params: GroupFairnessParams) -> Scores:
    """Return the differences between groups, their ratio of selection rates (p-rule), and every group's rates.

    With two groups, each difference has the interval of Newcombe 1998 (method 10) for the signed difference, folded at
    0. With more, the largest difference is biased upward and gets no interval, but its null distribution: what it would
    be if predictions had nothing to do with the group.
    """
    if result.attribute is None:
        names = ("demographic_parity_difference", "equalized_odds_difference", "equal_opportunity_difference")
        reason = "the data set declares no sensitive attribute"
        return Scores(values=tuple(Withheld(name=name, reason=reason) for name in (*names, "accuracy_gap", "p_rule")))
    treatment = _treatment(result, result.attribute, params)
    generator = np.random.default_rng(int(torch.randint(2**62, ())))
    odds = ("true positive rate", "false positive rate")
    return Scores(
        values=(
            _difference("demographic_parity_difference", treatment, ("selection rate",), generator),
            _difference("equalized_odds_difference", treatment, odds, generator),
            _difference("equal_opportunity_difference", treatment, odds[:1], generator),
            _difference("accuracy_gap", treatment, ("accuracy",), generator),
            _p_rule(treatment),
        ),
        details=_details(
            treatment, result.data_schema.sensitive[result.attribute].name, _positive_class(result, params)
        ),
    )


def _positive_class(result: BehaviorResult, params: GroupFairnessParams) -> str:
    return params.positive or result.data_schema.classes[-1]


def _treatment(result: BehaviorResult, attribute: int, params: GroupFairnessParams) -> Treatment:
    wanted = _positive_class(result, params)
    if wanted not in result.data_schema.classes:
        raise ValueError(f'the data set has no class "{wanted}"; it has {", ".join(result.data_schema.classes)}')
    index = result.data_schema.classes.index(wanted)
    return Treatment(
        selected=(result.predictions == index).numpy(),
        positive=(result.y == index).numpy(),
        correct=(result.predictions == result.y).numpy(),
        group=result.z[:, attribute].numpy(),
        labels=result.data_schema.sensitive[attribute].categories,
        permutations=params.permutations,
    )


def _difference(
    name: str, treatment: Treatment, rates: tuple[str, ...], generator: np.random.Generator
) -> Value | Withheld:
    """Return the largest difference between groups in any of the rates."""
    groups = _large_enough(treatment, rates)
    if len(groups) < 2:
        return Withheld(name=name, reason=_too_few(treatment, rates))
    chosen = np.isin(treatment.group, groups)
    low, high, method = _interval(treatment, rates, groups)
    return Value(
        name=name,
        estimate=max(gap(_group_rates(treatment, rate, groups)) for rate in rates),
        low=low,
        high=high,
        method=method,
        n=int(np.logical_or.reduce([chosen & treatment.rows(rate) for rate in rates]).sum()),
        null="; ".join(_null(treatment, rate, chosen, generator) for rate in rates),
    )


def _p_rule(treatment: Treatment) -> Value | Withheld:
    groups = _large_enough(treatment, ("selection rate",))
    if len(groups) < 2:
        return Withheld(name="p_rule", reason=_too_few(treatment, ("selection rate",)))
    selected = _group_rates(treatment, "selection rate", groups)
    if not max(selected):
        return Withheld(name="p_rule", reason="no row is predicted to be of the positive class: the ratio is 0 / 0")
    return Value(
        name="p_rule",
        estimate=min(selected) / max(selected),
        method="smallest over largest rate: no interval",
        n=int(np.isin(treatment.group, groups).sum()),
    )


def _large_enough(treatment: Treatment, rates: tuple[str, ...]) -> list[int]:
    trials = [treatment.counts(rate)[1] for rate in rates]
    return [group for group, sizes in enumerate(zip(*trials, strict=True)) if min(sizes) >= SMALLEST_GROUP]


def _too_few(treatment: Treatment, rates: tuple[str, ...]) -> str:
    sizes = [min(trials) for trials in zip(*(treatment.counts(rate)[1] for rate in rates), strict=True)]
    listed = ", ".join(f"{label} {size}" for label, size in zip(treatment.labels, sizes, strict=True))
    return f"fewer than 2 groups have {SMALLEST_GROUP} rows behind their {' and '.join(rates)} (rows: {listed})"


def _group_rates(treatment: Treatment, rate: str, groups: list[int]) -> list[float]:
    """Return a rate of each of the groups, by fairlearn (not its MetricFrame: ten times slower, the same numbers)."""
    # Accuracy is right or wrong on all classes; the other rates are of the positive class against the rest.
    truth = np.ones_like(treatment.correct) if rate == "accuracy" else treatment.positive
    own = [treatment.rows(rate) & (treatment.group == group) for group in groups]
    hits = treatment.hits(rate)
    return [float(_FAIRLEARN[rate](truth[rows].astype(int), hits[rows].astype(int))) for rows in own]


def _interval(
    treatment: Treatment, rates: tuple[str, ...], groups: list[int]
) -> tuple[float | None, float | None, str]:
    """Return the limits of a difference between two groups, if there are but two, and how they came about.

    Each of several rates gets its share of the 5 %: then the largest difference lies between the largest limits.
    """
    if len(groups) != 2:
        return None, None, f"largest difference among {len(groups)} groups: biased upward, hence no interval"
    a, b = groups
    level = 1 - 0.05 / len(rates)
    signed = [_signed(treatment, rate, a, b, level=level) for rate in rates]
    folded = [_folded(interval) for interval in signed]
    shown = ", ".join(f"{interval.estimate:+.3f}" for interval in signed)
    method = (
        f"Newcombe, on the signed difference {treatment.labels[a]} minus {treatment.labels[b]} ({shown}), folded at 0"
    )
    if len(rates) > 1:
        method += f"; each of {len(rates)} rates at {level:.3g}, the largest limits shown"
    return max(low for low, _ in folded), max(high for _, high in folded), method


def _signed(treatment: Treatment, rate: str, a: int, b: int, *, level: float = 0.95) -> Interval:
    hits, trials = treatment.counts(rate)
    return newcombe(hits[a], trials[a], hits[b], trials[b], level=level)


def _folded(interval: Interval) -> tuple[float, float]:
    """Return the interval for the size of a difference from that for the signed difference."""
    ends = abs(interval.low), abs(interval.high)
    return 0.0 if interval.low <= 0 <= interval.high else min(ends), max(ends)


def _null(treatment: Treatment, rate: str, chosen: NDArray[np.bool_], generator: np.random.Generator) -> str:
    rows = chosen & treatment.rows(rate)
    null: PermutationNull = permutation_null_of_gap(
        treatment.hits(rate)[rows], treatment.group[rows], permutations=treatment.permutations, generator=generator
    )
    return f"{rate}, groups permuted: mean {null.mean:.3f}, 95 % below {null.quantile_95:.3f}"


def _details(treatment: Treatment, attribute: str, positive: str) -> dict[str, JsonValue]:
    hits, trials = treatment.counts("selection rate")
    reference = int(np.argmax(trials))
    groups: list[JsonValue] = [
        {
            "group": label,
            "n": trials[g],
            "selection_rate": _rate(treatment, "selection rate", g),
            "low": wilson(hits[g], trials[g]).low if trials[g] else None,
            "high": wilson(hits[g], trials[g]).high if trials[g] else None,
            "tpr": _rate(treatment, "true positive rate", g),
            "fpr": _rate(treatment, "false positive rate", g),
            "accuracy": _rate(treatment, "accuracy", g),
            "to_reference": _to_reference(treatment, g, reference),
        }
        for g, label in enumerate(treatment.labels)
    ]
    return {
        "attribute": attribute,
        "positive": positive,
        "reference": treatment.labels[reference],
        "groups": groups,
        "too_small": [label for label, size in zip(treatment.labels, trials, strict=True) if size < SMALLEST_GROUP],
    }


def _rate(treatment: Treatment, rate: str, group: int) -> float | None:
    hits, trials = treatment.counts(rate)
    return hits[group] / trials[group] if trials[group] else None


def _to_reference(treatment: Treatment, group: int, reference: int) -> dict[str, JsonValue] | None:
    """Return the signed difference of a group's selection rate to the largest group's, with Newcombe's interval."""
    if group == reference or treatment.counts("selection rate")[1][group] == 0:
        return None
    signed = _signed(treatment, "selection rate", group, reference)
    return {"difference": signed.estimate, "low": signed.low, "high": signed.high}
