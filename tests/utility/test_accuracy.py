"""The accuracy metric against scikit-learn, closed forms, and results that lack classes or groups."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, recall_score

from amulet_core.components import NoParams
from amulet_core.games.behavior import BehaviorResult
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.scores import Withheld
from amulet_core.statistics.proportions import wilson
from amulet_plugins_builtin.catalogue.utility import COMPONENTS
from amulet_plugins_builtin.utility.accuracy import accuracy


def result(predictions, y, z=None, *, classes=3, groups=3):
    sensitive = () if z is None else (Sensitive(name="group", categories=tuple(f"g{k}" for k in range(groups))),)
    schema = DataSchema(
        modality="tabular",
        shape=(1,),
        classes=tuple(f"class {k}" for k in range(classes)),
        sensitive=sensitive,
        feasible=Feasible(low=0.0, high=1.0),
    )
    y = torch.as_tensor(y, dtype=torch.int64)
    z = torch.zeros(len(y), 0, dtype=torch.int64) if z is None else torch.as_tensor(z, dtype=torch.int64)[:, None]
    return BehaviorResult(
        probabilities=torch.nn.functional.one_hot(torch.as_tensor(predictions, dtype=torch.int64), classes).float(),
        y=y,
        z=z,
        attribute=0 if sensitive else None,
        data_schema=schema,
    )


def drawn(n=500, seed=0):
    draw = np.random.default_rng(seed)
    y, z = draw.choice(3, n, p=[0.6, 0.3, 0.1]), draw.choice(3, n, p=[0.7, 0.27, 0.03])
    return np.where(draw.random(n) < 0.3, draw.integers(3, size=n), y), y, z


def test_the_values_are_the_declared_ones():
    (metric,) = COMPONENTS
    assert [value.name for value in accuracy(result(*drawn()), NoParams()).values] == [m.name for m in metric.measures]


def test_accuracy_has_wilsons_interval():
    predictions, y, z = drawn()
    value, expected = (
        accuracy(result(predictions, y, z), NoParams())["accuracy"],
        wilson(int((predictions == y).sum()), 500),
    )
    assert (value.estimate, value.low, value.high, value.n) == (expected.estimate, expected.low, expected.high, 500)


def test_balanced_accuracy_is_the_mean_recall_with_limits_in_quadrature():
    predictions, y, _ = drawn()
    value = accuracy(result(predictions, y), NoParams())["balanced_accuracy"]
    assert value.estimate == pytest.approx(balanced_accuracy_score(y, predictions))
    recalls = [wilson(int((predictions == y)[y == k].sum()), int((y == k).sum())) for k in range(3)]
    below = np.sqrt(sum((r.estimate - r.low) ** 2 for r in recalls)) / 3
    above = np.sqrt(sum((r.high - r.estimate) ** 2 for r in recalls)) / 3
    assert (value.low, value.high) == pytest.approx((value.estimate - below, value.estimate + above))


def test_the_interval_of_balanced_accuracy_covers_the_truth():
    # 400 draws of recalls .9 and .6 among 200 and 40 rows: the truth is .75; 95 % less four standard errors is 90.6 %.
    draw, y, covered = np.random.default_rng(1), np.repeat([0, 1], [200, 40]), 0
    for _ in range(400):
        right = draw.random(240) < np.where(y == 0, 0.9, 0.6)
        value = accuracy(result(np.where(right, y, 1 - y), y, classes=2), NoParams())["balanced_accuracy"]
        covered += value.low <= 0.75 <= value.high
    assert covered >= 0.906 * 400


def test_the_majority_class_victims_accuracy_is_the_largest_class():
    predictions, y, _ = drawn()
    assert accuracy(result(predictions, y), NoParams())["majority_accuracy"].estimate == np.bincount(y).max() / 500


def test_the_worst_group_is_the_worst_of_those_with_30_rows():
    predictions, y, z = drawn()
    assert (z == 2).sum() < 30
    predictions = np.where(z == 2, (y + 1) % 3, predictions)
    value = accuracy(result(predictions, y, z), NoParams())["worst_group_accuracy"]
    assert value.estimate == min((predictions == y)[z == g].mean() for g in (0, 1))
    assert value.method == "lowest of 2 groups of at least 30 rows: biased downward, hence no interval"


def test_the_details_hold_every_class_and_every_group():
    predictions, y, z = drawn()
    details = accuracy(result(predictions, y, z), NoParams()).details
    recalls = recall_score(y, predictions, average=None)
    assert [row["recall"] for row in details["per_class"]] == pytest.approx(list(recalls))
    assert [row["n"] for row in details["per_class"]] == np.bincount(y).tolist()
    assert [row["accuracy"] for row in details["per_group"]] == pytest.approx(
        [(predictions == y)[z == g].mean() for g in range(3)]
    )
    assert [row["group"] for row in details["per_group"]] == ["g0", "g1", "g2"]
    assert details["attribute"] == "group"


def test_an_absent_class_withholds_the_balanced_accuracy_only():
    y = np.repeat([0, 2], 50)
    scores = accuracy(result(y, y), NoParams())
    assert scores["balanced_accuracy"] == Withheld(
        name="balanced_accuracy", reason="no test row is of the class class 1"
    )
    assert scores["accuracy"].estimate == 1
    assert scores.details["per_class"][1] == {"class": "class 1", "n": 0, "recall": None, "low": None, "high": None}


def test_without_an_attribute_the_worst_group_is_withheld():
    scores = accuracy(result(*drawn()[:2]), NoParams())
    assert scores["worst_group_accuracy"].reason == "the data set declares no sensitive attribute"
    assert scores.details["per_group"] == []


def test_groups_that_are_all_small_are_withheld_with_their_sizes():
    scores = accuracy(result(*drawn(n=30)), NoParams())
    sizes = np.bincount(drawn(n=30)[2], minlength=3)
    assert scores["worst_group_accuracy"].reason == (
        f"no group has 30 rows (rows: g0 {sizes[0]}, g1 {sizes[1]}, g2 {sizes[2]})"
    )
