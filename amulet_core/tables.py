"""Results as tables: a tidy frame, the matrix, its plain text, and the files of a run. Computes no statistics."""

import csv
import io
import json
import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from pydantic import ValidationError

from amulet_core.errors import RequestError, cause_of
from amulet_core.report.words import (
    LOOKS,
    UTILITY_LOOKS,
    effect_interval,
    judged,
    look,
    number,
    printable,
    reasons,
    signed,
)
from amulet_core.results import Cell, Column, Entry, Results
from amulet_core.run_folder import CONFIG
from amulet_core.scores import Value, Withheld
from amulet_core.writing import replace_parts, replace_text

if TYPE_CHECKING:
    import pandas as pd

VERSION: Final = 1
WIDTH: Final = 110
LABEL: Final = 34
_WHICH_FOLDER: Final = "give the folder that `amulet run` wrote its results into"


Start = tuple[str, str, str, str, bool, int]
"""How all records of a cell begin."""


class Record(NamedTuple):
    """One line of the tidy table; a withheld value has the status ``withheld`` and its reason, and no estimate."""

    row: str
    kind: str
    risk: str
    attack: str
    control: bool
    seed: int
    status: str
    reason: str
    metric: str | None = None
    value: str | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    method: str | None = None


def records(results: Results) -> tuple[Record, ...]:
    """Return one record a row, risk, attack, seed, metric and value; a cell without values has one record."""
    kinds = {row.label: row.kind for row in results.rows}
    return tuple(record for cell in results.cells for record in _records(cell, kinds.get(cell.row, "defense")))


def frame(results: Results) -> "pd.DataFrame":
    """Return the tidy table: a line a row, risk, attack, seed, metric and value.

    Lines of failed and skipped cells and of withheld values have no estimate (``<NA>``) and a ``reason``.
    """
    import pandas as pd

    table = pd.DataFrame(records(results), columns=list(Record._fields))
    missing_allowed = {"estimate": "Float64", "low": "Float64", "high": "Float64", "n": "Int64"}
    return table.astype({"control": "bool", "seed": "int64", **missing_allowed})


def matrix(results: Results, show: Literal["effect", "mean", "verdict"]) -> "pd.DataFrame":
    """Return the matrix, a line a row and a column a risk.

    ``effect``: the change of the primary value against ``none``; ``mean``: the primary value; ``verdict``: its word.
    What was not measured is ``<NA>``; so are the effect and the verdict of ``none`` itself.
    """
    import pandas as pd

    squares = {(entry.row, entry.risk): _shown(entry, show) for entry in results.entries}
    labels = pd.Index([row.label for row in results.rows], name="row")
    columns = {column.risk: [squares.get((label, column.risk)) for label in labels] for column in results.columns}
    return pd.DataFrame(columns, index=labels).astype("string" if show == "verdict" else "Float64")


def text_matrix(results: Results) -> str:
    """Return the matrix as plain text of at most 110 columns: sign and effect over its interval, and a legend below.

    The row ``none`` shows the primary values themselves. Columns that do not fit follow in a further block.
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
    return "\n\n".join([*blocks, "\n".join(_legend(results))]) + "\n"


def write_results(results: Results, directory: str | Path) -> Path:
    """Write results.csv, provenance.json and results.json (all but the provenance) and return the folder.

    Equal results give an equal results.csv and results.json, bit by bit; where and how long they ran stands apart.

    Raises:
        ValueError: if a value is not finite; the message names it.
        OSError: if the folder cannot be written.
    """
    folder = Path(directory)
    whole = results.model_dump(mode="json")
    if wrong := [*_not_finite(whole, "results")]:
        raise ValueError(f"results must be finite numbers to be written, but these are not: {', '.join(wrong[:5])}")
    provenance = whole.pop("provenance")
    replace_text(folder / "results.csv", _csv(results))
    replace_text(folder / "provenance.json", json.dumps(provenance, indent=1, ensure_ascii=False) + "\n")
    # Piece by piece: as one text, the JSON of 10,000 cells would take 300 MB while it is made.
    replace_parts(folder / "results.json", _encoded(whole))
    return folder


def read_results(directory: str | Path) -> Results:
    """Return the results that ``write_results`` wrote into a folder.

    Raises:
        RequestError: if a file is missing, cannot be read, is no JSON, or is of another version of the format.
    """
    folder = Path(directory)
    problems: list[str] = []
    whole = _json(folder / "results.json", problems)
    provenance = _json(folder / "provenance.json", problems)
    if problems:
        raise RequestError(*problems)
    if whole.get("version") != VERSION:
        raise RequestError(
            f"{folder / 'results.json'} is of version {whole.get('version')!r} of the results' format, and this AMULET "
            f"reads version {VERSION}: read it with the AMULET that wrote it, or run its config again"
        )
    try:
        return Results.model_validate({**whole, "provenance": provenance})
    except ValidationError as error:
        places = sorted({".".join(map(str, wrong["loc"])) for wrong in error.errors()})
        raise RequestError(
            f"{folder} holds results of version {VERSION} with wrong or missing parts ({', '.join(places[:5])}; "
            f"{len(places)} in all): was a file edited? Run its config again"
        ) from error


def _records(cell: Cell, kind: str) -> Iterator[Record]:
    start: Start = (cell.row, kind, cell.risk, cell.attack, cell.control, cell.seed)
    if not any(measured.scores.values for measured in cell.measured):
        yield Record(*start, cell.status, cell.reason)
    for measured in cell.measured:
        for value in measured.scores.values:
            yield _record(start, cell, measured.metric, value)


def _record(start: Start, cell: Cell, metric: str, value: Value | Withheld) -> Record:
    if isinstance(value, Withheld):
        return Record(*start, "withheld", value.reason, metric, value.name)
    numbers = (value.estimate, value.low, value.high, value.n, value.method)
    return Record(*start, cell.status, cell.reason, metric, value.name, *numbers)


def _shown(entry: Entry, show: Literal["effect", "mean", "verdict"]) -> float | str | None:
    if show == "mean":
        return entry.mean
    if entry.effect is None:
        return None
    return entry.effect.verdict if show == "verdict" else entry.effect.difference


def _width(squares: dict[tuple[str, str], Entry]) -> int:
    """Return how wide a column must be; headings wrap, so that only the numbers count."""
    texts = [text for entry in squares.values() for text in _square(entry)]
    return max([14, *(len(text) for text in texts)])


def _square(entry: Entry | None) -> tuple[str, str]:
    if entry is None or (entry.effect is None and entry.mean is None):
        return ("not measured", "")
    if entry.effect is None:
        return (f"  {number(entry.mean)}" if entry.mean is not None else "", "")
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


def _csv(results: Results) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(Record._fields)
    writer.writerows(records(results))
    return stream.getvalue()


def _encoded(value: Any) -> Iterator[bytes]:
    for text in json.JSONEncoder(indent=1, ensure_ascii=False).iterencode(value):
        yield text.encode()
    yield b"\n"


def _json(path: Path, problems: list[str]) -> dict[str, Any]:
    """Return a file's JSON object; a problem is added to ``problems``, so that all of them come in one message."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        begun = (path.parent / CONFIG).exists()
        what = f"the run has not ended, go on with: amulet run {path.parent}" if begun else _WHICH_FOLDER
        problems.append(f"{path} does not exist: {what}")
    except OSError as error:
        problems.append(f"{path} cannot be read: {cause_of(error)}")
    except ValueError as error:
        problems.append(f"{path} is not JSON ({cause_of(error)}): it was cut short or edited; run its config again")
    else:
        if isinstance(found, dict):
            return found
        problems.append(f"{path} holds a JSON {type(found).__name__}, not an object: these are not AMULET's results")
    return {}


def _not_finite(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_finite(inner, f"{path}.{index}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path} = {value}"
