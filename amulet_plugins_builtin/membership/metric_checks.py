"""The checks of the membership metric: closed forms, and intervals and the oracle in plain arithmetic."""

import torch
from scipy.stats import norm
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.games.membership import MembershipResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.streams import isolated
from amulet_plugins_builtin.catalogue.membership import MembershipMetricParams
from amulet_plugins_builtin.membership import metric as membership_metric
from amulet_plugins_builtin.membership.expectations import Limits, delong, quadrature, same_limits, within


def metric() -> tuple[Check, ...]:
    """Return the checks of the membership metric."""
    return (
        Check(
            "Gaussian scores have the AUC and TPR of the closed form.",
            "A curve with interpolated ties or a shifted threshold misses the TPR at low FPR first.",
            _metric_meets_the_closed_form,
        ),
        Check(
            "Values that the candidates cannot support are withheld.",
            "A TPR at 0.1 % FPR from 100 non-members is noise, and a threshold found on the candidates flatters.",
            _metric_withholds,
        ),
        Check(
            "Intervals are those of the formulas, in plain arithmetic.",
            "An interval without width makes a finding of every difference.",
            _intervals_are_the_formulas,
        ),
        Check(
            "The oracle is the best of all thresholds, tried one after the other.",
            "An accuracy that depends on nothing shows no leak, and hides none.",
            _the_oracle_is_the_best_of_all_thresholds,
        ),
    )


def _metric_meets_the_closed_form() -> None:
    member = torch.arange(100_000) < 50_000
    scores = torch.randn(100_000, generator=torch.Generator().manual_seed(5), dtype=torch.float64) + member.double()
    found = _measured(scores, member, threshold=0.5)
    # Four standard errors each.
    within("AUC", found["auc"].estimate, 0.760250 - 0.006, 0.760250 + 0.006)
    within("TPR at 1 % FPR", found["tpr_at_1_percent_fpr"].estimate, 0.092362 - 0.012, 0.092362 + 0.012)
    within("TPR at 0.1 % FPR", found["tpr_at_0_1_percent_fpr"].estimate, 0.018298 - 0.008, 0.018298 + 0.008)
    within(
        "balanced accuracy",
        found["balanced_accuracy"].estimate,
        float(norm.cdf(0.5)) - 0.007,
        float(norm.cdf(0.5)) + 0.007,
    )


def _metric_withholds() -> None:
    found = _measured(torch.linspace(0, 1, 200, dtype=torch.float64), torch.arange(200) % 2 == 0, threshold=None)
    shown = [
        name
        for name in ("tpr_at_1_percent_fpr", "tpr_at_0_1_percent_fpr", "balanced_accuracy")
        if not isinstance(found[name], Withheld)
    ]
    if shown:
        raise AssertionError(f"shown: {', '.join(shown)}; expected: all withheld")


def _measured(scores: Tensor, member: Tensor, *, threshold: float | None) -> Scores:
    with isolated("check", "membership"):
        return membership_metric.measure(
            MembershipResult(score=scores, member=member, threshold=threshold),
            MembershipMetricParams(permutations=20),
        )


def _few() -> tuple[Tensor, Tensor]:
    """Return scores of 90 candidates, many of them tied, of which the first 40 are members."""
    draws = torch.Generator().manual_seed(6)
    member = torch.arange(90) < 40
    return (2 * torch.randn(90, generator=draws, dtype=torch.float64) + member).round(), member


def _intervals_are_the_formulas() -> None:
    scores, member = _few()
    found = _measured(scores, member, threshold=0.5)
    inside, outside = scores[member].tolist(), scores[~member].tolist()
    same_limits("the AUC", _limits(found, "auc"), delong(inside, outside))
    called = (sum(one >= 0.5 for one in inside), 40), (sum(one < 0.5 for one in outside), 50)
    same_limits("the balanced accuracy", _limits(found, "balanced_accuracy"), quadrature(*called))
    many = torch.arange(2000) % 2 == 0
    gaussian = torch.randn(2000, generator=torch.Generator().manual_seed(7), dtype=torch.float64) + many
    low, high = _limits(_measured(gaussian, many, threshold=None), "tpr_at_1_percent_fpr")
    # By the delta method the standard error is .027: twice 1.96 of it are .106.
    within("the width of the interval of the TPR at 1 % FPR", high - low, 0.05, 0.2)


def _the_oracle_is_the_best_of_all_thresholds() -> None:
    scores, member = _few()
    inside, outside = scores[member].tolist(), scores[~member].tolist()
    exact = max(
        (sum(one >= threshold for one in inside) / 40 + sum(one < threshold for one in outside) / 50) / 2
        for threshold in scores.tolist()
    )
    found = _measured(scores, member, threshold=None)["best_balanced_accuracy"].estimate
    within("the oracle", found, exact - 1e-12, exact + 1e-12)


def _limits(found: Scores, name: str) -> Limits:
    value = found[name]
    if not isinstance(value, Value) or value.low is None or value.high is None:
        raise AssertionError(f"{name} has no interval")
    return value.low, value.high
