"""Values by attack and seed in the shortest form, for the rows that a long report does not show in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amulet_core.report.values import OWN, figure, plain
from amulet_core.results import Cell


@dataclass(frozen=True)
class SeedLine:
    """One value: a text for each seed of the run, or the one reason why no seed has it."""

    value: str
    texts: tuple[str, ...]
    nothing: str


@dataclass(frozen=True)
class SeedTable:
    """The values of one attack (or control) against one row."""

    attack: str
    control: bool
    lines: tuple[SeedLine, ...]


def seed_tables(
    attacks: Mapping[str, Sequence[Cell]], keys: Sequence[tuple[str, str]], seeds: Sequence[int]
) -> tuple[SeedTable, ...]:
    """Return the values of each attack's cells; ``keys`` are pairs of a metric and the name of a value."""
    return tuple(
        SeedTable(attack or OWN, cells[0].control, tuple(_line(cells, key, seeds) for key in keys))
        for attack, cells in attacks.items()
    )


def _line(cells: Sequence[Cell], key: tuple[str, str], seeds: Sequence[int]) -> SeedLine:
    found = {cell.seed: figure([cell], key, alone=True) for cell in cells}
    reasons = {each.reason for each in found.values()}
    if len(reasons) == 1 and not any(each.text for each in found.values()):
        return SeedLine(plain(key[1]), (), reasons.pop())
    shown = {seed: f"{each.text} {each.span}".strip() or each.reason for seed, each in found.items()}
    return SeedLine(plain(key[1]), tuple(shown.get(seed, "–") for seed in seeds), "")
