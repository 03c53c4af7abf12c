"""The matrix as plain text, for a terminal: what the report shows in colour, in signs and words."""

import textwrap
from collections.abc import Iterator
from typing import Final

from amulet_core.report.chains import text_lines
from amulet_core.report.words import (
    BOUNDS,
    LOOKS,
    UTILITY_LOOKS,
    effect_interval,
    judged,
    look,
    number,
    printable,
    reasons,
    signed,
    span,
)
from amulet_core.results import Column, Entry, Results

WIDTH: Final = 110
LABEL: Final = 34


def text_matrix(results: Results) -> str:
    """Return the matrix as plain text of at most 110 columns: sign and effect over its interval.

    Below it stand what chains lose of what their members do alone, and a legend. The row ``none`` shows the primary
    values themselves. Columns that do not fit follow in a further block.
    """
    label = min(LABEL, max([len(printable(row.label)) for row in results.rows], default=4))
    squares = {(entry.row, entry.risk): entry for entry in results.entries}
    blocks = []
    columns = list(results.columns)
    while columns:
        block, width = [columns.pop(0)], label + 2 + _width(squares)
        while columns and width + 2 + _width(squares) <= WIDTH:
            width += 2 + _width(squares)
            block.append(columns.pop(0))
        blocks.append("\n".join(_block(results, squares, block, label=label)))
    chains = [textwrap.fill(printable(line), WIDTH, subsequent_indent="  ") for line in text_lines(results)]
    return "\n\n".join([*blocks, *(["\n".join(chains)] if chains else []), "\n".join(_legend(results))]) + "\n"


def _width(squares: dict[tuple[str, str], Entry]) -> int:
    """Return how wide a column must be; headings wrap, so that only the numbers count."""
    texts = [text for entry in squares.values() for text in _square(entry)]
    return max([14, *(len(text) for text in texts)])


def _square(entry: Entry | None) -> tuple[str, str]:
    if entry is None or (entry.effect is None and entry.mean is None):
        return ("not measured", "")
    if entry.effect is None:
        return (f"  {number(entry.mean)}" if entry.mean is not None else "", span(entry.low, entry.high))
    sign = look(entry.effect.verdict, entry.risk).sign
    return (f"{sign} {signed(entry.effect.difference)}", effect_interval(entry.effect))


def _block(
    results: Results, squares: dict[tuple[str, str], Entry], columns: list[Column], *, label: int
) -> Iterator[str]:
    width = _width(squares)
    better = {"higher": "higher is better", "lower": "lower is better"}
    headings = [
        [
            line
            for part in (column.title, judged(column, results), better[column.better])
            for line in textwrap.wrap(printable(part), width)
        ]
        for column in columns
    ]
    for depth in range(max(map(len, headings))):
        texts = [heading[depth] if depth < len(heading) else "" for heading in headings]
        yield _line("", texts, label=label, width=width)
    yield "-" * (label + (2 + width) * len(columns))
    for row in results.rows:
        name = printable(row.label)
        name = name if len(name) <= label else f"{name[: label - 1]}…"
        pairs = [_square(squares.get((row.label, column.risk))) for column in columns]
        yield _line(name, [above for above, _ in pairs], label=label, width=width)
        if any(below for _, below in pairs):
            yield _line("", [below for _, below in pairs], label=label, width=width)


def _line(name: str, texts: list[str], *, label: int, width: int) -> str:
    return "  ".join([name.ljust(label), *(text.ljust(width) for text in texts)]).rstrip()


def _legend(results: Results) -> Iterator[str]:
    signs = "   ".join(f"{shown.sign} {shown.word}" for shown in LOOKS.values())
    yield signs
    yield "In the utility column: " + "   ".join(f"{shown.sign} {shown.word}" for shown in UTILITY_LOOKS.values())
    yield "Each square: change of the primary value against the row none, over its interval; none shows the value."
    for column in results.columns:
        if column.floor is not None:
            yield f"In the column {printable(column.title)} each square shows the value itself, over its 95 % interval."
        if column.bound:
            yield f"In the column {printable(column.title)} each square shows the mean of {BOUNDS}."
    titles = {column.risk: column.title for column in results.columns}
    rows: dict[tuple[str, str], list[str]] = {}
    for entry in results.entries:
        for reason in reasons(entry):
            rows.setdefault((titles.get(entry.risk, entry.risk), reason), []).append(entry.row)
    whom: dict[tuple[str, str], list[str]] = {}
    for (title, reason), labels in rows.items():
        whom.setdefault((", ".join(labels), reason), []).append(title)
    for (named, reason), columns in whom.items():
        where = f"{printable(named)} ({printable(', '.join(columns))})"
        yield textwrap.fill(f"{where}: {printable(reason)}", WIDTH, subsequent_indent="  ")
