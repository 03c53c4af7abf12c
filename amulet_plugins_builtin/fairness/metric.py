"""Group fairness: how far apart a model treats the groups of a sensitive attribute, with what chance alone would show.

One class counts as selected, against all others: the one that the parameters name, or the last of two. Of more than two
classes each counts in turn, and a value is the worst over them. A group is compared by a rate only where it has at
least ``SMALLEST_GROUP`` rows behind that rate.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue

from amulet_core.games.behavior import BehaviorResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.groups import gap, permutation_null_of_gap, permutation_null_of_largest_gap
from amulet_core.statistics.interval import Interval
from amulet_core.statistics.permutation import PermutationNull
from amulet_core.statistics.proportions import newcombe, wilson
from amulet_plugins_builtin.catalogue.fairness import GroupFairnessParams
from amulet_plugins_builtin.fairness.attributes import SMALLEST_GROUP
from amulet_plugins_builtin.fairness.treatment import Treatment, treatments

Pair = tuple[Treatment, str]
"""A rate, with respect to one class."""


def group_fairness(result: BehaviorResult, params: GroupFairnessParams) -> Scores:
    """Return the differences between groups, their ratio of selection rates (p-rule), and every group's rates.

    With two groups, each difference has the interval of Newcombe 1998 (method 10) for the signed difference, folded at
    0. With more, the largest difference is biased upward and gets no interval, but its null distribution: what it would
    be if predictions had nothing to do with the group. Groups left out are named in the method, and a warning.
    """
    if result.attribute is None:
        names = ("demographic_parity_difference", "equalized_odds_difference", "equal_opportunity_difference")
        reason = "the data set declares no sensitive attribute"
        return Scores(values=tuple(Withheld(name=name, reason=reason) for name in (*names, "accuracy_gap", "p_rule")))
    chosen = treatments(result, result.attribute, params)
    generator = np.random.default_rng(int(torch.randint(2**62, ())))
    wanted = {
        "demographic_parity_difference": ("selection rate",),
        "equalized_odds_difference": ("true positive rate", "false positive rate"),
        "equal_opportunity_difference": ("true positive rate",),
    }
    pairs = {name: [(one, rate) for one in chosen for rate in rates] for name, rates in wanted.items()}
    pairs["accuracy_gap"] = [(chosen[0], "accuracy")]
    differences = [_difference(name, own, params, generator) for name, own in pairs.items()]
    attribute = result.data_schema.sensitive[result.attribute].name
    few = (_few(value.name, own, attribute) for value, own in zip(differences, pairs.values(), strict=True))
    return Scores(
        values=(*differences, _p_rule(chosen)),
        details=_details(chosen, attribute),
        warnings=(*_small_groups(chosen[0], attribute), *(text for text in few if text)),
    )


def _difference(
    name: str, pairs: list[Pair], params: GroupFairnessParams, generator: np.random.Generator
) -> Value | Withheld:
    """Return the largest difference between groups in any of the rates."""
    groups = _large_enough(pairs)
    if len(groups) < 2:
        return Withheld(name=name, reason=_too_few(pairs))
    member = np.isin(pairs[0][0].group, groups)
    low, high, method = _interval(pairs, groups)
    null, null_95 = _null(pairs, member, params, generator)
    return Value(
        name=name,
        estimate=max(gap(treatment.rates(rate, groups)) for treatment, rate in pairs),
        low=low,
        high=high,
        method=f"{method}{_without(pairs)}",
        n=int(np.logical_or.reduce([member & treatment.rows(rate) for treatment, rate in pairs]).sum()),
        null=null,
        null_95=null_95,
    )


def _p_rule(chosen: list[Treatment]) -> Value | Withheld:
    pairs = [(one, "selection rate") for one in chosen]
    groups = _large_enough(pairs)
    if len(groups) < 2:
        return Withheld(name="p_rule", reason=_too_few(pairs))
    # A class that is never predicted has the ratio 0 / 0: it says nothing.
    selected = [rates for one in chosen if max(rates := one.rates("selection rate", groups))]
    if not selected:
        return Withheld(name="p_rule", reason="no row is predicted to be of the positive class: the ratio is 0 / 0")
    of_each = "" if len(chosen) == 1 else f", the smallest over {len(selected)} classes"
    return Value(
        name="p_rule",
        estimate=min(min(rates) / max(rates) for rates in selected),
        method=f"smallest over largest rate{of_each}: no interval{_without(pairs)}",
        n=int(np.isin(chosen[0].group, groups).sum()),
    )


def _sizes(pairs: list[Pair]) -> list[int]:
    """Return how many rows each group has behind the rate that it has fewest for."""
    return [min(trials) for trials in zip(*(treatment.counts(rate)[1] for treatment, rate in pairs), strict=True)]


def _large_enough(pairs: list[Pair]) -> list[int]:
    return [group for group, size in enumerate(_sizes(pairs)) if size >= SMALLEST_GROUP]


def _left_out(pairs: list[Pair]) -> list[int]:
    return sorted({*range(len(pairs[0][0].labels))} - {*_large_enough(pairs)})


def _without(pairs: list[Pair]) -> str:
    left_out = ", ".join(pairs[0][0].labels[group] for group in _left_out(pairs))
    return f"; not compared: {left_out}" if left_out else ""


def _few(name: str, pairs: list[Pair], attribute: str) -> str:
    """Tell which groups of rows enough, of several, a difference leaves out as they have few behind its rates."""
    labels, sizes, everybody = pairs[0][0].labels, _sizes(pairs), pairs[0][0].counts("selection rate")[1]
    few = [group for group in _left_out(pairs) if everybody[group] >= SMALLEST_GROUP]
    if not few or len(_large_enough(pairs)) < 2:  # then the value is withheld, and says why
        return ""
    listed = ", ".join(f"{labels[group]} {sizes[group]}" for group in few)
    return (
        f"{name} does not compare groups of {attribute} with fewer than {SMALLEST_GROUP} rows behind their "
        f"{_named(pairs)} (rows: {listed})"
    )


def _named(pairs: list[Pair]) -> str:
    rates = " and ".join(dict.fromkeys(rate for _, rate in pairs))
    return rates if len({one.of for one, _ in pairs}) == 1 else f"{rates} of each class"


def _too_few(pairs: list[Pair]) -> str:
    labels = pairs[0][0].labels
    listed = ", ".join(f"{label} {size}" for label, size in zip(labels, _sizes(pairs), strict=True))
    return f"fewer than 2 groups have {SMALLEST_GROUP} rows behind their {_named(pairs)} (rows: {listed})"


def _interval(pairs: list[Pair], groups: list[int]) -> tuple[float | None, float | None, str]:
    """Return the limits of a difference between two groups, if there are but two, and how they came about.

    Each of several rates gets its share of the 5 %: then the largest difference lies between the largest limits.
    """
    if len(groups) != 2:
        return None, None, f"largest difference among {len(groups)} groups: biased upward, hence no interval"
    a, b = groups
    level = 1 - 0.05 / len(pairs)
    signed = [_signed(treatment, rate, a, b, level=level) for treatment, rate in pairs]
    folded = [_folded(interval) for interval in signed]
    labels = pairs[0][0].labels
    method = f"Newcombe, on the signed difference {labels[a]} minus {labels[b]} ({_shown(pairs, signed)}), folded at 0"
    if len(pairs) > 1:
        method += f"; each of {len(pairs)} rates at {level:.3g}, the largest limits shown"
    return max(low for low, _ in folded), max(high for _, high in folded), method


def _shown(pairs: list[Pair], signed: list[Interval]) -> str:
    if len({treatment.of for treatment, _ in pairs}) == 1:
        return ", ".join(f"{interval.estimate:+.3f}" for interval in signed)
    largest = max(range(len(pairs)), key=lambda at: abs(signed[at].estimate))
    treatment, rate = pairs[largest]
    return f"largest for {treatment.of}, {rate}: {signed[largest].estimate:+.3f}"


def _signed(treatment: Treatment, rate: str, a: int, b: int, *, level: float = 0.95) -> Interval:
    hits, trials = treatment.counts(rate)
    return newcombe(hits[a], trials[a], hits[b], trials[b], level=level)


def _folded(interval: Interval) -> tuple[float, float]:
    """Return the interval for the size of a difference from that for the signed difference."""
    ends = abs(interval.low), abs(interval.high)
    return 0.0 if interval.low <= 0 <= interval.high else min(ends), max(ends)


def _null(
    pairs: list[Pair], member: NDArray[np.bool_], params: GroupFairnessParams, generator: np.random.Generator
) -> tuple[str, float | None]:
    """Return the null in words, and its 95 % quantile where it is one."""
    treatment = pairs[0][0]
    if len({one.of for one, _ in pairs}) > 1:
        # A true positive rate compares rows of one class: groups change places among these alone.
        within = np.zeros_like(treatment.y) if pairs[0][1] == "selection rate" else treatment.y
        null = permutation_null_of_largest_gap(
            np.stack([one.hits(rate)[member] for one, rate in pairs], 1),
            np.stack([one.rows(rate)[member] for one, rate in pairs], 1),
            treatment.group[member],
            within=within[member],
            permutations=params.permutations,
            generator=generator,
        )
        return f"largest over the classes, {_told(null)}", null.quantile_95
    nulls, quantiles = [], []
    for one, rate in pairs:
        rows = member & one.rows(rate)
        null = permutation_null_of_gap(
            one.hits(rate)[rows], one.group[rows], permutations=params.permutations, generator=generator
        )
        nulls.append(f"{rate}, {_told(null)}")
        quantiles.append(null.quantile_95)
    return "; ".join(nulls), quantiles[0] if len(quantiles) == 1 else None


def _told(null: PermutationNull) -> str:
    return f"groups permuted: mean {null.mean:.3f}, 95 % below {null.quantile_95:.3f}"


def _small_groups(treatment: Treatment, attribute: str) -> tuple[str, ...]:
    sizes = dict(zip(treatment.labels, treatment.counts("selection rate")[1], strict=True))
    small = ", ".join(f"{label} {size}" for label, size in sizes.items() if size < SMALLEST_GROUP)
    if not small:
        return ()
    return (f"groups of {attribute} with fewer than {SMALLEST_GROUP} test rows are not compared (rows: {small})",)


def _details(chosen: list[Treatment], attribute: str) -> dict[str, JsonValue]:
    only, trials = chosen[0], chosen[0].counts("selection rate")[1]
    reference = int(np.argmax(trials))
    facts: dict[str, JsonValue] = {
        "attribute": attribute,
        "positive": only.of if len(chosen) == 1 else "each class in turn",
        "reference": only.labels[reference],
        "too_small": [label for label, size in zip(only.labels, trials, strict=True) if size < SMALLEST_GROUP],
    }
    if len(chosen) == 1:
        facts["groups"] = [_of_group(only, group, reference) for group in range(len(only.labels))]
        return facts
    facts["by_class"] = [{"class": one.of, **_rates(one, group)} for one in chosen for group in range(len(only.labels))]
    return facts


def _rates(treatment: Treatment, group: int) -> dict[str, JsonValue]:
    return {
        "group": treatment.labels[group],
        "n": treatment.counts("selection rate")[1][group],
        "selection_rate": treatment.rate("selection rate", group),
        "tpr": treatment.rate("true positive rate", group),
        "fpr": treatment.rate("false positive rate", group),
        "accuracy": treatment.rate("accuracy", group),
    }


def _of_group(treatment: Treatment, group: int, reference: int) -> dict[str, JsonValue]:
    hits, trials = treatment.counts("selection rate")
    interval = wilson(hits[group], trials[group]) if trials[group] else None
    return {
        **_rates(treatment, group),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "to_reference": _to_reference(treatment, group, reference),
    }


def _to_reference(treatment: Treatment, group: int, reference: int) -> dict[str, JsonValue] | None:
    """Return the signed difference of a group's selection rate to the largest group's, with Newcombe's interval."""
    if group == reference or treatment.counts("selection rate")[1][group] == 0:
        return None
    signed = _signed(treatment, "selection rate", group, reference)
    return {"difference": signed.estimate, "low": signed.low, "high": signed.high}
