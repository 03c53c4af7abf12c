"""The report as one self-contained page: it asks for nothing outside its own file and reads well without JavaScript."""

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from amulet_core.errors import RequestError
from amulet_core.published.tables import factors
from amulet_core.report.chains import chains
from amulet_core.report.chance import known_by_chance
from amulet_core.report.dataset import data_section
from amulet_core.report.matrix import claim, grid
from amulet_core.report.methods import as_yaml, flat, problems, slowest, unjudged, used, warned
from amulet_core.report.sections import sections
from amulet_core.report.summary import summary
from amulet_core.report.words import (
    BOUNDS,
    CONFLICT_LOOKS,
    DECIDED,
    DESIGNS,
    LOOKS,
    UTILITY_LOOKS,
    effect_interval,
    listing,
    look,
    number,
    signed,
)
from amulet_core.results import Effect, Expected, Results
from amulet_core.storage.writing import replace_text
from amulet_core.vocabulary import UTILITY

LONG: Final = 12
"""A matrix of more rows than this can be searched and filtered; its tables scroll under their headings."""
MOST_LISTED: Final = 200
"""How many failures, and how many warnings, are listed."""
MOST_TRACEBACKS: Final = 20


def write(results: Results, path: Path) -> Path:
    """Write the report to ``path`` and return it; a reader of the old file never sees half of the new one.

    Raises:
        RequestError: if the file cannot be written.
    """
    page, folder = render(results), path.parent
    try:
        return replace_text(path, page)
    except OSError as error:
        raise RequestError(
            f"the report {path} cannot be written: {error.strerror or error}. Its results are kept: see that "
            f"{folder} can be written and holds no folder called {path.name}, then run: amulet report {folder}"
        ) from error


def render(results: Results) -> str:
    """Return the report as HTML. All texts of others are escaped; the style sheet is part of the page."""
    environment = Environment(
        loader=PackageLoader("amulet_core.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    long = len(results.rows) > LONG
    script = _own("page.js").strip() if long else Markup("")
    return environment.get_template("page.html").render(
        style=_own("page.css"),
        script=script,
        script_hash=_hash(script),
        long=long,
        marks=_marks(results) if long else {row.label: "" for row in results.rows},
        words=_words(results),
        most_listed=MOST_LISTED,
        most_tracebacks=MOST_TRACEBACKS,
        results=results,
        provenance=results.provenance,
        summary=summary(results),
        grid=grid(results),
        chains=chains(results),
        conflict_looks=tuple(CONFLICT_LOOKS.values()),
        looks=tuple(LOOKS.values()),
        utility_looks=tuple(UTILITY_LOOKS.values()),
        utility=UTILITY,
        bounds=BOUNDS,
        decided=DECIDED,
        chance=tuple(map(listing, known_by_chance(results))),
        published=tuple(_published(results)),
        sections=sections(results),
        failed=sum(cell.status == "failed" for cell in results.cells),
        skipped=sum(cell.status == "skipped" for cell in results.cells),
        problems=problems(results),
        warned=warned(results),
        unjudged=unjudged(results),
        placebo=tuple(_placebo(results)),
        levels=_levels(results),
        design=DESIGNS.get(results.design, results.design),
        used=used(results),
        evidence={row: flat(found) for row, found in results.provenance.evidence.items()},
        data=data_section(results),
        timings=slowest(results.provenance.timings),
        config=as_yaml(results.config),
        flat=flat,
    )


def _own(name: str) -> Markup:
    """Return a file of the page itself, which is not escaped: nothing of anybody else is in it."""
    return Markup(files("amulet_core.report.templates").joinpath(name).read_text(encoding="utf-8"))  # noqa: S704


def _hash(script: str) -> str:
    """Return what the page's policy calls the one script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _marks(results: Results) -> dict[str, Markup]:
    """Return the attribute by which the script finds all that belongs to a row, by the row's label."""
    return {row.label: Markup(' data-row="{}"').format(index) for index, row in enumerate(results.rows)}


def _words(results: Results) -> tuple[str, ...]:
    """Return the verdicts' words that stand in the matrix, in the order of the legend."""
    found = {look(entry.effect.verdict, entry.risk).word for entry in results.entries if entry.effect}
    every = [*LOOKS.values(), *UTILITY_LOOKS.values()]
    return tuple(each.word for each in every if each.word in found)


def _published(results: Results) -> Iterator[tuple[str, str, Expected, str, str, str, str]]:
    """Yield, for each published statement: row, risk, statement, its words, its factors, measured effect, verdict."""
    names = factors()
    evidence = {"T": "theory", "E": "experiment", "C": "conjecture"}
    titles = {column.risk: column.title for column in results.columns}
    for entry in results.entries:
        for expected in entry.expected:
            said = "; ".join(
                f"{names[factor].name if factor in names else factor} "
                f"({', '.join(evidence.get(letter, letter) for letter in letters)})"
                for factor, letters in expected.factors
            )
            effect = entry.effect
            value = "not measured" if entry.mean is None else f"{number(entry.mean)} (no value without it)"
            measured = f"{signed(effect.difference)} {effect_interval(effect)}".strip() if effect else value
            verdict = f"{(shown := look(effect.verdict, entry.risk)).sign} {shown.word}" if effect else ""
            words = claim(expected, named=False).text
            yield entry.row, titles.get(entry.risk, entry.risk), expected, words, said, measured, verdict


def _placebo(results: Results) -> Iterator[tuple[str, str, str, str]]:
    """Yield the placebo's change in each column: title, label, change, interval."""
    placebos = {row.label for row in results.rows if row.kind == "placebo"}
    for column in results.columns:
        for entry in results.entries:
            if entry.row in placebos and entry.risk == column.risk and entry.effect:
                yield column.title, column.primary_label, signed(entry.effect.difference), effect_interval(entry.effect)


def _levels(results: Results) -> str:
    """Return the range of levels that the intervals carry, or nothing where there are no intervals."""
    effects: list[Effect] = [entry.effect for entry in results.entries if entry.effect]
    levels = sorted(effect.level for effect in effects if effect.level is not None)
    if not levels:
        return ""
    low, high = f"{levels[0]:.2%}", f"{levels[-1]:.2%}"
    return low if low == high else f"{low} to {high}"
