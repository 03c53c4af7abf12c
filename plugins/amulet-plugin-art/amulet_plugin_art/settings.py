"""The settings of the attacks. Light."""

from typing import Annotated, Literal, Self

from amulet_core.components import Params
from pydantic import Field, model_validator

Starts = Annotated[
    int, Field(ge=1, le=10_000, description="random inputs among which a search looks for its start, for each row")
]
Evaluations = Annotated[
    int,
    Field(
        ge=2,
        le=100_000,
        description="labels that estimate a direction at the first step; later ones take sqrt(step) times as many",
    ),
]
Queries = Annotated[int, Field(ge=10, le=10_000_000, description="queries on behalf of a row and a budget, at most")]


class _WalkParams(Params):
    """Settings of which the fewest queries that a walk along the boundary takes are known."""

    evaluations: Evaluations
    starts: Starts
    queries: Queries

    @model_validator(mode="after")
    def _enough_for_a_step(self) -> Self:
        fewest = 2 * self.starts + self.evaluations
        if self.queries < fewest:
            raise ValueError(
                f"{self.queries} queries do not suffice for {self.starts} random starts, as many rows of other classes "
                f"and {self.evaluations} evaluations: a row that is not fooled for want of queries would look robust. "
                f"Raise queries to {fewest} or more, or lower starts or evaluations"
            )
        return self


class HopSkipJumpParams(_WalkParams):
    """The settings of HopSkipJump; the toolbox takes 50 steps that begin with 100 evaluations."""

    steps: int = Field(5, ge=1, le=1000, description="steps along the boundary")
    evaluations: Evaluations = 50
    starts: Starts = 50
    queries: Queries = 2000


class SimbaParams(Params):
    """The settings of SimBA on single features; the toolbox takes 3000 steps of .1."""

    steps: int = Field(500, ge=1, le=1_000_000, description="features tried, in random order, each up and down")
    relative_step: float | None = Field(
        None,
        gt=0,
        le=1,
        description="how far a feature is moved, as a fraction of the budget (none: 1 in linf, .2 in L2)",
    )
    queries: Queries = 2000


class CleanLabelParams(Params):
    """The settings of the clean-label backdoor; budgets and steps are fractions of the pixels' range.

    The toolbox takes 100 steps of .1 within .3.
    """

    epsilon: float = Field(0.3, gt=0, le=1, description="how far a poisoned row's pixels are moved, in linf")
    steps: int = Field(20, ge=1, le=1000, description="gradient steps that make a poisoned row hard to classify")
    relative_step: float = Field(0.2, gt=0, le=1, description="length of a step as a fraction of epsilon")
    proxy_epochs: int = Field(20, ge=1, le=1000, description="passes in which the adversary trains a model of its own")


class CopycatParams(Params):
    """The settings of Copycat."""

    epochs: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="passes over the answers (none: as many steps as the victim took on all rows)",
    )


class ShadowClassifierParams(Params):
    """The settings of the classifier of members."""

    classifier: Literal["gb", "rf", "dt", "knn"] = Field(
        "gb",
        description="what tells members from others: boosted trees, a random forest, one tree or nearest neighbours",
    )
    shadow_models: int = Field(
        8, ge=2, le=1024, multiple_of=2, description="how many shadow models; each candidate trained half of them"
    )
    rows: int = Field(
        4000, ge=20, le=10_000_000, description="answers of shadow models that it learns from, half of members, at most"
    )


class BoundaryDistanceParams(_WalkParams):
    """The settings of the label-only attack; HopSkipJump finds the distances, in L2."""

    steps: int = Field(2, ge=1, le=1000, description="steps along the boundary (more rank candidates better)")
    evaluations: Evaluations = 20
    starts: Starts = 20
    queries: Queries = 1000
