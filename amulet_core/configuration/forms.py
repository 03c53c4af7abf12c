"""The shapes of a configuration's levels, each key described, and where a key that stands elsewhere belongs. Light."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from amulet_core.components import Params
from amulet_core.configuration.request import DataSettings
from amulet_core.games.table import GAMES
from amulet_core.settings import TrainingSettings

Label = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
"""How the report calls a row; blanks around it are left out, and one of blanks alone is none."""


class Shell(Params):
    """The outermost level of a configuration."""

    name: str = Field("amulet", min_length=1, max_length=80, description="the run's name, shown in the report")
    dataset: Any = Field(description="the data set: a name, or {name, params}")
    model: Any = Field("mlp", description="the architecture: a name, or {name, params}")
    training: Any = Field(default_factory=dict, description="how models are trained")
    data: Any = Field(default_factory=dict, description="how many rows play which part")
    defenses: list[Any] = Field(
        default_factory=list,
        description="the rows: each a defense (a name, or {name, params, label}), a chain of them (a list), or "
        "{label, chain}",
    )
    members_alone: bool = Field(
        True, description="whether each defense of a chain is also measured alone, in a row before the chain's"
    )
    risks: Any = Field(description="the columns: a list of risks, or a mapping from risk to {threat, attacks, metrics}")
    seeds: int = Field(
        5, ge=1, le=1000, description="how many victims are trained for each row (5 or more for verdicts)"
    )
    root_seed: int = Field(0, ge=0, description="the seed that all draws are derived from")
    threads_per_job: int = Field(1, ge=1, description="threads a job may use; another number gives other last bits")
    stack: int = Field(16, ge=1, description="how many models are trained at once, where the architecture allows it")
    executor: Any = Field("inline", description="what runs the jobs: a name, or {name, params}")
    reporters: list[Any] = Field(
        default_factory=list, description="what else writes the results: each a name, or {name, params}"
    )


class UseForm(Params):
    """A component as a mapping."""

    name: str = Field(description="the component's name, or plugin/name")
    params: dict[str, Any] = Field(default_factory=dict, description="its parameters")


class AloneForm(UseForm):
    """A row of one defense as a mapping."""

    label: Label = Field("", description="how the report calls the row")


class RowForm(Params):
    """A row of several defenses as a mapping."""

    label: Label = Field("", description="how the report calls the row")
    chain: Any = Field(description="the defenses of the row, applied together")


class RiskForm(Params):
    """A column as a mapping."""

    threat: Any = Field(default_factory=dict, description="the threat model")
    attacks: list[Any] | None = Field(None, description="the attacks (absent: the risk's built-in ones)")
    metrics: list[Any] | None = Field(None, description="the metrics (absent: the risk's built-in ones)")


Places = Mapping[str, type[BaseModel]]
"""Sections of a configuration, by their dotted path (empty: the outermost level)."""


def places_of(raw: Mapping[str, Any]) -> Places:
    """Return the sections that a configuration may have, with those of the risks that it names."""
    places: dict[str, type[BaseModel]] = {"": Shell, "training": TrainingSettings, "data": DataSettings}
    risks = raw.get("risks")
    for risk in risks if isinstance(risks, dict | list) else ():
        if isinstance(risk, str) and risk in GAMES:
            places |= {f"risks.{risk}": RiskForm, f"risks.{risk}.threat": GAMES[risk].threat}
    return places


def belongs(key: str, path: str, places: Places) -> str:
    """Continue a sentence about a key that is unknown at ``path``: where to write it, or nothing if nobody knows it.

    A section of the same row or column is meant rather than any other.
    """
    near = ".".join(path.split(".")[:2])
    there = [place for place, form in places.items() if place != path and key in form.model_fields]
    meant = [place for place in there if f"{place}.".startswith(f"{near}.")] or there
    where = " or ".join(f"{place}.{key}" if place else key for place in meant[:3])
    return f"; write it as {where}." if meant else ""
