"""The metric of theft: how often the stolen model agrees with the victim, beyond what an independent model does."""

import torch
from pydantic import JsonValue
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.theft import TheftResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.proportions import newcombe_paired, wilson


def measure(result: TheftResult, params: NoParams) -> Scores:  # noqa: ARG001 - there is nothing to set
    """Return fidelity at the primary budget and its gain over the control, accuracies, queries, and the curve.

    Fidelity is agreement with the victim's predictions on test rows, right or wrong (Jagielski et al.,
    arXiv:1909.01838, section 3). The gain is a difference of two proportions of the same rows.
    """
    stolen = result.stolen[result.primary]
    agrees = stolen == result.victim
    return Scores(
        values=(
            _gain(agrees, result),
            _share("fidelity", agrees),
            _share("stolen_accuracy", stolen == result.y),
            _share("victim_accuracy", result.victim == result.y),
            _independent(result),
            Value(
                name="queries",
                estimate=result.queries[result.primary],
                method="counted: no interval",
                n=len(result.y),
            ),
        ),
        details={
            "budget": result.budgets[result.primary],
            "fidelity_by_budget": [_point(result, at, budget=budget) for at, budget in enumerate(result.budgets)],
        },
    )


def _gain(agrees: Tensor, result: TheftResult) -> Value | Withheld:
    if not len(result.independent):
        return Withheld(name="fidelity_gain", reason=_NO_CONTROL)
    other = result.independent == result.victim
    counts = [int(both.sum()) for both in (agrees & other, agrees & ~other, ~agrees & other, ~agrees & ~other)]
    return Value.of("fidelity_gain", newcombe_paired(*counts), n=len(agrees))


def _independent(result: TheftResult) -> Value | Withheld:
    if not len(result.independent):
        return Withheld(name="independent_fidelity", reason=_NO_CONTROL)
    return _share("independent_fidelity", result.independent == result.victim)


_NO_CONTROL = "no control was played: there is no independent agreement to compare with"


def _point(result: TheftResult, at: int, *, budget: int) -> dict[str, JsonValue]:
    stolen = result.stolen[at]
    fidelity, accuracy = _share("fidelity", stolen == result.victim), _share("accuracy", stolen == result.y)
    return {
        "budget": budget,
        "fidelity": fidelity.estimate,
        "low": fidelity.low,
        "high": fidelity.high,
        "stolen_accuracy": accuracy.estimate,
        "queries": result.queries[at],
    }


def _share(name: str, holds: Tensor) -> Value:
    return Value.of(name, wilson(int(torch.count_nonzero(holds)), len(holds)), n=len(holds))
