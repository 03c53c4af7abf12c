"""The metric of poisoning: how often the trigger gets its class, beside what it gets from a clean model."""

import torch
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.poisoning import PoisoningResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.balanced import balanced_accuracy
from amulet_core.statistics.proportions import wilson


def measure(result: PoisoningResult, params: NoParams) -> Scores:  # noqa: ARG001 - there is nothing to set
    """Return success rates over the rows that are not of the target class, accuracies, and how many inputs changed.

    Balanced accuracy tells a poisoned model that has collapsed: its success rate says nothing of a backdoor.
    """
    return Scores(
        values=(
            _success("attack_success_rate", result, result.triggered),
            _success("success_rate_without_poison", result, result.clean_triggered),
            _share("clean_accuracy", result.plain == result.y),
            _balanced(result),
            _share("accuracy_without_poison", result.clean_plain == result.y),
            _share("accuracy_under_trigger", result.triggered == result.y),
            _share("changed_inputs", result.changed)
            if result.has_trigger
            else Withheld(name="changed_inputs", reason="the attack has no trigger"),
        ),
        details={"target": result.classes[result.target], "poisoned_rows": result.poisoned, "rows": result.rows},
    )


def _balanced(result: PoisoningResult) -> Value | Withheld:
    counts = torch.bincount(result.y, minlength=len(result.classes))
    absent = [label for label, count in zip(result.classes, counts.tolist(), strict=True) if not count]
    if absent:
        return Withheld(name="balanced_accuracy", reason=f"no row asked about is of the class {', '.join(absent)}")
    interval = balanced_accuracy((result.plain == result.y).numpy(), result.y.numpy())
    return Value.of("balanced_accuracy", interval, n=len(result.y))


def _success(name: str, result: PoisoningResult, predicted: Tensor) -> Value | Withheld:
    others = result.y != result.target
    if not result.targeted:
        return Withheld(name=name, reason="the attack aims at no class: read what it does to clean_accuracy")
    if not others.any():
        return Withheld(name=name, reason="every row asked about is of the target class: there is nothing to win")
    return _share(name, (predicted == result.target)[others])


def _share(name: str, holds: Tensor) -> Value:
    return Value.of(name, wilson(int(holds.sum()), len(holds)), n=len(holds))
