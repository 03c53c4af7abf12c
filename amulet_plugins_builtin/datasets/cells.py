"""The cells of a user's table as text: from CSV or Parquet files, which are not trusted, and without pickles."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from math import isnan
from pathlib import Path
from typing import Any, Final

from amulet_core.configuration.checked import shown
from amulet_core.errors import RequestError

_CSV: Final = (".csv", ".csv.gz")
_PARQUET: Final = ".parquet"
_SHEETS: Final = (".xlsx", ".xls", ".xlsm", ".ods")
_TEXTS: Final = (".tsv", ".tab", ".txt", ".dat")
_DELIMITERS: Final = {",": '","', ";": '";"', "\t": r'"\t" (tab)'}
_SHOWN: Final = 5


@dataclass(frozen=True)
class Cells:
    """The columns of a table by name, stripped of outer spaces; of each row its place in words, and its id."""

    columns: dict[str, list[str]]
    places: list[str]
    ids: list[int]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.places)


def read_cells(path: Path, *, delimiter: str, whose: str) -> Cells:
    """Read a table.

    Raises:
        RequestError: naming everything that is wrong with the file's form: an unknown suffix, no text, columns of one
            name, lines with too many or too few cells, columns that hold no plain values, pyarrow not installed.
    """
    problems: list[str] = []
    try:
        if path.name.lower().endswith(_CSV):
            cells = _from_csv(path, delimiter, problems)
        elif path.name.lower().endswith(_PARQUET):
            cells = _from_parquet(path, problems)
        else:
            raise RequestError(f"{whose}: {path} {_of_no_known_kind(path)}")
    except UnicodeDecodeError as error:
        line, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        raise RequestError(
            f"{whose}: {path} is no UTF-8 text (line {line} holds the byte 0x{byte:02x}): save it as UTF-8; a "
            'spreadsheet calls it "CSV UTF-8"'
        ) from error
    except (OSError, EOFError, csv.Error) as error:
        raise RequestError(f"{whose}: {path} cannot be read: {' '.join(str(error).split())}") from error
    if not problems and not cells.places:
        problems.append("it has no rows")
    if problems:
        raise RequestError(*(f"{whose}: {path}: {text}" for text in problems))
    return cells


def some(names: list[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _of_no_known_kind(path: Path) -> str:
    suffix = path.suffix.lower()
    hint = ""
    if suffix in _SHEETS:
        hint = '; save the sheet as "CSV UTF-8" and name that'
    elif suffix in _TEXTS:
        hint = "; if it is a table in text, name it .csv and give its delimiter"
    return f"is of no kind that is read, which are {', '.join((*_CSV, _PARQUET))}{hint}"


def _text_of(path: Path) -> str:
    content = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
    return content.decode("utf-8-sig")


def _from_csv(path: Path, delimiter: str, problems: list[str]) -> Cells:
    lines = csv.reader(StringIO(_text_of(path), newline=""), delimiter=delimiter, strict=True)
    header = [name.strip() for name in next(lines, [])]
    one_column = _delimiter_problem(header, delimiter)
    if one_column:
        problems.append(one_column)
        return Cells({}, [], [])
    problems += _header_problems(header)
    rows = [(lines.line_num, row) for row in lines if row]
    wrong = [f"line {line} has {len(row)}" for line, row in rows if len(row) != len(header)]
    if wrong:
        problems.append(
            f"the header has {len(header)} columns, and {some(wrong)}: quote cells that hold {_DELIMITERS[delimiter]}, "
            "and give every line as many cells as the header"
        )
    whole = [(line, row) for line, row in rows if len(row) == len(header)]
    columns = {name: [row[place].strip() for _, row in whole] for place, name in enumerate(header)}
    return Cells(columns, [f"line {line}" for line, _ in whole], list(range(len(whole))))


def _delimiter_problem(header: list[str], delimiter: str) -> str:
    """Say that a header is not parted; no table of one column is of use, since a label needs something beside it."""
    if len(header) != 1:
        return ""
    found = max(_DELIMITERS, key=header[0].count)
    read = f"its header reads as one column, {shown(header[0])}, with the delimiter {_DELIMITERS[delimiter]}"
    if header[0].count(found):
        return f"{read}: set delimiter to {_DELIMITERS[found]} if that parts its cells"
    return f"{read}: a table needs a column to be predicted and another, parted by {', '.join(_DELIMITERS.values())}"


def _header_problems(header: list[str]) -> Iterator[str]:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        yield f"several columns have one name: {some([name or '(empty)' for name in twice])}"
    elif not header or "" in header:
        yield "its first line must name every column"


def _from_parquet(path: Path, problems: list[str]) -> Cells:
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]  # optional, without types
    except ImportError as error:
        raise RequestError(
            f"{path}: Parquet files are read by pyarrow, which cannot be imported ({error}): "
            "pip install 'amulet-framework[parquet]', or give a CSV file"
        ) from error
    try:
        table = parquet.read_table(path)
    except ArrowException as error:
        raise OSError(str(error)) from error
    names = list(table.column_names)
    problems += _header_problems(names)
    columns = {}
    for name, column in zip(names, table.columns, strict=True):
        values = column.to_pylist()
        nested = next((type(value).__name__ for value in values if isinstance(value, bytes | list | dict)), "")
        if nested:
            problems.append(f"the column {name} holds no plain values, but {nested}")
        columns[name] = [_text(value) for value in values]
    ids = list(range(table.num_rows))
    return Cells(columns, [f"row {number + 1}" for number in ids], ids)


def _text(value: Any) -> str:
    """Return a value as a CSV file would hold it: whole numbers without a point, nothing for what is not there."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
