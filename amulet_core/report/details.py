"""From the details that metrics leave to charts and small tables; what cannot be drawn is said, not dropped."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from amulet_core.report.charts import Bar, Curve, accuracy_by_epsilon, group_rates, roc
from amulet_core.report.words import number
from amulet_core.results import Cell

Rate = Annotated[float, Field(ge=0, le=1)]
LONGEST_TABLE: Final = 50


class RocPoint(BaseModel):
    """One point of a ROC curve."""

    fpr: Rate
    tpr: Rate


class BudgetPoint(BaseModel):
    """The accuracy under one budget, and its interval."""

    epsilon: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    accuracy: Rate
    low: Rate | None = None
    high: Rate | None = None


class GroupRate(BaseModel):
    """How often one group gets the positive prediction, and the interval."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    group: str
    n: int
    selection_rate: Rate | None = None
    low: Rate | None = None
    high: Rate | None = None


@dataclass(frozen=True)
class DetailTable:
    """A small table of whatever else a metric left, from the first seed."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Pictures:
    """All that the details of a row and a risk give to look at, and what could not be drawn."""

    charts: tuple[Markup, ...]
    tables: tuple[DetailTable, ...]
    facts: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


Found = Mapping[str, Sequence[tuple[int, JsonValue]]]
"""By attack: what each seed's cell left under one name."""


def pictures(cells: Sequence[Cell], *, row: str) -> Pictures:
    """Return the charts and tables of one row and one risk; the first seed is drawn strongly, the others lightly."""
    charts: list[Markup] = []
    tables: list[DetailTable] = []
    facts: list[tuple[str, str]] = []
    problems: list[str] = []
    for metric, name, found in _by_name(cells):
        try:
            if name in _DRAWN:
                charts.extend(_DRAWN[name](found, row))
            else:
                tables.extend(_tables(name, found))
                facts.extend(_facts(name, found))
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
            problems.append(f"the details {name!r} of {metric} cannot be drawn: {where}: {error.errors()[0]['msg']}")
    return Pictures(tuple(charts), tuple(tables), tuple(facts), tuple(problems))


def _by_name(cells: Sequence[Cell]) -> Iterator[tuple[str, str, Found]]:
    found: dict[tuple[str, str], dict[str, list[tuple[int, JsonValue]]]] = {}
    for cell in sorted((cell for cell in cells if cell.status == "ok"), key=lambda cell: cell.seed):
        for measured in cell.measured:
            for name, detail in measured.scores.details.items():
                attacks = found.setdefault((measured.metric, name), {})
                attacks.setdefault(cell.attack, []).append((cell.seed, detail))
    for (metric, name), attacks in found.items():
        yield metric, name, attacks


def _roc(found: Found, row: str) -> Iterator[Markup]:
    adapter = TypeAdapter(list[RocPoint])
    curves = []
    for attack, seeds in found.items():
        lines = [tuple((point.fpr, point.tpr) for point in adapter.validate_python(detail)) for _, detail in seeds]
        curves.append(Curve(f"{attack or row}, seed {seeds[0][0]}", lines[0], tuple(lines[1:])))
    if any(curve.points for curve in curves):
        yield roc(curves, title=f"ROC curves on logarithmic axes, {row}")


def _budgets(found: Found, row: str, *, what: str = "Accuracy") -> Iterator[Markup]:
    adapter = TypeAdapter(list[BudgetPoint])
    curves = []
    for attack, seeds in found.items():
        lines = [sorted(adapter.validate_python(detail), key=lambda point: point.epsilon) for _, detail in seeds]
        lows = [point.low for point in lines[0] if point.low is not None]
        highs = [point.high for point in lines[0] if point.high is not None]
        whole = len(lows) == len(highs) == len(lines[0])
        points = [tuple((point.epsilon, point.accuracy) for point in line) for line in lines]
        curves.append(
            Curve(
                f"{attack or row}, seed {seeds[0][0]}",
                points[0],
                tuple(points[1:]),
                low=tuple(lows) if whole else (),
                high=tuple(highs) if whole else (),
            )
        )
    if any(curve.points for curve in curves):
        yield accuracy_by_epsilon(curves, title=f"{what} by budget, {row}")


def _certified(found: Found, row: str) -> Iterator[Markup]:
    """Draw what is certified once: it is the same whatever the attack."""
    seeds = next(iter(found.values()), ())
    yield from _budgets({"certified": seeds}, row, what="Certified accuracy")


def _groups(found: Found, row: str) -> Iterator[Markup]:
    adapter = TypeAdapter(list[GroupRate])
    for attack, seeds in found.items():
        first, *others = [adapter.validate_python(detail) for _, detail in seeds]
        bars = [
            Bar(
                rate.group,
                rate.selection_rate,
                rate.low,
                rate.high,
                rate.n,
                tuple(
                    same.selection_rate
                    for other in others
                    for same in other
                    if same.group == rate.group and same.selection_rate is not None
                ),
            )
            for rate in first
            if rate.selection_rate is not None
        ]
        if bars:
            title = f"Selection rate by group, {row}{f', {attack}' if attack else ''}, seed {seeds[0][0]}"
            yield group_rates(bars, title=title, name="selection rate")


_DRAWN: Final[Mapping[str, Callable[[Found, str], Iterator[Markup]]]] = {
    "roc": _roc,
    "accuracy_by_epsilon": _budgets,
    "certified_by_epsilon": _certified,
    "groups": _groups,
}


def _tables(name: str, found: Found) -> Iterator[DetailTable]:
    for attack, ((seed, detail), *_) in found.items():
        if isinstance(detail, list) and detail and all(isinstance(line, dict) for line in detail):
            lines = [line for line in detail if isinstance(line, dict)]
            heads = tuple(dict.fromkeys(head for line in lines for head in line))
            shown = tuple(tuple(_text(line.get(head)) for head in heads) for line in lines[:LONGEST_TABLE])
            more = f", the first {LONGEST_TABLE} of {len(lines)} lines; results.json has all"
            title = _title(name, attack, seed) + (more if len(lines) > LONGEST_TABLE else "")
            yield DetailTable(title, heads, shown)


def _facts(name: str, found: Found) -> Iterator[tuple[str, str]]:
    for attack, ((seed, detail), *_) in found.items():
        if isinstance(detail, str | int | float | bool):
            yield _title(name, attack, seed), _text(detail)


def _title(name: str, attack: str, seed: int) -> str:
    return f"{name.replace('_', ' ')}{f', {attack}' if attack else ''}, seed {seed}"


def _text(value: JsonValue) -> str:
    if isinstance(value, float):
        return number(value)
    return "" if value is None else str(value)
