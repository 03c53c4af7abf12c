"""One value of one attack as the report shows it: a number with what stands behind it, or why there is none."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from amulet_core.report.words import number, span
from amulet_core.results import Cell, values_of
from amulet_core.scores import Value, Withheld

OWN: Final = "the model's own behavior"
"""What stands in an attack's place where a game has no attack."""


@dataclass(frozen=True)
class Figure:
    """One value of one attack: a number and what stands behind it, or the reason why there is none.

    ``null`` is what the value would be if there were nothing to find, where that is not one number; of the first seed.
    """

    text: str
    span: str
    reason: str
    null: str = ""


def figure(
    cells: Sequence[Cell], key: tuple[str, str], *, alone: bool, text: Callable[[float], str] = number
) -> Figure:
    """Return a value of one attack: over its seeds, or (``alone``) of the one cell given, with its own interval.

    ``text`` writes a number as all of its column are written.
    """
    found = [value for cell in cells for value in values_of(cell, *key)]
    values = [value for value in found if isinstance(value, Value)]
    withheld = dict.fromkeys(value.reason for value in found if isinstance(value, Withheld))
    if not values:
        reasons = [*withheld] or [f"{cell.status}: {cell.reason}" for cell in cells if cell.status != "ok"][:1]
        return Figure("", "", "; ".join(reasons) or "not given")
    numbers = [value.estimate for value in values]
    if alone:
        shown = span(values[0].low, values[0].high, text=text)
    else:
        shown = f"{text(min(numbers))} to {text(max(numbers))}" if len(numbers) > 1 else ""
    part = f"{len(numbers)} of {len(cells)} seeds" if len(numbers) < len(cells) else ""
    first = values[0]
    null = first.null if first.null_95 is None else f"below {text(first.null_95)}"
    return Figure(text(sum(numbers) / len(numbers)), shown, part, null)


def given(cell: Cell, key: tuple[str, str]) -> Iterator[Value]:
    """Yield the value of a metric and name in a cell, if it was not withheld."""
    yield from (value for value in values_of(cell, *key) if isinstance(value, Value))


def plain(name: str) -> str:
    """Return the name of a value as words; ``0_1`` is a decimal."""
    return re.sub(r"(?<=\d)_(?=\d)", ".", name).replace("_", " ")
