"""The sections of the report, one a risk: primary values by row, every attack beside its control, and details."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from amulet_core.report.chance import nothing_found
from amulet_core.report.charts import Change, effects
from amulet_core.report.details import Pictures, pictures
from amulet_core.report.seeds import SeedTable, seed_tables
from amulet_core.report.values import OWN, Figure, figure, given, plain
from amulet_core.report.words import Look, effect_interval, in_column, judged, listing, look, probability, signed, span
from amulet_core.results import Cell, Column, Entry, Results
from amulet_core.scores import Value

MOST_DETAILED: Final = 24
"""How many rows a risk's section draws and describes in full; of more, none, placebo and the largest changes."""


@dataclass(frozen=True)
class PrimaryLine:
    """One row's primary value: in each seed of the run (empty where not measured), on average, and what follows."""

    label: str
    by_seed: tuple[str, ...]
    mean: str
    effect: str
    interval: str
    level: str
    p: str
    p_same: str
    look: Look | None
    reason: str


@dataclass(frozen=True)
class AttackLine:
    """One attack (or control) against one row; ``seed`` is empty where seeds are averaged.

    ``nothing`` is the one reason why there is no figure at all, or empty.
    """

    attack: str
    control: bool
    adversary: str
    seed: str
    figures: tuple[Figure, ...]
    nothing: str


@dataclass(frozen=True)
class Note:
    """A reason that stands in several places of a table, said once below it: of which values, and in which rows."""

    of: str
    reason: str
    rows: str


@dataclass(frozen=True)
class RowDetails:
    """What is said of one row and one risk: values by attack, and either all that is known or the values by seed.

    ``pictures`` is absent where the row is not shown in full: ``brief`` then has its values by attack and seed, which
    ``by_seed`` has otherwise.
    """

    label: str
    averaged: tuple[AttackLine, ...]
    by_seed: tuple[AttackLine, ...]
    brief: tuple[SeedTable, ...]
    pictures: Pictures | None


@dataclass(frozen=True)
class RiskSection:
    """One risk: what its verdicts are about, its primary values, the chart of its effects, and each row's details.

    ``chance`` says that the row none shows nothing, or is empty. ``notes`` are reasons for what is not in the table of
    all values; ``nulls`` says whether it has values beside what chance alone gives. ``detailed`` is how many rows are
    drawn and shown in full, if not all of them; else 0.
    """

    anchor: str
    column: Column
    judged: str
    chance: str
    primary: tuple[PrimaryLine, ...]
    chart: Markup | None
    values: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    rows: tuple[RowDetails, ...]
    notes: tuple[Note, ...]
    nulls: bool
    detailed: int


def sections(results: Results) -> tuple[RiskSection, ...]:
    """Return the sections, in the order of the columns."""
    by_risk: dict[str, dict[str, list[Cell]]] = {}
    for cell in results.cells:
        by_risk.setdefault(cell.risk, {}).setdefault(cell.row, []).append(cell)
    return tuple(
        _section(results, column, f"risk-{index}", by_risk.get(column.risk, {}))
        for index, column in enumerate(results.columns, start=1)
    )


def _section(results: Results, column: Column, anchor: str, by_row: dict[str, list[Cell]]) -> RiskSection:
    entries = {entry.row: entry for entry in results.entries if entry.risk == column.risk}
    cells = [cell for each in by_row.values() for cell in each]
    keys = tuple(dict.fromkeys((m.metric, v.name) for cell in cells for m in cell.measured for v in m.scores.values))
    texts = tuple(in_column(each.estimate for cell in cells for each in given(cell, key)) for key in keys)
    detailed = _detailed(results, entries)
    rows = tuple(
        _details(row.label, by_row[row.label], keys, texts=texts, seeds=() if row.label in detailed else results.seeds)
        for row in results.rows
        if row.label in by_row
    )
    text = in_column(value for entry in entries.values() for _, value in entry.values)
    primary = tuple(
        _primary(row.label, entries[row.label], results.seeds, column, text=text)
        for row in results.rows
        if row.label in entries
    )
    return RiskSection(
        anchor=anchor,
        column=column,
        judged=judged(column, results),
        chance=nothing_found(results, column),
        primary=primary,
        chart=_chart(results, column, {label: entries[label] for label in entries if label in detailed}),
        values=tuple(plain(name) for _, name in keys),
        methods=tuple(_methods(cells)),
        rows=rows,
        nulls=any(figure.null for row in rows for line in row.averaged for figure in line.figures),
        notes=tuple(_notes(rows, [plain(name) for _, name in keys], primary, column.primary_label)),
        detailed=len(detailed) if len(detailed) < len(results.rows) else 0,
    )


def _detailed(results: Results, entries: Mapping[str, Entry]) -> frozenset[str]:
    """Return the rows that are shown in full: first none and placebo, then those of the largest changes."""
    effects = {label: entry.effect for label, entry in entries.items()}
    changes = {label: abs(effect.difference) for label, effect in effects.items() if effect}
    ordered = sorted(results.rows, key=lambda row: (row.kind == "defense", -changes.get(row.label, -1.0)))
    return frozenset(row.label for row in ordered[:MOST_DETAILED])


def _primary(
    label: str, entry: Entry, seeds: Sequence[int], column: Column, *, text: Callable[[float], str]
) -> PrimaryLine:
    values, effect = dict(entry.values), entry.effect
    return PrimaryLine(
        label=label,
        by_seed=tuple(text(values[seed]) if seed in values else "" for seed in seeds),
        mean="" if entry.mean is None else text(entry.mean),
        effect=signed(effect.difference) if effect else "",
        interval=effect_interval(effect) if effect else span(entry.low, entry.high, text=text),
        level=_level(entry),
        p=probability(effect.p_adjusted) if effect else "",
        p_same=probability(effect.p_equivalence) if effect else "",
        look=look(effect.verdict, column.risk) if effect else None,
        reason=entry.missing or (effect.verdict_reason if effect else ""),
    )


def _level(entry: Entry) -> str:
    """Return the level of the interval shown; that of a value itself is not adjusted."""
    level = entry.effect.level if entry.effect else 0.95 if entry.low is not None else None
    return "" if level is None else f"{level:.2%}"


def _chart(results: Results, column: Column, entries: dict[str, Entry]) -> Markup | None:
    base = {seed: value for row in results.rows if row.kind == "none" for seed, value in _values(entries, row.label)}
    changes = [
        Change(
            name=row.label,
            differences=tuple(value - base[seed] for seed, value in entry.values if seed in base),
            mean=entry.effect.difference,
            low=entry.effect.low,
            high=entry.effect.high,
            colour=look(entry.effect.verdict, column.risk).colour,
        )
        for row in results.rows
        if (entry := entries.get(row.label)) is not None and entry.effect is not None
    ]
    title = f"{column.title}: change of {column.primary_label} against none"
    return effects(changes, title=title, margin=column.margin, better=column.better) if changes else None


def _values(entries: dict[str, Entry], label: str) -> tuple[tuple[int, float], ...]:
    return entries[label].values if label in entries else ()


def _details(
    label: str,
    cells: Sequence[Cell],
    keys: Sequence[tuple[str, str]],
    *,
    texts: Sequence[Callable[[float], str]],
    seeds: Sequence[int],
) -> RowDetails:
    """Return a row's details: in full, or in brief where ``seeds`` are given."""
    attacks: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.control, cell.seed)):
        attacks.setdefault(cell.attack, []).append(cell)
    return RowDetails(
        label=label,
        averaged=tuple(_line(each, keys, texts, seed="") for each in attacks.values()),
        by_seed=()
        if seeds
        else tuple(_line([cell], keys, texts, seed=str(cell.seed)) for each in attacks.values() for cell in each),
        brief=seed_tables(attacks, keys, seeds) if seeds else (),
        pictures=None if seeds else pictures(cells, row=label),
    )


def _line(
    cells: Sequence[Cell], keys: Sequence[tuple[str, str]], texts: Sequence[Callable[[float], str]], *, seed: str
) -> AttackLine:
    first = cells[0]
    adversaries = dict.fromkeys(cell.adversary for cell in cells if cell.adversary)
    figures = tuple(figure(cells, key, alone=bool(seed), text=text) for key, text in zip(keys, texts, strict=True))
    reasons = {each.reason for each in figures}
    nothing = reasons.pop() if len(reasons) == 1 and not any(each.text for each in figures) else ""
    return AttackLine(first.attack or OWN, first.control, ", ".join(adversaries), seed, figures, nothing)


def _notes(
    rows: Sequence[RowDetails], names: Sequence[str], primary: Sequence[PrimaryLine], label: str
) -> Iterator[Note]:
    """Yield the reasons that stand in the tables of primary and of all values more than once."""
    found: dict[str, list[tuple[str, str]]] = {}
    for each in primary:
        if each.reason:
            found.setdefault(each.reason, []).append((each.label, label))
    for row in rows:
        for line in row.averaged:
            places = [(line.attack, line.nothing)] if line.nothing else []
            if not places:
                places = [(name, each.reason) for name, each in zip(names, line.figures, strict=True) if not each.text]
            for name, reason in places:
                found.setdefault(reason, []).append((row.label, name))
    for reason, where in found.items():
        labels = tuple(dict.fromkeys(label for label, _ in where))
        if len(where) > 1:
            named = listing(tuple(dict.fromkeys(name for _, name in where)))
            yield Note(named, reason, "all rows" if len(labels) == len(rows) > 1 else listing(labels))


def _methods(cells: Sequence[Cell]) -> Iterator[tuple[str, str]]:
    """Say, for each value, how its interval was made."""
    said: dict[str, dict[str, None]] = {}
    for cell in cells:
        for measured in cell.measured:
            for value in measured.scores.values:
                if isinstance(value, Value):
                    said.setdefault(value.name, {})[value.method] = None
    for name, methods in said.items():
        yield plain(name), "; ".join(methods)
