"""Checks of privacy components fail on components that are broken in one place each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.statistics.interval import Interval
from amulet_core.training.values import Training
from amulet_plugins_builtin.attributes import checks as inference_checks
from amulet_plugins_builtin.attributes import csmia, learner, metric
from amulet_plugins_builtin.attributes import metric_checks as attribute_checks
from amulet_plugins_builtin.catalogue.membership_defenses import OutputNoiseParams
from amulet_plugins_builtin.membership import (
    attack_checks,
    checks,
    confidence_adversarial,
    defense_checks,
    early_stopping,
    entropy,
    lira,
    loss_threshold,
    metric_checks,
    output_noise,
    quantile,
    rmia,
    weight_decay,
)
from amulet_plugins_builtin.membership import metric as membership_metric
from amulet_plugins_builtin.membership.shadows import most_accurate_threshold

PART, OWN_ROWS, RELEASE, ORACLE = (
    metric._part,
    confidence_adversarial.on_own_rows,
    output_noise.release,
    membership_metric.best_balanced_accuracy,
)


def never_learns(training: Training, *_: object) -> Training:
    return replace(training, settings=training.settings.model_copy(update={"learning_rate": 1e-12}))


def one_answer_a_label(given: Tensor, _params: OutputNoiseParams) -> Tensor:
    return torch.full_like(given, 0.1 / (given.shape[1] - 1)).scatter_(1, given.argmax(1, keepdim=True), 0.9)


def nothing_at_small_budgets(given: Tensor, params: OutputNoiseParams) -> Tensor:
    return RELEASE(given, params) if params.budget > 1 else given


def parts_swapped(result: Any, name: str, rows: Any, counted: Any) -> Any:
    return PART(result, name, ~rows if name else rows, counted)


def without_width(module: Any, name: str) -> Callable[..., Any]:
    intact = getattr(module, name)

    def no_width(*given: Any, **more: Any) -> Any:
        found = intact(*given, **more)
        return replace(found, low=found.estimate, high=found.estimate) if isinstance(found, Interval) else found

    return no_width


def answering(module: Any, threshold: float) -> Callable[..., Any]:
    intact = module.attack
    return lambda view, params: intact(view, params).model_copy(update={"threshold": threshold})


def set_otherwise(module: Any, change: Callable[[Any], dict[str, Any]]) -> Callable[..., Any]:
    intact = module.attack
    return lambda view, params: intact(view, params.model_copy(update=change(params)))


def of_sigma_one(values: Tensor, chosen: Tensor, **_: Any) -> lira.Gaussian:
    mean = torch.where(chosen, values, 0.0).sum(0) / chosen.sum(0)
    return lira.Gaussian(mean, torch.ones_like(mean))


def on_the_rows_trained_on(aux: Any, z: Any, params: Any) -> float:
    said = learner.probabilities(aux, z, aux, values=2, params=params)[:, 1]
    return most_accurate_threshold(torch.from_numpy(said.copy()), torch.from_numpy(z == 1))


def always_nearly_right(*given: Any, **more: Any) -> Any:
    return replace(ORACLE(*given, **more), balanced_accuracy=0.99)


def negated(*given: Any, **more: Any) -> Tensor:
    return -OWN_ROWS(*given, **more)


Case = tuple[Any, str, Any, Callable[[], tuple[Check, ...]], int, str]
CASES: dict[str, Case] = {
    "early stopping that never learns": (
        early_stopping, "train", never_learns, defense_checks.early_stopping, 1, "the accuracy is"
    ),
    "a penalty that never learns": (
        weight_decay, "train", never_learns, defense_checks.weight_decay, 1, "the accuracy is"
    ),
    "one answer a label": (
        output_noise, "release", one_answer_a_label, defense_checks.output_noise, 4, "the largest probability is 0.900"
    ),
    "no noise at small budgets": (
        output_noise, "release", nothing_at_small_budgets, defense_checks.output_noise, 3, "the mean distance is 0.000"
    ),
    "members for others": (
        metric, "_part", parts_swapped, attribute_checks.metric, 1, "found -0.5000, expected 0.5000"
    ),
    "intervals without width": (
        metric, "balanced_gain", without_width(metric, "balanced_gain"), attribute_checks.metric, 2,
        "the lower limit of the advantage is 0.000000, expected -0.086",
    ),
    "thresholds of another sign": (
        confidence_adversarial, "on_own_rows", negated, attack_checks.confidence_adversarial, 3, "the share of class 0"
    ),
    "one sigma for all": (lira, "gaussian", of_sigma_one, checks.lira, 1, "AUC is 0.5"),
    "online that is offline": (lira, "chosen_mode", lambda _: "offline", checks.lira, 1, "AUC is 0.5"),
    "the loss for the offline ratio": (
        rmia, "log_ratio", lambda _shadow, _members, observed, **_: observed, checks.rmia, 1, "a score is"
    ),
    "online ratios that are offline": (
        rmia, "attack", set_otherwise(rmia, lambda _: {"mode": "offline"}), checks.rmia, 2, "a score is"
    ),
    "the opposite level": (
        quantile, "attack",
        set_otherwise(quantile, lambda params: {"false_positive_rate": 1 - params.false_positive_rate}),
        attack_checks.quantile, 3, "the share of non-members called members is 0.8",
    ),
    "an area without width": (
        membership_metric, "auc", without_width(membership_metric, "auc"), metric_checks.metric, 2,
        "the lower limit of the AUC",
    ),
    "an accuracy without width": (
        membership_metric, "balanced_accuracy_at", without_width(membership_metric, "balanced_accuracy_at"),
        metric_checks.metric, 2, "the lower limit of the balanced accuracy",
    ),
    "a TPR without width": (
        membership_metric, "tpr_at_fpr", without_width(membership_metric, "tpr_at_fpr"), metric_checks.metric, 2,
        "the width of the interval of the TPR at 1 % FPR is 0.000000",
    ),
    "an oracle that is always nearly right": (
        membership_metric, "best_balanced_accuracy", always_nearly_right, metric_checks.metric, 3,
        "the oracle is 0.990000",
    ),
    "no threshold of two values": (
        learner, "held_out_threshold", lambda *_: None, inference_checks.mlp, 2, "no threshold was handed back"
    ),
    "a threshold of the rows trained on": (
        learner, "held_out_threshold", on_the_rows_trained_on, inference_checks.mlp, 2, "balanced accuracy is 0.[78]"
    ),
    "the first of tied values": (csmia, "_untied", lambda score: score, inference_checks.csmia, 3, "found 1.0000"),
    **{
        f"{name} without width": (
            metric, name, without_width(metric, name), attribute_checks.metric, 3, f"the lower limit of {said} is"
        )
        for name, said in {"balanced_accuracy": "balanced_accuracy", "auc": "auc", "difference": "advantage_gap"}.items()
    },
    **{
        f"the threshold {threshold:g} of {module.__name__.split('.')[-1]}, check {place}": (
            module, "attack", answering(module, threshold), listed, place, "the balanced accuracy at its own threshold"
        )
        for module, listed, places in (
            (lira, checks.lira, (2, 3)),
            (rmia, checks.rmia, (3,)),
            (loss_threshold, checks.loss_threshold, (1,)),
            (entropy, attack_checks.entropy, (2,)),
            (confidence_adversarial, attack_checks.confidence_adversarial, (4, 5, 6)),
            (quantile, attack_checks.quantile, (2,)),
        )
        for place in places
        for threshold in (1e9, -1e9)
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_check_fails_on_the_mutant_that_it_is_there_for(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, mutant, checks, place, found = CASES[case]
    monkeypatch.setattr(module, name, mutant)
    with pytest.raises(AssertionError, match=found):
        checks()[place].run()
