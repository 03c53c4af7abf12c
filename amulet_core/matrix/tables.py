"""Results as tables: a tidy frame, the matrix, and the files of a run. Computes no statistics."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from pydantic import ValidationError

from amulet_core.errors import RequestError, cause_of
from amulet_core.matrix.chance import near_chance
from amulet_core.results import Cell, Conflict, Entry, Results, Shown
from amulet_core.running.run_folder import CONFIG
from amulet_core.scores import Value, Withheld
from amulet_core.storage.writing import replace_parts, replace_text
from amulet_core.vocabulary import UTILITY, UTILITY_WORDS

if TYPE_CHECKING:
    import pandas as pd

VERSION: Final = 1
_WHICH_FOLDER: Final = "give the folder that `amulet run` wrote its results into"


Start = tuple[str, str, str, str, bool, int]
"""How all records of a cell begin."""


class Record(NamedTuple):
    """One line of the tidy table; a withheld value has the status ``withheld`` and its reason, and no estimate.

    ``degenerate``: on this seed the models attacked are near chance (None: not known).
    """

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
    degenerate: bool | None = None


def records(results: Results) -> tuple[Record, ...]:
    """Return one record a row, risk, attack, seed, metric and value; a cell without values has one record."""
    kinds = {row.label: row.kind for row in results.rows}
    near = near_chance(results)
    return tuple(
        record._replace(degenerate=near.get((cell.row, cell.risk, cell.seed)))
        for cell in results.cells
        for record in _records(cell, kinds.get(cell.row, "defense"))
    )


def frame(results: Results) -> "pd.DataFrame":
    """Return the tidy table: a line a row, risk, attack, seed, metric and value.

    Lines of failed and skipped cells and of withheld values have no estimate (``<NA>``) and a ``reason``. On lines
    that are ``degenerate`` the model attacked knows nothing: its values look like protection, and are none.
    """
    import pandas as pd

    table = pd.DataFrame(records(results), columns=list(Record._fields))
    missing_allowed = {"estimate": "Float64", "low": "Float64", "high": "Float64", "n": "Int64"}
    missing_allowed["degenerate"] = "boolean"
    return table.astype({"control": "bool", "seed": "int64", **missing_allowed})


def matrix(results: Results, show: Shown) -> "pd.DataFrame":
    """Return the matrix, a line a row and a column a risk.

    ``effect``: the change of the primary value against ``none``, whatever the verdict; ``judged``: the change and its
    verdict as the report has it, as text; ``mean``: the primary value; ``verdict``: the verdict alone, in one word for
    all columns: of utility "risk up" is utility down, and "risk down" utility up.
    What was not measured is ``<NA>``; so are the effect and the verdict of ``none`` itself.

    Raises:
        RequestError: if something else is to be shown.
    """
    import pandas as pd

    if show not in get_args(Shown):
        known = ", ".join(f'"{one}"' for one in get_args(Shown))
        raise RequestError(f"a matrix shows one of {known}, not {show!r}")
    squares = {(entry.row, entry.risk): _shown(entry, show) for entry in results.entries}
    labels = pd.Index([row.label for row in results.rows], name="row")
    columns = {column.risk: [squares.get((label, column.risk)) for label in labels] for column in results.columns}
    return pd.DataFrame(columns, index=labels).astype("string" if show in ("judged", "verdict") else "Float64")


def write_results(results: Results, directory: str | Path) -> Path:
    """Write results.csv, provenance.json and results.json (all but the provenance) and return the folder.

    conflicts.csv is written too where there are chains and something to say of them.

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
    replace_text(folder / "results.csv", _csv(Record._fields, records(results)))
    if results.conflicts:
        fields = tuple(Conflict.model_fields)
        lines = ([getattr(conflict, field) for field in fields] for conflict in results.conflicts)
        replace_text(folder / "conflicts.csv", _csv(fields, lines))
    else:
        (folder / "conflicts.csv").unlink(missing_ok=True)
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


def _shown(entry: Entry, show: Shown) -> float | str | None:
    if show == "mean":
        return entry.mean
    if entry.effect is None:
        return None
    if show == "judged":
        words = UTILITY_WORDS if entry.risk == UTILITY else {}
        return f"{entry.effect.difference:+.3f} {words.get(entry.effect.verdict, entry.effect.verdict)}"
    return entry.effect.verdict if show == "verdict" else entry.effect.difference


def _csv(fields: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows(lines)
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
