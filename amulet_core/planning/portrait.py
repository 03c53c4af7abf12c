"""A data set in a few lines: rows and features, classes and groups, and which classes are too small. Light."""

from collections.abc import Iterator, Sequence
from typing import Final

from amulet_core.configuration.request import DataSettings
from amulet_core.planning.facts import DataFacts

_SHOWN: Final = 10
_LEAST: Final = 0.01


def portrait(facts: DataFacts) -> list[str]:
    """Return a line for the rows, one for the classes, and one for the groups of each sensitive attribute."""
    schema = facts.data_schema
    features = "1 feature" if schema.width == 1 else f"{schema.width:,} features"
    return [
        f"data: {facts.rows:,} rows without exact duplicates, {features}",
        f"classes: {_counts(schema.classes, facts.class_rows)}",
        *(
            f"{attribute.name}: {_counts(attribute.categories, rows)}"
            for attribute, rows in zip(schema.sensitive, facts.group_rows, strict=True)
        ),
    ]


def data_warnings(facts: DataFacts, data: DataSettings) -> list[str]:
    """Return what the data set has to say of its rows, and the classes of which too few are there."""
    found = list(_small(facts, data))
    more = [f"{len(found) - _SHOWN} further classes are as small"] if len(found) > _SHOWN else []
    return [*facts.notes, *found[:_SHOWN], *more]


def _counts(names: Sequence[str], rows: Sequence[int]) -> str:
    if len(names) > _SHOWN:
        return f"{len(names)}, of {min(rows):,} to {max(rows):,} rows each"
    return ", ".join(f"{name} {count:,}" for name, count in zip(names, rows, strict=True))


def _small(facts: DataFacts, data: DataSettings) -> Iterator[str]:
    """Yield the classes of which a seed trains or tests on less than a row, or that are under 1 % of the data.

    Parts are dealt out in proportion, so that is what a part holds on average. Where there are many classes, a small
    one is under a tenth of an equal share.
    """
    part, size = min(("train", data.train), ("test", data.test), key=lambda one: one[1])
    least = min(_LEAST, 0.1 / len(facts.class_rows))
    for name, count in zip(facts.data_schema.classes, facts.class_rows, strict=True):
        share = count / facts.rows
        held = share * size
        if held >= 1 and share >= least:
            continue
        there = f", on average {held:.2g} of the {size:,} rows of {part}" if held < 1 else ""
        yield (
            f'the class "{name}" has {count:,} of {facts.rows:,} rows ({100 * share:.2g} %){there}: too few to say '
            "much of it; merge it with another class in the file, or leave its rows out"
        )
