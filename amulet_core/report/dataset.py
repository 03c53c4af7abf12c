"""The report's section on the data: which they are, to the byte, and how often each group has each class."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from pydantic import JsonValue

from amulet_core.report.details import DetailTable
from amulet_core.report.methods import flat
from amulet_core.report.words import DESIGNS, number
from amulet_core.results import Results

MOST_CLASSES: Final = 10
"""Of more classes than this, groups show no shares."""
_APART: Final = ("id", "sha256", "class_rows", "groups", "sensitive", "sizes")
"""What is known of the data and stands in a place of its own."""

Counts = Mapping[str, Mapping[str, int]]
"""Rows by the value of an attribute, and by class."""


@dataclass(frozen=True)
class DataSection:
    """What is said of the data: a line that identifies them, facts as pairs, and tables of classes and groups."""

    line: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[DetailTable, ...]


def data_section(results: Results) -> DataSection:
    """Return what is to be said of the data; results of earlier versions have less to say."""
    data = results.data
    name, content, rows = str(data.get("id", "")), data.get("sha256"), data.get("rows")
    parts = [
        name,
        *_files(_params(results)),
        f"{rows:,} rows" if isinstance(rows, int) else "",
        f"SHA-256 {str(content)[:12]}…" if content else "",
    ]
    own = {key: value for key, value in data.items() if key not in _APART}
    sizes, sensitive = data.get("sizes"), data.get("sensitive")
    splits = {name: n for name, n in sizes.items() if name != "design"} if isinstance(sizes, dict) else {}
    facts = (
        ("data set", name),
        *flat(_params(results), "parameter"),
        *flat(own),
        *(flat(splits, "rows of a seed") if splits else ()),
        ("design", DESIGNS.get(results.design, results.design)),
        *(flat(sensitive, "groups") if isinstance(sensitive, dict) else ()),
        ("SHA-256 of all rows and their schema", str(content) if content else "not kept"),
    )
    return DataSection(", ".join(filter(None, parts)), facts, tuple(_tables(results)))


def favourable(results: Results) -> str:
    """Return the class that counts as favourable in the comparison of groups, or nothing where none is named."""
    found = (
        measured.scores.details.get("positive")
        for cell in results.cells
        if cell.risk == "discriminatory-behavior"
        for measured in cell.measured
    )
    named = next((each for each in found if isinstance(each, str)), "")
    return named if named in _classes(results) else ""


def _params(results: Results) -> JsonValue:
    used = results.config.get("dataset")
    return used.get("params", {}) if isinstance(used, dict) else {}


def _files(params: JsonValue) -> Iterator[str]:
    """Yield the parameters that read like the name of a file: they say more than the id of a data set of one's own."""
    for value in params.values() if isinstance(params, dict) else ():
        if isinstance(value, str) and PurePath(value).suffix[1:].isalpha():
            yield value


def _classes(results: Results) -> Mapping[str, int]:
    return _as_counts(results.data.get("class_rows"))


def _tables(results: Results) -> Iterator[DetailTable]:
    classes = _classes(results)
    if classes:
        total, good = sum(classes.values()), favourable(results)
        named = tuple((_named(each, good), f"{n:,}", _share(n, total)) for each, n in classes.items())
        yield DetailTable("Classes, over all rows of the data set", ("Class", "Rows", "Share"), named)
        attributes = results.data.get("groups")
        for attribute, counted in attributes.items() if isinstance(attributes, dict) else ():
            groups = {value: _as_counts(n) for value, n in counted.items()} if isinstance(counted, dict) else {}
            yield _by_group(attribute, groups, tuple(classes), good)


def _by_group(attribute: str, groups: Counts, classes: tuple[str, ...], good: str) -> DetailTable:
    """Return how often each group has each class: the base rates that a model can learn."""
    shown = classes if len(classes) <= MOST_CLASSES else tuple(each for each in classes if each == good)
    total = sum(sum(counts.values()) for counts in groups.values())
    lines = []
    for value, counts in groups.items():
        n = sum(counts.values())
        lines.append((value, f"{n:,}", _share(n, total), *(_share(counts.get(each, 0), n) for each in shown)))
    heads = (attribute, "Rows", "Share of all rows", *(f"of them {_named(each, good)}" for each in shown))
    return DetailTable(f"Base rates by {attribute}, over all rows of the data set", heads, tuple(lines))


def _named(one: str, good: str) -> str:
    return f"{one} (favourable)" if one == good else one


def _share(n: int, total: int) -> str:
    return number(n / total) if total else "–"


def _as_counts(found: JsonValue) -> Mapping[str, int]:
    return {name: n for name, n in found.items() if isinstance(n, int)} if isinstance(found, dict) else {}
