"""The back of the report: what was used and with which settings, what went wrong, and where the results come from."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml
from pydantic import JsonValue

from amulet_core.report.words import count
from amulet_core.results import Cell, Member, Results

LONGEST_LIST: Final = 20
MOST_PLACES: Final = 4


@dataclass(frozen=True)
class Reference:
    """A reference: its title, where to find it, and an address to follow or nothing."""

    title: str
    where: str
    address: str


@dataclass(frozen=True)
class Used:
    """A component as it was used, and what for."""

    member: Member
    roles: str
    params: tuple[tuple[str, str], ...]
    references: tuple[Reference, ...]


@dataclass(frozen=True)
class Problem:
    """What failed or was skipped in one row and risk, in these attacks and seeds, for one reason."""

    row: str
    risk: str
    attacks: str
    status: str
    seeds: str
    reason: str
    blame: str
    traceback: str


@dataclass(frozen=True)
class Warned:
    """A warning, and where it was given."""

    text: str
    where: str


def used(results: Results) -> tuple[Used, ...]:
    """Return every component with its settings; equal uses are merged, whatever they were used for."""
    roles: dict[str, tuple[Member, dict[str, None]]] = {}
    for role, member in _members(results):
        roles.setdefault(member.model_dump_json(), (member, {}))[1][role] = None
    return tuple(
        Used(
            member,
            ", ".join(role for role in names if role) or "used by the run",
            flat(member.params),
            tuple(Reference(title, where, address(where)) for title, where in member.references),
        )
        for member, names in roles.values()
    )


def address(where: str) -> str:
    """Return the web address of a reference: of an arXiv id, a DOI or a web address; nothing of anything else."""
    if re.fullmatch(r"https?://[^\s\"'<>]+", where):
        return where
    if found := re.fullmatch(r"(?:arXiv:\s*)?(\d{4}\.\d{4,5}(?:v\d+)?|[a-z.-]+/\d{7})", where, re.IGNORECASE):
        return f"https://arxiv.org/abs/{found[1]}"
    if found := re.fullmatch(r"(?:doi:\s*)?(10\.\d{4,9}/[^\s\"'<>]+)", where, re.IGNORECASE):
        return f"https://doi.org/{found[1]}"
    return ""


def problems(results: Results) -> tuple[Problem, ...]:
    """Return what failed or was skipped, failures first, with equal ones of several attacks and seeds merged."""
    found: dict[tuple[str, str, str, str, str, str], list[Cell]] = {}
    for cell in sorted(results.cells, key=lambda cell: cell.status):
        if cell.status != "ok":
            key = (cell.row, cell.risk, cell.status, cell.reason, cell.blame, cell.traceback)
            found.setdefault(key, []).append(cell)
    return tuple(
        Problem(
            row,
            risk,
            ", ".join(dict.fromkeys(cell.attack for cell in cells)),
            status,
            ", ".join(map(str, sorted({cell.seed for cell in cells}))),
            reason,
            blame,
            traceback,
        )
        for (row, risk, status, reason, blame, traceback), cells in found.items()
    )


def warned(results: Results) -> tuple[Warned, ...]:
    """Return each different warning once, with the places where it was given."""
    places: dict[str, dict[str, int]] = {warning: {"the run": 1} for warning in results.provenance.warnings}
    for cell in results.cells:
        for warning in cell.warnings:
            where = " / ".join(part for part in (cell.row, cell.risk, cell.attack) if part)
            found = places.setdefault(warning, {})
            found[where] = found.get(where, 0) + 1
    for entry in results.entries:
        for warning in entry.warnings:
            places.setdefault(warning, {}).setdefault(f"{entry.row} / {entry.risk}", 1)
    return tuple(Warned(text, _places(found)) for text, found in places.items())


def unjudged(results: Results) -> tuple[Warned, ...]:
    """Return why squares have no verdict though they were measured: degenerate and blocked ones, by reason."""
    titles = {column.risk: column.title for column in results.columns}
    found: dict[str, dict[str, int]] = {}
    for entry in results.entries:
        verdict = entry.effect.verdict if entry.effect else ""
        if entry.degenerate or verdict in ("degenerate", "blocked"):
            word = "degenerate" if entry.degenerate else verdict
            reason = entry.degenerate or (entry.effect.verdict_reason if entry.effect else "")
            found.setdefault(f"{word}: {reason}", {})[f"{entry.row} / {titles.get(entry.risk, entry.risk)}"] = 1
    return tuple(Warned(text, "; ".join(places)) for text, places in found.items())


def flat(value: JsonValue, name: str = "") -> tuple[tuple[str, str], ...]:
    """Return nested JSON as pairs of a dotted path and a text; short lists stay on one line."""
    if isinstance(value, dict) and value:
        pairs = (flat(inner, f"{name}.{key}" if name else key) for key, inner in value.items())
        return tuple(pair for each in pairs for pair in each)
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        pairs = (flat(inner, f"{name}.{index}") for index, inner in enumerate(value[:LONGEST_LIST]))
        return tuple(pair for each in pairs for pair in each)
    return ((name, _text(value)),)


def slowest(timings: dict[str, float]) -> tuple[tuple[str, str], ...]:
    """Return the slowest jobs with their seconds, and what all the others took together."""
    ordered = sorted(timings.items(), key=lambda item: -item[1])
    rest = ordered[LONGEST_LIST:]
    shown = [(name, f"{seconds:.1f} s") for name, seconds in ordered[:LONGEST_LIST]]
    return (*shown, *([(f"{len(rest)} more", f"{sum(s for _, s in rest):.1f} s")] if rest else []))


def as_yaml(value: JsonValue) -> str:
    """Return a JSON value as YAML, which is easier to read."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _members(results: Results) -> Iterator[tuple[str, Member]]:
    for row in results.rows:
        yield from ((f"defense in row {row.label}", member) for member in row.chain)
    for column in results.columns:
        for member in column.attacks:
            role = "control" if member.id in column.controls else "attack"
            yield f"{role}, {column.title}", member
        yield from ((f"metric, {column.title}", member) for member in column.metrics)
    yield from (("", member) for member in results.provenance.components)


def _places(found: dict[str, int]) -> str:
    shown = [place if n == 1 else f"{place} ({count(n, 'seed')})" for place, n in found.items()][:MOST_PLACES]
    more = len(found) - len(shown)
    return "; ".join([*shown, *([f"{more} more"] if more else [])])


def _text(value: JsonValue) -> str:
    if isinstance(value, list) and value:
        shown = [_text(item) for item in value[:LONGEST_LIST]]
        return ", ".join([*shown, *([f"and {len(value) - LONGEST_LIST} more"] if len(value) > LONGEST_LIST else [])])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return "(empty)" if value in ("", {}, []) else str(value)
