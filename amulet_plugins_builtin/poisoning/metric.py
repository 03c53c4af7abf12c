"""The metric of poisoning: how often the trigger gets its class, beside what it gets from a clean model."""

import torch
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.poisoning import PoisoningResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.balanced import balanced_accuracy
from amulet_core.statistics.proportions import wilson


def measure(result: PoisoningResult, params: NoParams) -> Scores:  # noqa: ARG001 - there is nothing to set
    """Return success rates over the rows that the attack aims at, accuracies, and how many inputs changed.

    These are the rows of its source class, if it has one: over all rows that are not of the target class, ten classes
    would make a source that is lost wholly a success rate of one ninth.
    Balanced accuracy tells a poisoned model that has collapsed: its success rate says nothing of a backdoor.
    """
    return Scores(
        values=(
            _success("attack_success_rate", result, result.triggered),
            _success("success_rate_without_poison", result, result.clean_triggered),
            _share("clean_accuracy", result.plain == result.y),
            _balanced(result),
            _share("accuracy_without_poison", result.clean_plain == result.y),
            _of_trigger("accuracy_under_trigger", result, result.triggered == result.y),
            _of_trigger("changed_inputs", result, result.changed),
        ),
        details={
            "target": result.classes[result.target],
            "source": "" if result.source is None else result.classes[result.source],
            "poisoned_rows": result.poisoned,
            "rows": result.rows,
        },
    )


def _balanced(result: PoisoningResult) -> Value | Withheld:
    counts = torch.bincount(result.y, minlength=len(result.classes))
    absent = [label for label, count in zip(result.classes, counts.tolist(), strict=True) if not count]
    if absent:
        return Withheld(name="balanced_accuracy", reason=f"no row asked about is of the class {', '.join(absent)}")
    interval = balanced_accuracy((result.plain == result.y).numpy(), result.y.numpy())
    return Value.of("balanced_accuracy", interval, n=len(result.y))


def _success(name: str, result: PoisoningResult, predicted: Tensor) -> Value | Withheld:
    aimed_at = result.aimed_at
    if not result.targeted:
        return Withheld(name=name, reason="the attack aims at no class: read what it does to clean_accuracy")
    if result.source is not None and not aimed_at.any():
        return Withheld(name=name, reason=f"no row asked about is of the source class {result.classes[result.source]}")
    if not aimed_at.any():
        return Withheld(name=name, reason="every row asked about is of the target class: there is nothing to win")
    return _share(name, (predicted == result.target)[aimed_at])


def _of_trigger(name: str, result: PoisoningResult, holds: Tensor) -> Value | Withheld:
    return _share(name, holds) if result.has_trigger else Withheld(name=name, reason="the attack has no trigger")


def _share(name: str, holds: Tensor) -> Value:
    return Value.of(name, wilson(int(holds.sum()), len(holds)), n=len(holds))
