"""The membership metric against closed forms for Gaussian scores, and what it withholds."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from amulet_core.games.membership import MembershipResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.membership import roc
from amulet_core.streams import isolated
from amulet_plugins_builtin.catalogue.membership import COMPONENTS, MembershipMetricParams
from amulet_plugins_builtin.membership.metric import CURVE_POINTS, measure

NAMES = ("auc", "tpr_at_1_percent_fpr", "tpr_at_0_1_percent_fpr", "balanced_accuracy", "best_balanced_accuracy")


def measured(score: Tensor, member: Tensor, *, threshold: float | None = None) -> Scores:
    with isolated("test", 1):
        result = MembershipResult(score=score, member=member, threshold=threshold)
        return measure(result, MembershipMetricParams(permutations=20))


def gaussian(shift: float, each: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    member = torch.arange(2 * each) % 2 == 0
    noise = torch.randn(2 * each, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return noise + shift * member, member


@pytest.mark.parametrize(
    ("shift", "area", "at_1_percent", "at_0_1_percent"),
    [(1.0, 0.760250, 0.092362, 0.018298), (2.0, 0.921350, 0.372081, 0.137805)],
)
def test_gaussian_scores_have_the_known_auc_and_tpr(
    shift: float, area: float, at_1_percent: float, at_0_1_percent: float
) -> None:
    found = measured(*gaussian(shift, 200_000), threshold=shift / 2)
    # Four standard errors from 200,000 of each: of the AUC; of the TPR, mostly from the threshold, whose error
    # sqrt(f (1 - f) / n) is multiplied by the slope of the ROC curve, exp(shift * z - shift ** 2 / 2).
    assert found["auc"].estimate == pytest.approx(area, abs=0.004)
    assert found["tpr_at_1_percent_fpr"].estimate == pytest.approx(at_1_percent, abs=4 * tpr_error(shift, 0.01))
    assert found["tpr_at_0_1_percent_fpr"].estimate == pytest.approx(at_0_1_percent, abs=4 * tpr_error(shift, 0.001))
    assert found["balanced_accuracy"].estimate == pytest.approx(norm.cdf(shift / 2), abs=0.004)
    for name in NAMES[:4]:
        assert found[name].low < found[name].estimate < found[name].high


def tpr_error(shift: float, fpr: float, *, each: int = 200_000) -> float:
    z = norm.isf(fpr)
    tpr = norm.sf(z - shift)
    slope = np.exp(shift * z - shift**2 / 2)
    return float(np.sqrt((tpr * (1 - tpr) + slope**2 * fpr * (1 - fpr)) / each))


def test_the_values_are_those_that_the_descriptor_declares() -> None:
    found = measured(*gaussian(1.0, 100), threshold=0.0)
    metric = next(component for component in COMPONENTS if component.kind == "metric")
    assert tuple(value.name for value in found.values) == NAMES == tuple(m.name for m in metric.measures)
    assert {m.better for m in metric.measures} == {"lower"}


@pytest.mark.parametrize(("each", "withheld"), [(999, NAMES[1:3]), (1000, NAMES[2:3]), (10_000, ())])
def test_a_tpr_below_ten_expected_false_positives_is_withheld(each: int, withheld: tuple[str, ...]) -> None:
    found = measured(*gaussian(1.0, each), threshold=0.0)
    assert tuple(value.name for value in found.values if isinstance(value, Withheld)) == withheld


def test_the_reason_of_a_withheld_tpr_says_how_many_non_members_it_takes() -> None:
    assert measured(*gaussian(1.0, 100))["tpr_at_1_percent_fpr"].reason == (
        "TPR at 0.01 FPR is withheld: 100 non-members make 1 expected false positives, fewer than 10; "
        "it takes at least 1000 non-members."
    )


def test_balanced_accuracy_is_withheld_without_a_threshold_fixed_beforehand() -> None:
    found = measured(*gaussian(1.0, 100))["balanced_accuracy"]
    assert isinstance(found, Withheld)
    assert found.reason == (
        "The attack fixed no threshold beforehand, and one chosen on these candidates would flatter it."
    )


def test_balanced_accuracy_calls_members_at_and_above_the_threshold() -> None:
    score, member = torch.tensor([3.0, 2.0, 2.0, 1.0]).double(), torch.tensor([True, True, False, False])
    assert measured(score, member, threshold=2.0)["balanced_accuracy"].estimate == 0.75


def test_the_oracle_is_labelled_and_stands_beside_its_permutation_null() -> None:
    score, member = gaussian(0.0, 200)
    oracle = measured(score, member)["best_balanced_accuracy"]
    assert isinstance(oracle, Value)
    assert oracle.estimate > 0.5
    assert (oracle.low, oracle.high) == (None, None)
    assert (
        oracle.method
        == "oracle: the best threshold on these very candidates, hence no interval; read it beside its null"
    )
    words = oracle.null.split()
    assert f"95 % quantile {oracle.null_95:.4f} over" in oracle.null
    assert words[0] == "mean"
    assert words[2:5] == ["95", "%", "quantile"]
    assert words[-3:] == ["over", "20", "permutations"]
    assert 0.5 < float(words[1].rstrip(",")) < 0.6


def test_equal_scores_are_at_chance_without_a_nan() -> None:
    found = measured(torch.zeros(100).double(), torch.arange(100) % 2 == 0, threshold=0.0)
    assert (found["auc"].estimate, found["auc"].low, found["auc"].high) == (0.5, 0.5, 0.5)
    assert found["balanced_accuracy"].estimate == 0.5
    assert found.details["roc"] == [{"fpr": 0.0, "tpr": 0.0}, {"fpr": 1.0, "tpr": 1.0}]


def points(found: Scores) -> list[tuple[float, float]]:
    curve = found.details["roc"]
    assert isinstance(curve, list)
    return [(point["fpr"], point["tpr"]) for point in curve]  # type: ignore[index, call-overload, misc]


def test_a_short_curve_is_given_whole() -> None:
    score, member = gaussian(1.0, 50)
    fpr, tpr, _ = roc(score.numpy(), member.numpy())
    assert points(measured(score, member)) == list(zip(fpr.tolist(), tpr.tolist(), strict=True))


@pytest.mark.parametrize("shift", [0.0, 1.0, 5.0])
def test_a_long_curve_is_thinned_to_exact_points_that_keep_the_corners(shift: float) -> None:
    score, member = gaussian(shift, 3000)
    fpr, tpr, _ = roc(score.numpy(), member.numpy())
    exact = list(zip(fpr.tolist(), tpr.tolist(), strict=True))
    found = points(measured(score, member))
    assert len(found) <= CURVE_POINTS < len(exact)
    assert set(found) <= set(exact)
    assert found == sorted(found)
    assert {(0.0, 0.0), (0.0, float(tpr[fpr == 0].max())), (1.0, 1.0)} <= set(found)
    # Dense at low FPR: every distinct rate up to 5 of 3,000 is there, with its highest TPR.
    for false_positives in range(6):
        rate = false_positives / 3000
        reached = tpr[fpr <= rate].max()
        assert max(y for x, y in found if x <= rate) == reached


def test_the_draws_come_from_the_seeded_global_generator() -> None:
    score, member = gaussian(1.0, 1500)
    assert measured(score, member) == measured(score, member)


def test_scores_survive_json() -> None:
    found = measured(*gaussian(1.0, 1500), threshold=0.2)
    assert Scores.model_validate(json.loads(found.model_dump_json())) == found


def test_too_few_members_are_refused() -> None:
    with pytest.raises(ValueError, match="members") as caught:
        measured(torch.zeros(3).double(), torch.tensor([True, False, False]))
    assert str(caught.value) == "membership scores: at least 2 members and 2 non-members are needed, not 1 and 2."
