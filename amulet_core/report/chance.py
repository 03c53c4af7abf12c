"""Whether the undefended models show anything beyond chance: where they do not, "no change" is no comfort."""

from collections.abc import Sequence

from amulet_core.report.values import given
from amulet_core.report.words import number
from amulet_core.results import NONE, Cell, Column, Results
from amulet_core.scores import Value


def nothing_found(results: Results, column: Column) -> str:
    """Say that in the row ``none`` nothing beyond chance was found; empty if something was, or nobody can tell.

    A seed counts if all of its attacks show no more than chance: values below the 95 % quantile of chance alone where
    the metric gives it, else intervals that reach to chance or lie on the defender's side of it. More than half of the
    seeds must. It is no verdict.
    """
    rows = {row.label for row in results.rows if row.kind == NONE}
    seeds: dict[int, list[Value]] = {}
    for cell in results.cells:
        if cell.row in rows and cell.risk == column.risk and not cell.control:
            seeds.setdefault(cell.seed, []).extend(_primary(cell, column))
    told = [[_within(value, column) for value in values] for values in seeds.values() if values]
    known = [each for each in told if None not in each]
    within = sum(all(each) for each in known)
    if 2 * within <= len(known):
        return ""
    return (
        f"in row none nothing found beyond chance on {within} of {len(known)} seeds, each by itself: "
        "“no change” means little here"
    )


def known_by_chance(results: Results) -> tuple[Sequence[str], Sequence[str]]:
    """Return the columns for which it is known what chance alone gives, with that, and those for which it is not."""
    known, unknown = [], []
    for column in results.columns:
        if column.alone:
            continue
        if column.chance is not None:
            known.append(f"{column.title} ({number(column.chance)})")
        elif any(
            value.null_95 is not None
            for cell in results.cells
            if cell.risk == column.risk
            for value in _primary(cell, column)
        ):
            known.append(f"{column.title} (by permutation)")
        else:
            unknown.append(column.title)
    return known, unknown


def _primary(cell: Cell, column: Column) -> list[Value]:
    return [*given(cell, (column.primary_metric, column.primary_value))]


def _within(value: Value, column: Column) -> bool | None:
    """Say whether a value shows no more than chance, or nothing where that is not known.

    An attack that does worse than chance found nothing either.
    """
    if value.null_95 is not None:
        return value.estimate <= value.null_95
    if column.chance is None or value.low is None or value.high is None:
        return None
    return value.low <= column.chance if column.better == "lower" else value.high >= column.chance
