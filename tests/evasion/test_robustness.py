"""The metric of evasion, against counts by hand and published Wilson limits."""

import pytest
import torch

from amulet_core.components import NoParams
from amulet_core.games.evasion import EvasionResult
from amulet_core.scores import Withheld
from amulet_core.statistics.proportions import wilson
from amulet_plugins_builtin.catalogue.evasion import COMPONENTS
from amulet_plugins_builtin.evasion.robustness import measure


def result(correct, survive, primary=0):
    rows = torch.arange(20)
    return EvasionResult(
        epsilons=tuple(0.1 * (i + 1) for i in range(len(survive))),
        primary=primary,
        norm="l2",
        clean=rows < correct,
        robust=torch.stack([rows < count for count in survive]),
        y=torch.zeros(20, dtype=torch.int64),
    )


@pytest.mark.parametrize(("primary", "robust", "fooled"), [(0, 12, 4), (1, 6, 10)])
def test_values_are_counts_at_the_primary_budget(primary, robust, fooled):
    scores = measure(result(16, [12, 6], primary), NoParams())
    for name, count, trials in (
        ("robust_accuracy", robust, 20),
        ("clean_accuracy", 16, 20),
        ("success_rate", fooled, 16),
    ):
        interval, value = wilson(count, trials), scores[name]
        assert (value.estimate, value.low, value.high, value.n) == (
            count / trials,
            interval.low,
            interval.high,
            trials,
        )


def test_a_model_that_gets_nothing_right_has_no_success_rate():
    scores = measure(result(0, [0]), NoParams())
    assert scores["success_rate"] == Withheld(
        name="success_rate", reason="no row is classified correctly without any change: nothing to attack"
    )
    assert scores["robust_accuracy"].estimate == 0


def test_the_curve_starts_with_the_clean_accuracy():
    curve = measure(result(16, [12, 6]), NoParams()).details["accuracy_by_epsilon"]
    assert [(point["epsilon"], point["accuracy"]) for point in curve] == [(0.0, 0.8), (0.1, 0.6), (0.2, 0.3)]
    assert all(point["low"] < point["accuracy"] < point["high"] for point in curve)


def test_the_metric_gives_exactly_what_it_declares():
    declared = next(component for component in COMPONENTS if component.name == "robustness").measures
    assert [value.name for value in measure(result(16, [12]), NoParams()).values] == [m.name for m in declared]
