"""A resolved request: every component found, every parameter checked. The last word before anything runs."""

from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel, Field

from amulet_core.components import Attack, Defense, Params
from amulet_core.discovery.entries import Entry
from amulet_core.errors import RequestError
from amulet_core.games.table import Game
from amulet_core.results import Member
from amulet_core.settings import TrainingSettings


class DataSettings(Params):
    """How many rows play which part, and whether seeds share them."""

    train: int = Field(1000, ge=10, description="training rows of each model (a pool of twice as many is drawn)")
    val: int = Field(500, ge=10, description="the defender's held-out rows: early stopping, thresholds")
    test: int = Field(4000, ge=10, description="rows for utility, evasion and fairness")
    aux: int = Field(1000, ge=10, description="the adversary's own rows")
    design: Literal["crossed", "disjoint"] = Field(
        "crossed",
        description="crossed: all seeds share one block of rows, and each victim's shadow models are the other seeds' "
        "models (cheap; intervals are widened for it). disjoint: each seed has rows and shadow models of its own",
    )


@dataclass(frozen=True)
class Use:
    """A component with its checked parameters."""

    entry: Entry
    params: BaseModel

    @property
    def id(self) -> str:
        """Return the component's id."""
        return self.entry.id

    def canonical(self) -> dict[str, Any]:
        """Return id and all parameters as JSON: the same use, the same text."""
        return {"name": self.id, "params": self.params.model_dump(mode="json")}

    def member(self) -> Member:
        """Return the use as it stands in results."""
        component = self.entry.component
        return Member(
            id=self.id,
            version=component.version,
            distribution=f"{self.entry.distribution} {self.entry.version}",
            params=self.params.model_dump(mode="json"),
            summary=component.summary,
            references=tuple((reference.title, reference.where) for reference in component.references),
        )


def attack_of(use: Use) -> Attack:
    """Return the descriptor of a used attack."""
    return cast("Attack", use.entry.component)


def defense_of(use: Use) -> Defense:
    """Return the descriptor of a used defense."""
    return cast("Defense", use.entry.component)


@dataclass(frozen=True)
class RowPlan:
    """A row of the matrix: its defenses in stage order. ``path`` is where the configuration asks for it, if it does.

    ``written``: the defenses' names in the configuration's order, where that is another one.
    """

    label: str
    kind: Literal["none", "placebo", "defense"]
    chain: tuple[Use, ...] = ()
    path: str = ""
    written: tuple[str, ...] = ()


def verifiers(row: RowPlan) -> list[Use]:
    """Return the defenses of a row that can verify ownership."""
    return [use for use in row.chain if defense_of(use).verify]


@dataclass(frozen=True)
class RiskPlan:
    """A column of the matrix: the game, its threat model, the attacks (controls included) and metrics."""

    game: Game
    threat: Params
    attacks: tuple[Use, ...]
    metrics: tuple[Use, ...]


@dataclass(frozen=True)
class Request:
    """All that a run needs to know."""

    name: str
    dataset: Use
    model: Use
    training: TrainingSettings
    data: DataSettings
    rows: tuple[RowPlan, ...]
    risks: tuple[RiskPlan, ...]
    seeds: int
    root_seed: int
    threads_per_job: int
    stack: int
    executor: Use
    reporters: tuple[Use, ...]
    members_alone: bool = True

    @property
    def uses(self) -> tuple[Use, ...]:
        """Return every component used, each once, in order of appearance."""
        every = [
            self.dataset,
            self.model,
            self.executor,
            *self.reporters,
            *(use for row in self.rows for use in row.chain),
        ]
        every += [use for risk in self.risks for use in (*risk.attacks, *risk.metrics)]
        return tuple({str(use.canonical()): use for use in every}.values())

    def canonical(self) -> dict[str, Any]:
        """Return the resolved configuration: a valid configuration that spells out every name and parameter."""
        return {
            "name": self.name,
            "dataset": self.dataset.canonical(),
            "model": self.model.canonical(),
            "training": self.training.model_dump(mode="json"),
            "data": self.data.model_dump(mode="json"),
            "defenses": [
                {"label": row.label, "chain": [use.canonical() for use in row.chain]}
                for row in self.rows
                if row.kind == "defense"
            ],
            "members_alone": self.members_alone,
            "risks": {
                risk.game.risk: {
                    "threat": risk.threat.model_dump(mode="json"),
                    "attacks": [use.canonical() for use in risk.attacks],
                    "metrics": [use.canonical() for use in risk.metrics],
                }
                for risk in self.risks
            },
            "seeds": self.seeds,
            "root_seed": self.root_seed,
            "threads_per_job": self.threads_per_job,
            "stack": self.stack,
            "executor": self.executor.canonical(),
            "reporters": [use.canonical() for use in self.reporters],
        }


def load_all(request: Request) -> None:
    """Import the code of every component used, so that what cannot be imported is known before anything runs.

    Raises:
        RequestError: with everything that cannot be imported.
    """
    problems: list[str] = []
    for use in request.uses:
        for target in use.entry.component.targets:
            try:
                use.entry.load(target)
            except RequestError as error:
                problems += error.problems
    if problems:
        raise RequestError(*problems)
