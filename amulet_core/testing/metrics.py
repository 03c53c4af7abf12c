"""Conformance of metrics: exactly the declared values, and the declared direction, on planted good and bad results."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final, cast

from amulet_core.components import Metric
from amulet_core.configuration.request import Use
from amulet_core.scores import Scores, Value
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, NotCheckedError, conformance
from amulet_core.testing.manners import Trial, manners, trial, working
from amulet_core.testing.planted_results import RESULTS, Outcome
from amulet_core.testing.toys import Toy

DECLARED: Final = "it gives exactly the values that it declares"


def metric_checks(component: str, use: Use, toys: Callable[[], Sequence[Toy]]) -> tuple[ConformanceCheck, ...]:
    """Return the checks of a metric; there is none for a risk that has no game."""
    metric = cast("Metric", use.entry.component)
    plant = RESULTS.get(metric.risk)
    if plant is None:
        return ()

    def prepare(toy: Toy, outcome: Outcome) -> tuple[Callable[[], Any], Mapping[str, Any]]:
        measure, result = use.entry.load(), plant(toy, outcome)
        return lambda: measure(result, use.params), {"the result": result}

    @cache
    def trials() -> list[Trial]:
        use.entry.load()
        outcomes: tuple[Outcome, ...] = ("good", "bad")
        return [
            trial(f"{toy.label}, a result {outcome} for the defender", partial(prepare, toy, outcome))
            for toy in toys()
            for outcome in outcomes
        ]

    return (
        *manners(component, trials),
        conformance(
            component,
            name=DECLARED,
            why="verdicts and reports look values up by their declared names",
            examine=lambda: _declared(metric, working(trials)),
        ),
        conformance(
            component,
            name="its values are better where the defender fares better",
            why="a direction the wrong way round turns every verdict round",
            examine=lambda: _directed(metric, working(trials)),
        ),
    )


def _declared(metric: Metric, trials: Sequence[Trial]) -> None:
    for one in trials:
        problem = _problem(metric, one.first.value)
        if problem:
            raise ConformanceError(
                found=f"on {one.label} {problem}",
                expected=f"Scores with {', '.join(measure.name for measure in metric.measures)}, each once",
                fix="give every declared value, or Withheld(name, reason) in its place, and declare every value given",
            )


def _problem(metric: Metric, scores: Any) -> str:
    if not isinstance(scores, Scores):
        return f"it returned {type(scores).__name__}"
    given = [value.name for value in scores.values]
    if sorted(given) != sorted(measure.name for measure in metric.measures):
        return f"it gave {', '.join(given) or 'nothing'}"
    for value in scores.values:
        if isinstance(value, Value) and not _in_order(value):
            return f"the interval of {value.name}, {value.low} to {value.high}, is not around {value.estimate}"
    return ""


def _in_order(value: Value) -> bool:
    if value.low is None or value.high is None:
        return value.low is value.high
    return value.low <= value.estimate <= value.high


def _directed(metric: Metric, trials: Sequence[Trial]) -> None:
    for good, bad in zip(trials[::2], trials[1::2], strict=True):
        if any(_problem(metric, one.first.value) for one in (good, bad)):
            raise NotCheckedError(f'not checked, because "{DECLARED}" fails')
        gains = {measure.name: _gain(measure.name, measure.better, good, bad) for measure in metric.measures}
        wrong = [name for name, gain in gains.items() if gain is not None and gain < 0]
        if wrong or not any(gains.values()):
            raise ConformanceError(
                found=f"on {good.label} "
                + (
                    f"{', '.join(wrong)} is worse than where everything is lost" if wrong else "every value is the same"
                ),
                expected="values that are better than on the result bad for the defender",
                fix='set better ("higher" or "lower" is better for the defender) of each measure the right way round, '
                "and see that the metric reads the result",
            )


def _gain(name: str, better: str, good: Trial, bad: Trial) -> float | None:
    first, second = good.first.value[name], bad.first.value[name]
    if not isinstance(first, Value) or not isinstance(second, Value):
        return None
    return (first.estimate - second.estimate) * (1 if better == "higher" else -1)
