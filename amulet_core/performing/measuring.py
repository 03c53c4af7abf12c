"""Measuring a result: every metric of its risk, each giving exactly the values that it declares."""

from functools import partial
from typing import Any

from amulet_core.components import Metric
from amulet_core.configuration.request import RiskPlan, Use
from amulet_core.errors import ComponentError
from amulet_core.performing.outputs import PlayOutput
from amulet_core.performing.recipes import blamed
from amulet_core.results import Measured
from amulet_core.scores import Scores


def measured_play(risk: RiskPlan, result: Any, draws: tuple[str | int, ...]) -> PlayOutput:
    """Return a result with the scores of all metrics of its risk.

    Raises:
        ComponentError: blaming the metric that raised, or gave other values than it declares.
    """
    measured = []
    for use in risk.metrics:
        scores = blamed(use.id, partial(_scored, use, result), draws)
        measured.append(Measured(metric=use.id, scores=_declared(use, scores)))
    warnings = (text for one in measured for text in one.scores.warnings)
    return PlayOutput(result, tuple(measured), (*getattr(result, "warnings", ()), *warnings))


def _scored(use: Use, result: Any) -> Any:
    return use.entry.load()(result, use.params)


def _declared(use: Use, scores: Any) -> Scores:
    component = use.entry.component
    declared = {measure.name for measure in component.measures} if isinstance(component, Metric) else set()
    if not isinstance(scores, Scores):
        raise ComponentError(use.id, TypeError(f"it returned {type(scores).__name__}, expected Scores"))
    given = {value.name for value in scores.values}
    if given != declared:
        raise ComponentError(
            use.id, ValueError(f"it gave the values {sorted(given)}, but its descriptor declares {sorted(declared)}")
        )
    return scores
