"""The group fairness metric against fairlearn, closed forms, and equal groups that only look unequal."""

import fairlearn.metrics as fairlearn
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from amulet_core.games.behavior import BehaviorResult
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.scores import Withheld
from amulet_core.statistics.proportions import newcombe, wilson
from amulet_plugins_builtin.catalogue.fairness import COMPONENTS, GroupFairnessParams
from amulet_plugins_builtin.fairness.metric import group_fairness

NAMES = (
    "demographic_parity_difference",
    "equalized_odds_difference",
    "equal_opportunity_difference",
    "accuracy_gap",
    "p_rule",
)
QUICK = GroupFairnessParams(permutations=200)


def result(predictions, y, z, *, groups=2, classes=2, attribute=0):
    schema = DataSchema(
        modality="tabular",
        shape=(1,),
        classes=tuple(f"class {k}" for k in range(classes)),
        sensitive=(Sensitive(name="group", categories=tuple(f"g{k}" for k in range(groups))),),
        feasible=Feasible(low=0.0, high=1.0),
    )
    as_tensor = [torch.as_tensor(values, dtype=torch.int64) for values in (predictions, y, z)]
    probabilities = torch.nn.functional.one_hot(as_tensor[0], classes).float()
    return BehaviorResult(
        probabilities=probabilities, y=as_tensor[1], z=as_tensor[2][:, None], attribute=attribute, data_schema=schema
    )


def drawn(n=1000, *, groups=2, classes=2, seed=0):
    draw = np.random.default_rng(seed)
    z = draw.integers(groups, size=n)
    y = draw.integers(classes, size=n)
    wrong = draw.random(n) < 0.1 + 0.2 * z / groups
    return np.where(wrong, draw.integers(classes, size=n), y), y, z


@pytest.fixture(autouse=True)
def _seeded():
    state = torch.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.set_rng_state(state)


@pytest.mark.parametrize("groups", [2, 4])
def test_the_differences_are_fairlearns(groups):
    predictions, y, z = drawn(groups=groups)
    scores = group_fairness(result(predictions, y, z, groups=groups), QUICK)
    for name in ("demographic_parity_difference", "equalized_odds_difference"):
        expected = getattr(fairlearn, name)(y, predictions, sensitive_features=z)
        assert scores[name].estimate == pytest.approx(expected, abs=1e-12)
    expected = fairlearn.demographic_parity_ratio(y, predictions, sensitive_features=z)
    assert scores["p_rule"].estimate == pytest.approx(expected, abs=1e-12)


def test_opportunity_and_accuracy_are_differences_of_plain_rates():
    predictions, y, z = drawn()
    scores = group_fairness(result(predictions, y, z), QUICK)
    tpr = [(predictions == 1)[(z == g) & (y == 1)].mean() for g in (0, 1)]
    right = [(predictions == y)[z == g].mean() for g in (0, 1)]
    assert scores["equal_opportunity_difference"].estimate == pytest.approx(abs(tpr[0] - tpr[1]), abs=1e-12)
    assert scores["accuracy_gap"].estimate == pytest.approx(abs(right[0] - right[1]), abs=1e-12)


def test_the_values_are_the_declared_ones():
    (metric,) = (component for component in COMPONENTS if component.name == "group-fairness")
    assert tuple(measure.name for measure in metric.measures) == NAMES
    assert tuple(value.name for value in group_fairness(result(*drawn()), QUICK).values) == NAMES


@pytest.mark.parametrize(
    ("hits", "limits"),
    [
        ((10, 70), lambda signed: (-signed.high, -signed.low)),
        ((70, 10), lambda signed: (signed.low, signed.high)),
        ((40, 45), lambda signed: (0.0, -signed.low)),
        ((40, 40), lambda signed: (0.0, signed.high)),
    ],
)
def test_two_groups_get_newcombes_interval_folded_at_0(hits, limits):
    predictions = np.concatenate([np.arange(100) < hits[0], np.arange(100) < hits[1]])
    z = np.repeat([0, 1], 100)
    value = group_fairness(result(predictions, np.zeros(200), z), QUICK)["demographic_parity_difference"]
    expected = limits(newcombe(hits[0], 100, hits[1], 100))
    assert (value.low, value.high) == pytest.approx(expected, abs=1e-12)
    signed = (hits[0] - hits[1]) / 100
    assert value.method == f"Newcombe, on the signed difference g0 minus g1 ({signed:+.3f}), folded at 0"


def test_the_interval_of_equalized_odds_covers_the_larger_of_both_differences():
    # 40 draws of groups with known rates: TPR .8 and .6, FPR .2 and .3, so the truth is .2.
    draw, covered = np.random.default_rng(5), 0
    for _ in range(40):
        y, z = draw.integers(2, size=600), draw.integers(2, size=600)
        chance = np.where(y == 1, np.where(z == 0, 0.8, 0.6), np.where(z == 0, 0.2, 0.3))
        value = group_fairness(result(draw.random(600) < chance, y, z), GroupFairnessParams(permutations=20))
        assert value["equalized_odds_difference"].null_95 is None  # the larger of two rates has neither rate's null
        covered += value["equalized_odds_difference"].low <= 0.2 <= value["equalized_odds_difference"].high
    assert covered >= 35


def test_more_than_two_groups_get_a_null_and_no_interval():
    value = group_fairness(result(*drawn(groups=4), groups=4), QUICK)["demographic_parity_difference"]
    assert value.low is None
    assert value.high is None
    assert value.method == "largest difference among 4 groups: biased upward, hence no interval"
    assert value.null.startswith("selection rate, groups permuted: mean 0.0")
    assert f"95 % below {value.null_95:.3f}" in value.null


def test_five_equal_groups_show_the_gap_that_chance_makes_and_the_null_says_so():
    # Adult's five races with equal true rates: the mean gap of 5,000 rows is .097, though the truth is 0.
    draw, gaps, nulls = np.random.default_rng(0), [], []
    for _ in range(20):
        z = np.repeat(np.arange(5), [4270, 480, 155, 50, 45])
        predictions = draw.random(5000) < 0.24
        value = group_fairness(result(predictions, predictions, z, groups=5), QUICK)["demographic_parity_difference"]
        gaps.append(value.estimate)
        nulls.append(float(value.null.split("mean ")[1].split(",")[0]))
    # The gaps' deviation is about .045, so four standard errors of 20 draws are .04.
    assert np.mean(gaps) == pytest.approx(0.097, abs=0.04)
    assert np.mean(nulls) == pytest.approx(0.097, abs=0.01)


def test_small_groups_are_named_and_left_out_of_the_differences():
    predictions, y, z = drawn(groups=2, n=400)
    small = np.full(29, 2)
    scores = group_fairness(
        result(
            np.concatenate([predictions, np.ones(29)]),
            np.concatenate([y, np.ones(29)]),
            np.concatenate([z, small]),
            groups=3,
        ),
        QUICK,
    )
    without = group_fairness(result(predictions, y, z), QUICK)
    for name in NAMES:
        assert scores[name].estimate == without[name].estimate
    assert scores.details["too_small"] == ["g2"]
    assert scores.details["groups"][2]["n"] == 29


def test_an_empty_group_is_withheld_with_the_reason():
    predictions, y, _ = drawn(n=200)
    scores = group_fairness(result(predictions, y, np.zeros(200)), QUICK)
    positives = int((y == 1).sum())
    rates = {
        "demographic_parity_difference": ("selection rate", 200),
        "equalized_odds_difference": ("true positive rate and false positive rate", min(positives, 200 - positives)),
        "equal_opportunity_difference": ("true positive rate", positives),
        "accuracy_gap": ("accuracy", 200),
        "p_rule": ("selection rate", 200),
    }
    assert scores.values == tuple(
        Withheld(name=name, reason=f"fewer than 2 groups have 30 rows behind their {rate} (rows: g0 {n}, g1 0)")
        for name, (rate, n) in rates.items()
    )
    empty = scores.details["groups"][1]
    assert empty == {
        "group": "g1", "n": 0, "selection_rate": None, "low": None, "high": None,
        "tpr": None, "fpr": None, "accuracy": None, "to_reference": None,
    }  # fmt: skip


def test_rates_of_rare_labels_are_withheld_where_groups_have_few_of_them():
    y = np.concatenate([np.arange(100) < 40, np.arange(100) < 10])
    z = np.repeat([0, 1], 100)
    scores = group_fairness(result(y, y, z), QUICK)
    assert scores["demographic_parity_difference"].estimate == pytest.approx(0.3)
    assert scores["equal_opportunity_difference"].reason == (
        "fewer than 2 groups have 30 rows behind their true positive rate (rows: g0 40, g1 10)"
    )


@pytest.mark.parametrize("constant", [0, 1])
def test_a_constant_model_treats_groups_alike(constant):
    _, y, z = drawn(n=300)
    scores = group_fairness(result(np.full(300, constant), y, z), QUICK)
    assert [scores[name].estimate for name in NAMES[:3]] == [0, 0, 0]
    if constant:
        assert scores["p_rule"].estimate == 1
    else:
        assert scores["p_rule"].reason == "no row is predicted to be of the positive class: the ratio is 0 / 0"


def test_of_several_classes_a_named_one_counts_against_the_rest():
    predictions, y, z = drawn(classes=3)
    scores = group_fairness(
        result(predictions, y, z, classes=3), GroupFairnessParams(positive="class 0", permutations=20)
    )
    expected = fairlearn.demographic_parity_difference(y == 0, predictions == 0, sensitive_features=z)
    assert scores["demographic_parity_difference"].estimate == pytest.approx(expected, abs=1e-12)
    right = [(predictions == y)[z == g].mean() for g in (0, 1)]
    assert scores["accuracy_gap"].estimate == pytest.approx(abs(right[0] - right[1]), abs=1e-12)
    assert scores.details["positive"] == "class 0"


@pytest.mark.parametrize("groups", [2, 3])
def test_of_several_classes_the_worst_counts_each_against_the_rest(groups):
    predictions, y, z = drawn(classes=3, groups=groups)
    scores = group_fairness(result(predictions, y, z, classes=3, groups=groups), QUICK)
    for name, theirs in (
        ("demographic_parity_difference", fairlearn.demographic_parity_difference),
        ("equalized_odds_difference", fairlearn.equalized_odds_difference),
        ("equal_opportunity_difference", fairlearn.equal_opportunity_difference),
    ):
        each = [theirs(y == k, predictions == k, sensitive_features=z) for k in range(3)]
        assert len({round(one, 9) for one in each}) > 1
        assert scores[name].estimate == pytest.approx(max(each), abs=1e-12)
        assert scores[name].null.startswith("largest over the classes, groups permuted: mean 0.")
        assert scores[name].null.endswith(f"95 % below {scores[name].null_95:.3f}")
    ratios = [fairlearn.demographic_parity_ratio(y == k, predictions == k, sensitive_features=z) for k in range(3)]
    assert scores["p_rule"].estimate == pytest.approx(min(ratios), abs=1e-12)
    assert scores["p_rule"].method == "smallest over largest rate, the smallest over 3 classes: no interval"
    right = fairlearn.MetricFrame(
        metrics=accuracy_score, y_true=y, y_pred=predictions, sensitive_features=z
    ).difference()
    assert scores["accuracy_gap"].estimate == pytest.approx(right, abs=1e-12)
    assert scores.details["positive"] == "each class in turn"
    assert "groups" not in scores.details


def test_a_tiny_table_of_three_classes_by_hand():
    # Group 0 gets the classes 20, 10, 10 times, group 1 gets them 10, 10, 20 times; all predictions are right.
    y = np.concatenate([np.repeat([0, 1, 2], [20, 10, 10]), np.repeat([0, 1, 2], [10, 10, 20])])
    z = np.repeat([0, 1], 40)
    scores = group_fairness(result(y, y, z, classes=3), QUICK)
    value = scores["demographic_parity_difference"]
    assert (value.estimate, value.n) == (0.25, 80)
    limits = newcombe(20, 40, 10, 40, level=1 - 0.05 / 3)
    assert (value.low, value.high) == pytest.approx((0, limits.high))
    assert limits.low < 0
    assert value.method == (
        "Newcombe, on the signed difference g0 minus g1 (largest for class 0, selection rate: +0.250), folded at 0; "
        "each of 3 rates at 0.983, the largest limits shown"
    )
    assert scores["p_rule"].estimate == 0.5
    assert scores["accuracy_gap"].estimate == 0
    assert scores["equal_opportunity_difference"].reason == (
        "fewer than 2 groups have 30 rows behind their true positive rate of each class (rows: g0 10, g1 10)"
    )
    assert scores.details["by_class"][0] == {
        "class": "class 0", "group": "g0", "n": 40, "selection_rate": 0.5, "tpr": 1.0, "fpr": 0.0, "accuracy": 1.0,
    }  # fmt: skip
    assert len(scores.details["by_class"]) == 6


def test_a_class_that_is_never_predicted_says_nothing_of_the_p_rule():
    y = np.concatenate([np.repeat([0, 1], [20, 20]), np.repeat([0, 1], [10, 30])])
    value = group_fairness(result(y, y, np.repeat([0, 1], 40), classes=3), QUICK)["p_rule"]
    assert value.estimate == 0.5
    assert value.method == "smallest over largest rate, the smallest over 2 classes: no interval"


def test_equal_groups_lie_within_the_null_of_several_classes():
    draw, above = np.random.default_rng(2), 0
    for _ in range(20):
        y, z = draw.integers(4, size=600), draw.integers(3, size=600)
        predictions = np.where(draw.random(600) < 0.3, draw.integers(4, size=600), y)
        value = group_fairness(result(predictions, y, z, classes=4, groups=3), QUICK)["equalized_odds_difference"]
        above += value.estimate > float(value.null.split("below ")[1])
    # A gap lies above the 95 % quantile in 1 of 20 draws; in 5 or more with a probability of .003.
    assert above < 5


def test_the_null_of_odds_keeps_each_groups_true_classes():
    # Class 0 is always taken for 2: the groups' false positive rates differ by their shares of class 0, and would do so
    # whoever of a class were in which group.
    y = np.concatenate([np.repeat([0, 1, 2], [80, 40, 40]), np.repeat([0, 1, 2], [40, 80, 40])])
    z = np.repeat([0, 1], 160)
    scores = group_fairness(result(np.where(y == 0, 2, y), y, z, classes=3), QUICK)
    value = scores["equalized_odds_difference"]
    assert value.estimate == pytest.approx(1 / 3)
    assert value.null == "largest over the classes, groups permuted: mean 0.333, 95 % below 0.333"


def test_small_groups_are_a_warning():
    z = np.concatenate([np.arange(100) % 2, np.full(29, 2)])
    scores = group_fairness(result(np.ones(129), np.ones(129), z, groups=4), QUICK)
    assert scores.warnings == ("groups of group with fewer than 30 test rows are not compared (rows: g2 29, g3 0)",)
    assert group_fairness(result(*drawn()), QUICK).warnings == ()


def test_a_group_with_few_rows_behind_a_rate_alone_is_named_where_it_is_left_out():
    z = np.repeat([0, 1, 2, 3], [300, 300, 100, 29])
    y = np.concatenate([np.arange(300) < 100, np.arange(300) < 100, np.arange(100) < 29, np.zeros(29)])
    predictions = np.where(z == 2, 0, y)
    scores = group_fairness(result(predictions, y, z, groups=4), QUICK)
    text = "{} does not compare groups of group with fewer than 30 rows behind their {} (rows: g2 29)"
    assert scores.warnings == (
        "groups of group with fewer than 30 test rows are not compared (rows: g3 29)",
        text.format("equalized_odds_difference", "true positive rate and false positive rate"),
        text.format("equal_opportunity_difference", "true positive rate"),
    )
    assert scores["equal_opportunity_difference"].estimate == 0
    methods = {name: scores[name].method.partition("; not compared: ")[2] for name in NAMES}
    assert methods == {
        "demographic_parity_difference": "g3",
        "equalized_odds_difference": "g2, g3",
        "equal_opportunity_difference": "g2, g3",
        "accuracy_gap": "g3",
        "p_rule": "g3",
    }


def test_the_details_hold_every_groups_rates():
    predictions, y, z = drawn(groups=3, n=600)
    details = group_fairness(result(predictions, y, z, groups=3), QUICK).details
    reference = int(np.bincount(z).argmax())
    assert details["attribute"] == "group"
    assert details["reference"] == f"g{reference}"
    for g, row in enumerate(details["groups"]):
        own = z == g
        hits, trials = int((predictions[own] == 1).sum()), int(own.sum())
        interval = wilson(hits, trials)
        assert (row["group"], row["n"]) == (f"g{g}", trials)
        assert (row["selection_rate"], row["low"], row["high"]) == (interval.estimate, interval.low, interval.high)
        assert row["tpr"] == pytest.approx((predictions == 1)[own & (y == 1)].mean())
        assert row["fpr"] == pytest.approx((predictions == 1)[own & (y == 0)].mean())
        assert row["accuracy"] == pytest.approx((predictions == y)[own].mean())
        if g == reference:
            assert row["to_reference"] is None
        else:
            other = z == reference
            signed = newcombe(hits, trials, int((predictions[other] == 1).sum()), int(other.sum()))
            assert row["to_reference"] == {"difference": signed.estimate, "low": signed.low, "high": signed.high}


def test_without_an_attribute_everything_is_withheld():
    scores = group_fairness(result(*drawn(), attribute=None), QUICK)
    reason = "the data set declares no sensitive attribute"
    assert scores.values == tuple(Withheld(name=name, reason=reason) for name in NAMES)


def test_an_unknown_positive_class_is_refused_and_known_beforehand():
    with pytest.raises(ValueError, match="class") as error:
        group_fairness(result(*drawn()), GroupFairnessParams(positive="rich"))
    assert str(error.value) == 'the data set has no class "rich"; it has class 0, class 1'
    (metric,) = (component for component in COMPONENTS if component.name == "group-fairness")
    schema = result(*drawn()).data_schema
    assert metric.applicable(GroupFairnessParams(positive="rich"), schema) == [str(error.value)]
    assert metric.applicable(GroupFairnessParams(), schema) == []


def test_equal_global_seeds_give_equal_scores():
    torch.manual_seed(1)
    first = group_fairness(result(*drawn(groups=3), groups=3), QUICK)
    torch.manual_seed(1)
    assert group_fairness(result(*drawn(groups=3), groups=3), QUICK) == first
