"""Checks of the accuracy metric on predictions whose scores are known."""

import torch

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.behavior import BehaviorResult
from amulet_core.schema import DataSchema, Feasible
from amulet_plugins_builtin.utility import accuracy as metric

_SCHEMA = DataSchema(modality="tabular", shape=(1,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=1.0))


def accuracy() -> tuple[Check, ...]:
    """Return the checks of ``accuracy``."""
    return (
        Check(
            name="a constant answer has the majority's accuracy and a balanced accuracy of one half",
            why="a constant model would otherwise pass for a useful one",
            run=_a_constant_answer,
        ),
        Check(
            name="without a mistake every accuracy is 1",
            why="both ends of the scale must be where they belong",
            run=_no_mistake,
        ),
    )


def _scores(predictions: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
    probabilities = torch.nn.functional.one_hot(predictions, 2).float()
    z = torch.zeros(len(y), 0, dtype=torch.int64)
    result = BehaviorResult(probabilities=probabilities, y=y, z=z, attribute=None, data_schema=_SCHEMA)
    scores = metric.accuracy(result, NoParams())
    return {name: scores[name].estimate for name in ("accuracy", "balanced_accuracy", "majority_accuracy")}


def _a_constant_answer() -> None:
    y = (torch.arange(100) < 24).long()
    found, expected = (
        _scores(torch.zeros_like(y), y),
        {"accuracy": 0.76, "balanced_accuracy": 0.5, "majority_accuracy": 0.76},
    )
    assert found == expected, f"scores are {found}, expected {expected}"


def _no_mistake() -> None:
    y = (torch.arange(100) < 24).long()
    found, expected = _scores(y, y), {"accuracy": 1.0, "balanced_accuracy": 1.0, "majority_accuracy": 0.76}
    assert found == expected, f"scores are {found}, expected {expected}"
