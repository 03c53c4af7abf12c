"""The metric of evasion: how many rows are still classified correctly at each budget."""

from collections.abc import Sequence

from pydantic import JsonValue
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.evasion import EvasionResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.proportions import wilson


def measure(result: EvasionResult, params: NoParams) -> Scores:  # noqa: ARG001 - there is nothing to set
    """Return robust, certified accuracy and success rate at the primary budget, clean accuracy, and both by budget."""
    clean, robust = result.clean, result.robust[result.primary]
    success = (
        _share("success_rate", ~robust[clean])
        if clean.any()
        else Withheld(
            name="success_rate", reason="no row is classified correctly without any change: nothing to attack"
        )
    )
    certified = (
        Withheld(name="certified_accuracy", reason="no defense of this row certifies what the deployed model answers")
        if result.certified is None
        else _share("certified_accuracy", result.certified[result.primary])
    )
    details: dict[str, JsonValue] = {
        "norm": result.norm,
        "epsilon": result.epsilons[result.primary],
        "accuracy_by_epsilon": _curve((0.0, *result.epsilons), (clean, *result.robust)),
    }
    if result.certified is not None:
        details["certified_by_epsilon"] = _curve(result.epsilons, tuple(result.certified))
    return Scores(
        values=(_share("robust_accuracy", robust), _share("clean_accuracy", clean), success, certified),
        details=details,
    )


def _curve(epsilons: Sequence[float], correct: Sequence[Tensor]) -> list[JsonValue]:
    points = [_share("accuracy", each) for each in correct]
    return [
        {"epsilon": epsilon, "accuracy": point.estimate, "low": point.low, "high": point.high}
        for epsilon, point in zip(epsilons, points, strict=True)
    ]


def _share(name: str, holds: Tensor) -> Value:
    return Value.of(name, wilson(int(holds.sum()), len(holds)), n=len(holds))
