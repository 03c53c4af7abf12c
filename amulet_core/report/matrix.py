"""The matrix of the report: what each square shows, and the notes below it."""

from collections.abc import Mapping
from dataclasses import dataclass

from amulet_core.report.words import LOOKS, Look, effect_interval, look, number, reasons, signed, span
from amulet_core.results import Column, Entry, Expected, Results


@dataclass(frozen=True)
class Claim:
    """What was published of a square's defense and risk, in a few words."""

    text: str
    first_time: bool


@dataclass(frozen=True)
class Square:
    """One square: texts that are empty where there is nothing to say, and the numbers of its notes."""

    mean: str
    effect: str
    interval: str
    look: Look | None
    claims: tuple[Claim, ...]
    notes: tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """One row of the matrix; ``chain`` has its components' ids."""

    label: str
    kind: str
    chain: tuple[str, ...]
    squares: tuple[Square, ...]


@dataclass(frozen=True)
class Grid:
    """The matrix and its notes, which squares refer to by number, from 1."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def grid(results: Results) -> Grid:
    """Return the matrix to show; equal reasons share one note."""
    entries = {(entry.row, entry.risk): entry for entry in results.entries}
    shown = [
        [entries.get((row.label, column.risk), Entry(row=row.label, risk=column.risk)) for column in results.columns]
        for row in results.rows
    ]
    found = dict.fromkeys(reason for line in shown for entry in line for reason in reasons(entry))
    notes = {reason: index for index, reason in enumerate(found, start=1)}
    lines = tuple(
        Line(row.label, row.kind, tuple(used.id for used in row.chain), tuple(_square(entry, notes) for entry in line))
        for row, line in zip(results.rows, shown, strict=True)
    )
    return Grid(results.columns, lines, tuple(notes))


def claim(expected: Expected, *, named: bool) -> Claim:
    """Return a published statement in a few words; with the defense's name where a chain has several."""
    if expected.effect == "unexplored":
        since = "" if expected.first_time else ", measured since"
        return Claim(
            f"{f'{expected.defense}: ' if named else ''}unexplored in the SoK of 2024{since}", expected.first_time
        )
    shown = LOOKS["risk up" if expected.effect == "increase" else "risk down"]
    together = f"{shown.sign} {shown.word}".replace(" ", "\u00a0")  # a sign alone at a line's end would mislead
    return Claim(f"published{f' for {expected.defense}' if named else ''}: {together}", first_time=False)


def _square(entry: Entry, notes: Mapping[str, int]) -> Square:
    effect = entry.effect
    return Square(
        mean="" if entry.mean is None else number(entry.mean),
        effect=signed(effect.difference) if effect else "",
        interval=effect_interval(effect) if effect else span(entry.low, entry.high),
        look=look(effect.verdict, entry.risk) if effect else None,
        claims=tuple(claim(each, named=len(entry.expected) > 1) for each in entry.expected),
        notes=tuple(notes[reason] for reason in reasons(entry)),
    )
