"""The interaction tables of the SoK of 2024 (arXiv:2312.04542, Tables 2 and 3): what was known of a defense and a risk.

An effect is what an *effective* defense does to the risk. A correlation is no cause, and a conjecture is not the truth.
"""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import Field

from amulet_core.results import Expected
from amulet_core.schema import Frozen

Arrow = Literal["+", "-"]


class Factor(Frozen):
    """Something that drives risks and that defenses change; a dominant one is observable in the model itself."""

    name: str
    role: Literal["passive", "dominant"]


class PublishedDefense(Frozen):
    """A row of the tables: what it defends against, and how its being effective correlates with each factor."""

    name: str
    against: tuple[str, ...]
    arrows: dict[str, Arrow]


class PublishedRisk(Frozen):
    """A column of the tables: how the risk correlates with each factor."""

    name: str
    arrows: dict[str, Arrow]


class Interaction(Frozen):
    """One square of Table 3; ``factors`` maps a factor to its evidence: T theoretical, E empirical, C conjectured."""

    defense: str
    risk: str
    effect: Literal["increase", "decrease", "unexplored"]
    factors: dict[str, str] = Field(default_factory=dict)
    note: str = ""
    measured_since: tuple[str, ...] = ()


class Published(Frozen):
    """The tables: defenses, risks and factors by their id, and all interactions."""

    defenses: dict[str, PublishedDefense]
    risks: dict[str, PublishedRisk]
    factors: dict[str, Factor]
    interactions: tuple[Interaction, ...]


@cache
def published() -> Published:
    """Return the tables, read once from the package's own data."""
    text = files("amulet_core.published").joinpath("sok_tables.toml").read_text(encoding="utf-8")
    return Published.model_validate(tomllib.loads(text))


def expected(defense_sok: str | None, risk_sok: str | None) -> Expected | None:
    """Return what was published of a defense (``RD1`` ...) and a risk (``R1`` ...); None where the tables lack one.

    ``first_time`` marks what the SoK of 2024 left unexplored and nobody is known to have measured since.
    """
    tables = published()
    for found in tables.interactions:
        if (found.defense, found.risk) == (defense_sok, risk_sok):
            return Expected(
                effect=found.effect,
                defense=tables.defenses[found.defense].name,
                risk=tables.risks[found.risk].name,
                factors=tuple(found.factors.items()),
                note=found.note,
                measured_since=found.measured_since,
                first_time=found.effect == "unexplored" and not found.measured_since,
            )
    return None


def factors() -> dict[str, Factor]:
    """Return the factors by their id (``D1`` ...), as they appear in ``Expected.factors``."""
    return dict(published().factors)
