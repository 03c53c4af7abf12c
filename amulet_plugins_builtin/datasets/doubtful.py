"""What a user's column holds in place of categories and numbers: identifiers, commas, values typed twice."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from amulet_plugins_builtin.datasets.cells import some

MOST_DISTINCT: Final = 50
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d*(\.\d{3})*,\d+")


def tells_rows_apart(values: Sequence[str]) -> bool:
    """Say whether a column is an identifier, or free text: most of its rows, and more than 50, have different values.

    A value that most rows have for themselves says nothing about another row; as a category it would be a feature
    by which a model can know a training row, and membership inference would measure that alone.
    """
    distinct = len(set(values))
    return distinct > MOST_DISTINCT and 2 * distinct > len(values)


def identifier_problem(name: str, values: Sequence[str]) -> str:
    """Return why such a column is no category, and what to do."""
    return (
        f"the column {name} has {len(set(values)):,} different values in {len(values):,} rows, as an identifier or "
        "free text has, and is no category: name it in drop, or list its values in categories if they are some"
    )


def written_alike(values: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the values that differ in case or in the number of blanks alone, those of one meaning together, sorted."""
    alike: dict[str, list[str]] = {}
    for value in sorted(set(values)):
        alike.setdefault(" ".join(value.split()).casefold(), []).append(value)
    return [tuple(found) for found in alike.values() if len(found) > 1]


def spelling_problems(name: str, values: Iterable[str], *, otherwise: str = "") -> list[str]:
    """Say that a column writes a value in several ways; ``otherwise`` is what to do if they are several values."""
    alike = written_alike(values)
    if not alike:
        return []
    found = some([" and ".join(f'"{value}"' for value in one) for one in alike])
    return [f"the column {name} writes one value in several ways: {found}: make them one in the file{otherwise}"]


def advice(values: Sequence[str], wrong: Sequence[str], *, grouped: bool) -> str:
    """Return what to do about cells of a column that are no numbers: ``wrong``, of all its ``values``.

    ``grouped`` says that they were to be numbers for the sake of groups.
    """
    for form, what in (
        (_THOUSANDS, "without thousands separators, as in 35299.57"),
        (_DECIMAL_COMMA, "with a decimal point, as in 35299.57"),
    ):
        if 2 * sum(form.fullmatch(cell) is not None for cell in wrong) > len(wrong):
            return f"write its numbers {what}"
    if 2 * len(wrong) <= len(values):
        return "correct them, or name them in unknown if they say that a value is unknown"
    if grouped:
        return "correct them, or leave it out of groups, so that each value is a group"
    if tells_rows_apart(values):
        return f"its {len(set(values)):,} different values are no categories: name it in drop"
    return "name it in categorical or in drop, or correct them"
