"""The threshold optimizer: exact against brute force, bounded by fairlearn's randomised one, and what is released."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator
from torch import nn

from amulet_core.training.values import Streams, TrainingContext
from amulet_plugins_builtin.catalogue.fairness_defenses import ThresholdOptimizerParams
from amulet_plugins_builtin.fairness import threshold_optimizer
from amulet_plugins_builtin.fairness.checks_of_wrappers import (
    SCHEMA,
    cuts,
    evaluated,
    linear_training,
    planted_in_x,
    small_table,
    trained,
)
from amulet_plugins_builtin.fairness.threshold_optimizer import Thresholded, rebuild, train
from amulet_plugins_builtin.fairness.thresholds import Scored, best_thresholds, largest_gap

NAME = "threshold-optimizer"


def rated(rows, thresholds, groups):
    chosen = rows.margin > np.asarray(thresholds)[rows.group]
    return [chosen[rows.counted & (rows.group == group)].mean() for group in groups]


@pytest.mark.parametrize("balanced", [False, True], ids=["accuracy", "balanced"])
@pytest.mark.parametrize("opportunity", [False, True], ids=["parity", "opportunity"])
@pytest.mark.parametrize("tolerance", [0.0, 0.15, 1.0])
def test_no_pair_of_thresholds_is_better(tolerance, opportunity, balanced):
    draw = np.random.default_rng(0)
    for _ in range(8):
        rows = small_table(draw)
        if opportunity:
            rows = replace(rows, counted=rows.positive)
            if not all((rows.counted & (rows.group == group)).any() for group in (0, 1)):
                continue
        worth = np.where(rows.positive, 1 / max(1, rows.positive.sum()), 1 / max(1, (~rows.positive).sum()))
        worth = worth if balanced else np.ones(14)

        def value(pair, rows=rows, worth=worth):
            return worth[(rows.margin > np.asarray(pair)[rows.group]) == rows.positive].sum()

        allowed = [
            pair for pair in product(cuts(rows), repeat=2) if np.ptp(rated(rows, pair, (0, 1))) <= tolerance + 1e-9
        ]
        found = best_thresholds(rows, (0, 1), tolerance=tolerance, balanced=balanced)
        assert np.ptp(rated(rows, found, (0, 1))) <= tolerance + 1e-9
        assert value(found) == pytest.approx(max(value(pair) for pair in allowed))


def test_three_groups_are_balanced_together_and_another_is_left_alone():
    draw, group = np.random.default_rng(1), np.arange(40) % 4
    margin = draw.normal(size=40) + group
    rows = Scored(margin, margin + draw.normal(size=40) > 1.5, np.ones(40, dtype=bool), group)
    found = best_thresholds(rows, (0, 1, 3), tolerance=0.1, balanced=False)
    own = {group: rows.margin[rows.group == group] for group in (0, 1, 3)}
    options = [
        np.append((np.unique(own[g])[1:] + np.unique(own[g])[:-1]) / 2, [own[g].min() - 1, own[g].max() + 1])
        for g in own
    ]
    right = {
        g: [((own[g] > cut) == rows.positive[rows.group == g]).sum() for cut in cutting]
        for g, cutting in zip(own, options, strict=True)
    }
    rate = {g: [(own[g] > cut).mean() for cut in cutting] for g, cutting in zip(own, options, strict=True)}
    best = max(
        sum(right[g][at] for g, at in zip(own, places, strict=True))
        for places in product(range(11), repeat=3)
        if np.ptp([rate[g][at] for g, at in zip(own, places, strict=True)]) <= 0.1 + 1e-9
    )
    assert (
        sum(((own[g] > cut) == rows.positive[rows.group == g]).sum() for g, cut in zip(own, found, strict=True)) == best
    )
    assert np.ptp([(own[g] > cut).mean() for g, cut in zip(own, found, strict=True)]) <= 0.1 + 1e-9


def test_a_model_that_is_fair_and_right_keeps_its_thresholds():
    margin = np.array([-2.0, 1.0, -1.0, 3.0])
    rows = Scored(margin, margin > 0, np.ones(4, dtype=bool), np.array([0, 0, 1, 1]))
    assert best_thresholds(rows, (0, 1), tolerance=0.0, balanced=False).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("constraint", "theirs"),
    [("demographic-parity", "demographic_parity"), ("equal-opportunity", "true_positive_rate_parity")],
)
def test_fairlearns_randomised_thresholds_are_at_least_as_accurate_and_hardly_more(constraint, theirs):
    """With a coin, parity is exact; without one, thresholds must fall between rows. On 400 rows little is lost."""
    rows = planted_in_x(400, "theirs", lean=0.5)
    margin = (3 * rows.x[:, 0] + rows.x[:, 1]).double().numpy()
    y, z = rows.y.numpy(), rows.z[:, 0].numpy()

    class Margins(BaseEstimator):
        def fit(self, given, y):
            return self

        def __sklearn_is_fitted__(self):
            return True

        def predict(self, given):
            return given[:, 0]

    theirs = ThresholdOptimizer(
        estimator=Margins(), constraints=theirs, objective="accuracy_score", prefit=True, predict_method="predict"
    ).fit(margin[:, None], y, sensitive_features=z)
    chance = theirs._pmf_predict(margin[:, None], sensitive_features=z)[:, 1]
    expected = np.where(y == 1, chance, 1 - chance).mean()
    counted = y == 1 if constraint == "equal-opportunity" else np.ones(400, dtype=bool)
    scored = Scored(margin, y == 1, counted, z)
    right, gap = evaluated(scored, best_thresholds(scored, (0, 1), tolerance=0.01, balanced=False))
    assert gap <= 0.01 + 1e-9
    assert expected - 0.01 < right / 400 < expected + 0.01


def fitted(params, **changes):
    rows, val = (planted_in_x(300, key, lean=0.8) for key in ("train", "val"))
    training = linear_training()
    defended = train(training, params, TrainingContext(rows=300, schema=SCHEMA, settings=training.settings))
    (one,) = defended.fit(defended, [rows], [replace(val, **changes)], [Streams(("test",))])
    return one, val


@pytest.mark.parametrize("constraint", ["demographic-parity", "equal-opportunity"])
def test_on_the_validation_rows_the_released_model_keeps_the_tolerance(constraint):
    one, val = fitted(ThresholdOptimizerParams(constraint=constraint, tolerance=0.03))
    hired = one.model(val.x).argmax(1) == 1
    counted = val.y == 1 if constraint == "equal-opportunity" else torch.ones_like(hired)
    rates = [float(hired[counted & (val.z[:, 0] == group)].double().mean()) for group in (0, 1)]
    found = one.evidence[NAME]
    assert abs(rates[0] - rates[1]) == pytest.approx(found.gap_after, abs=1e-9)
    assert found.gap_after <= 0.03 + 1e-9 < 0.1 < found.gap_before
    assert found.accuracy_after == pytest.approx(float((hired == (val.y == 1)).double().mean()))
    assert found.accuracy_before > found.accuracy_after


def test_log_odds_are_shifted_by_the_rows_group_and_by_nothing_else():
    model = Thresholded(nn.Linear(4, 2), (2, 3))
    model.shift.copy_(torch.tensor([0.7, -1.5]))
    x = planted_in_x(50, "shift", lean=0.8).x
    plain, shifted = model.model(x), model(x)
    expected = torch.where(x[:, 3] == 1, -1.5, 0.7)
    torch.testing.assert_close((plain - shifted)[:, 1], expected)
    assert torch.equal(plain[:, 0], shifted[:, 0])


def test_a_probability_above_the_groups_threshold_is_what_gets_hired():
    one, val = fitted(ThresholdOptimizerParams())
    probability = torch.softmax(one.model.model(val.x), 1)[:, 1]
    thresholds = torch.tensor(list(one.evidence[NAME].thresholds.values()))
    assert list(one.evidence[NAME].thresholds) == ["a", "b"]
    assert torch.equal(one.model(val.x).argmax(1) == 1, probability > thresholds[val.z[:, 0]])


def test_the_twin_answers_as_the_model_does():
    one, val = fitted(ThresholdOptimizerParams())
    twin = rebuild(lambda: nn.Linear(4, 2), ThresholdOptimizerParams(), SCHEMA)
    twin.load_state_dict(one.model.state_dict())
    assert torch.equal(twin(val.x), one.model(val.x))


def three_groups(sizes):
    """Return rows of three groups, and a schema that has them among the inputs."""
    schema = SCHEMA.model_copy(
        update={
            "shape": (5,),
            "sensitive": (
                SCHEMA.sensitive[0].model_copy(update={"categories": ("a", "b", "c"), "features": (2, 3, 4)}),
            ),
            "feasible": SCHEMA.feasible.model_copy(update={"one_hot": ((2, 3, 4),)}),
            "features": (*SCHEMA.features, "group=c"),
        }
    )
    z = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    rows = planted_in_x(len(z), "three", lean=0.8)
    x = torch.cat([rows.x[:, :2], torch.nn.functional.one_hot(z, 3).float()], 1)
    return replace(rows, x=x, z=z[:, None], schema=schema)


def test_a_group_with_few_validation_rows_keeps_the_threshold_of_the_model():
    rows = three_groups((60, 29, 60))
    training = replace(linear_training(), parts={"model": lambda: nn.Linear(5, 2)})
    context = TrainingContext(rows=149, schema=rows.schema, settings=training.settings)
    defended = train(training, ThresholdOptimizerParams(tolerance=0.0), context)
    (one,) = defended.fit(defended, [rows], [rows], [Streams(("test",))])
    found = one.evidence[NAME]
    assert found.left_alone == ("b",)
    assert found.thresholds["b"] == 0.5
    assert found.gap_after == pytest.approx(0, abs=1e-9)


def test_too_few_validation_rows_are_refused_before_training():
    rows = three_groups((60, 29, 7))
    calls = []
    training = replace(linear_training(), fit=lambda *_: calls.append("fit"))
    context = TrainingContext(rows=96, schema=rows.schema, settings=training.settings)
    defended = train(training, ThresholdOptimizerParams(), context)
    with pytest.raises(ValueError) as error:
        defended.fit(defended, [rows], [rows], [Streams(("test",))])
    assert (str(error.value), calls) == (
        "threshold-optimizer needs 30 validation rows behind the rates of at least 2 groups (group: a 60, b 29, c 7): "
        "raise data.val",
        [],
    )


def test_the_largest_gap_is_over_counted_rows_at_threshold_0():
    rows = Scored(
        np.array([1.0, -1.0, 1.0, 1.0, -1.0]),
        np.ones(5, dtype=bool),
        np.array([1, 1, 1, 1, 0], dtype=bool),
        np.array([0, 0, 1, 1, 1]),
    )
    assert largest_gap(rows, (0, 1)) == 0.5


def test_training_is_that_of_the_undefended_model():
    plain = trained(None, None, 0, lean=0.8).model
    one = trained(threshold_optimizer, ThresholdOptimizerParams(), 0, lean=0.8)
    assert torch.equal(one.model.model.weight, plain.weight)
