"""Components and plugins as plain text for a terminal of 80 to 120 columns."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import fill
from typing import Any, Final, cast

from amulet_core.commands.describing import LIMITS, Record
from amulet_core.discovery.plugins import BUILTIN

_USUAL: Final = {"clippable": True}
"""What is so by default, and left out: any other flag is not set."""


def list_text(records: Sequence[Record], *, width: int) -> str:
    """Return the components grouped by kind and risk, one aligned row each: the shortest sure name and the summary."""
    names = [_name(record) for record in records]
    column = max((len(name) for name in names), default=0)
    lines: list[str] = []
    rows = zip(records, names, strict=True)
    for (kind, risk), group in groupby(rows, key=lambda row: (row[0]["kind"], row[0]["risk"])):
        lines += ["", f"{kind}: {risk}" if risk else str(kind)]
        lines += [_row(name, str(record["summary"]), column, width) for record, name in group]
    return "\n".join(lines[1:])


def show_text(record: Record, *, width: int) -> str:
    """Return everything about one component."""
    place = ", ".join(str(record[key]) for key in ("kind", "risk") if record[key])
    lines = [f"{record['id']}  ({place})", fill(str(record["summary"]), width), ""]
    facts = {**dict(_facts(record)), "provided by": f"{record['distribution']} {record['version']}"}
    column = max(len(fact) for fact in facts)
    lines += [_row(fact, value, column, width) for fact, value in facts.items()]
    lines += ["", "parameters" if record["parameters"] else "no parameters", *_parameters(record, width)]
    return "\n".join(lines)


def plugins_text(records: Sequence[Record], *, width: int) -> str:
    """Return one row per plugin, with what is wrong with it."""
    names = [f"{record['id']}  {record['distribution']} {record['version']}" for record in records]
    column = max((len(name) for name in names), default=0)
    return "\n".join(
        _row(name, str(record["summary"]), column, width) for name, record in zip(names, records, strict=True)
    )


def _name(record: Record) -> str:
    """Return the bare name of a built-in, which nobody can take from it, and the full name of any other."""
    return str(record["name"] if record["plugin"] == BUILTIN else record["id"])


def _row(name: str, text: str, column: int, width: int) -> str:
    """Return a name and a text beside it; a text that does not fit goes on below itself."""
    indent = column + 4
    first = f"  {name:<{column}}  "
    return fill(" ".join(text.split()), width, initial_indent=first, subsequent_indent=" " * indent)


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    """Yield what a descriptor says beside its parameters; what it leaves empty is left out."""
    hidden = {"id", "kind", "risk", "summary", "distribution", "version", "name", "plugin", "parameters"}
    words = {"threat": "threat model", "component_version": "its version", "sok": "row in the SoK"}
    for key, value in record.items():
        if key not in hidden and value not in ([], {}, "", None, _USUAL.get(key, False)):
            yield words.get(key, key.replace("_", " ")), _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {item}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_plain_item(item) for item in value)
    return str(value)


def _plain_item(item: Any) -> str:
    """Return a reference as title and place, a measure as name, direction and meaning, anything else as it is."""
    match item:
        case {"title": title, "where": where}:
            return f"{title} ({where})"
        case {"name": name, "summary": meaning, "better": better}:
            return f"{name} ({better} is better for the defender): {meaning}"
    return str(item)


def _parameters(record: Record, width: int) -> Iterator[str]:
    rows = cast("Iterable[dict[str, Any]]", record["parameters"])
    for row in rows:
        default = "required" if row["required"] else f"default {row['default']}"
        limits = ", ".join(f"{LIMITS[limit]} {bound}" for limit, bound in row["limits"].items())
        yield f"  {row['name']}: {row['type']}, {default}" + (f"; {limits}" if limits else "")
        yield fill(row["description"], width, initial_indent="      ", subsequent_indent="      ")
