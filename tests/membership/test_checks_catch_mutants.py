"""Checks of privacy components fail on components that are broken in one place each."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.training.values import Training
from amulet_plugins_builtin.attributes import checks as attribute_checks
from amulet_plugins_builtin.attributes import metric
from amulet_plugins_builtin.catalogue.membership_defenses import OutputNoiseParams
from amulet_plugins_builtin.membership import (
    attack_checks,
    confidence_adversarial,
    defense_checks,
    early_stopping,
    output_noise,
    weight_decay,
)

PART, GAIN, OWN_ROWS, RELEASE = (
    metric._part,
    metric.balanced_gain,
    confidence_adversarial.on_own_rows,
    output_noise.release,
)


def never_learns(training: Training, *_: object) -> Training:
    return dataclasses.replace(training, settings=training.settings.model_copy(update={"learning_rate": 1e-12}))


def one_answer_a_label(given: Tensor, _params: OutputNoiseParams) -> Tensor:
    return torch.full_like(given, 0.1 / (given.shape[1] - 1)).scatter_(1, given.argmax(1, keepdim=True), 0.9)


def nothing_at_small_budgets(given: Tensor, params: OutputNoiseParams) -> Tensor:
    return RELEASE(given, params) if params.budget > 1 else given


def parts_swapped(result: Any, name: str, rows: Any, counted: Any) -> Any:
    return PART(result, name, ~rows if name else rows, counted)


def no_width(*given: Any) -> Any:
    found = GAIN(*given)
    return dataclasses.replace(found, low=found.estimate, high=found.estimate)


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
        metric, "balanced_gain", no_width, attribute_checks.metric, 2, "found 0.0000, expected -0.0865"
    ),
    "thresholds of another sign": (
        confidence_adversarial, "on_own_rows", negated, attack_checks.confidence_adversarial, 3, "the share of class 0"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_check_fails_on_the_mutant_that_it_is_there_for(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, mutant, checks, place, found = CASES[case]
    monkeypatch.setattr(module, name, mutant)
    with pytest.raises(AssertionError, match=found):
        checks()[place].run()
