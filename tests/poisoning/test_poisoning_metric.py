"""The metric of poisoning against counts by hand."""

import pytest
import torch

from amulet_core.components import NoParams
from amulet_core.games.poisoning import PoisoningResult
from amulet_core.scores import Withheld
from amulet_core.statistics.proportions import wilson
from amulet_plugins_builtin.poisoning.metric import measure

VALUES = (
    "attack_success_rate",
    "success_rate_without_poison",
    "clean_accuracy",
    "balanced_accuracy",
    "accuracy_without_poison",
    "accuracy_under_trigger",
    "changed_inputs",
)


def result(**changes):
    fields = {
        "y": torch.tensor([1, 1, 1, 0, 2, 2]),
        "target": 1,
        "plain": torch.tensor([1, 1, 0, 0, 2, 1]),
        "triggered": torch.tensor([1, 0, 1, 1, 1, 2]),
        "clean_plain": torch.tensor([1, 1, 1, 0, 2, 2]),
        "clean_triggered": torch.tensor([1, 1, 1, 0, 1, 2]),
        "changed": torch.tensor([True, True, False, True, True, False]),
        "poisoned": 4,
        "rows": 40,
        "classes": ("a", "b", "c"),
    }
    return PoisoningResult(**fields | changes)


def test_every_value_is_the_count_by_hand():
    scores = measure(result(), NoParams())
    assert [value.name for value in scores.values] == list(VALUES)
    assert [(value.estimate, value.n) for value in scores.values] == [
        (2 / 3, 3),
        (1 / 3, 3),
        (4 / 6, 6),
        (pytest.approx((2 / 3 + 1 + 1 / 2) / 3), 6),
        (1.0, 6),
        (3 / 6, 6),
        (4 / 6, 6),
    ]
    assert scores.details == {"target": "b", "source": "", "poisoned_rows": 4, "rows": 40}


def test_success_counts_only_rows_of_other_classes():
    """All rows of the target get the target, no other row does: the trigger achieves nothing."""
    own = result(triggered=torch.tensor([1, 1, 1, 0, 2, 0]))
    assert measure(own, NoParams())["attack_success_rate"].estimate == 0


def test_the_success_of_an_attack_on_one_class_is_counted_on_its_rows():
    """Both rows of c; over all rows of other classes one third would be added that nobody aimed at."""
    scores = measure(result(source=2), NoParams())
    assert [(value.estimate, value.n) for value in scores.values[:2]] == [(1 / 2, 2), (1 / 2, 2)]
    alone = measure(result(source=0), NoParams())
    assert [(value.estimate, value.n) for value in alone.values[:2]] == [(1.0, 1), (0.0, 1)]
    assert scores.details["source"] == "c"
    assert scores.values[2:] == measure(result(), NoParams()).values[2:]


def test_the_intervals_are_wilsons():
    value = measure(result(), NoParams())["attack_success_rate"]
    expected = wilson(2, 3)
    assert (value.low, value.high, value.method) == (expected.low, expected.high, expected.method)


@pytest.mark.parametrize(
    ("changes", "withheld"),
    [
        (
            {"y": torch.ones(6, dtype=torch.int64)},
            dict.fromkeys(
                ("attack_success_rate", "success_rate_without_poison"),
                "every row asked about is of the target class: there is nothing to win",
            )
            | {"balanced_accuracy": "no row asked about is of the class a, c"},
        ),
        (
            {"targeted": False},
            dict.fromkeys(
                ("attack_success_rate", "success_rate_without_poison"),
                "the attack aims at no class: read what it does to clean_accuracy",
            ),
        ),
        (
            {"source": 0, "y": torch.tensor([1, 1, 1, 2, 2, 2])},
            dict.fromkeys(
                ("attack_success_rate", "success_rate_without_poison"), "no row asked about is of the source class a"
            )
            | {"balanced_accuracy": "no row asked about is of the class a"},
        ),
        (
            {"has_trigger": False},
            dict.fromkeys(("accuracy_under_trigger", "changed_inputs"), "the attack has no trigger"),
        ),
    ],
)
def test_what_is_not_defined_is_withheld_with_the_reason(changes, withheld):
    scores = measure(result(**changes), NoParams())
    assert [value.name for value in scores.values] == list(VALUES)
    assert {value.name: value.reason for value in scores.values if isinstance(value, Withheld)} == withheld
