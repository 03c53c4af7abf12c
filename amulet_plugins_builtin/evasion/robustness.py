"""The metric of evasion: how many rows are still classified correctly at each budget."""

from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.evasion import EvasionResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.proportions import wilson


def measure(result: EvasionResult, params: NoParams) -> Scores:  # noqa: ARG001 - there is nothing to set
    """Return robust accuracy and success rate at the primary budget, clean accuracy, and the accuracy by budget."""
    clean, robust = result.clean, result.robust[result.primary]
    success = (
        _share("success_rate", ~robust[clean])
        if clean.any()
        else Withheld(
            name="success_rate", reason="no row is classified correctly without any change: nothing to attack"
        )
    )
    curve = [(0.0, clean), *zip(result.epsilons, result.robust, strict=True)]
    points = [_share("accuracy", correct) for _, correct in curve]
    return Scores(
        values=(_share("robust_accuracy", robust), _share("clean_accuracy", clean), success),
        details={
            "norm": result.norm,
            "epsilon": result.epsilons[result.primary],
            "accuracy_by_epsilon": [
                {"epsilon": epsilon, "accuracy": point.estimate, "low": point.low, "high": point.high}
                for (epsilon, _), point in zip(curve, points, strict=True)
            ],
        },
    )


def _share(name: str, holds: Tensor) -> Value:
    return Value.of(name, wilson(int(holds.sum()), len(holds)), n=len(holds))
