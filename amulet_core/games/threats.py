"""The threat model of each game (what a config may set) and the table of the games. Light: imports nothing heavy."""

from typing import Annotated, Literal

from pydantic import Field

from amulet_core.components import Params
from amulet_core.vocabulary import Norm, Reconstructed


class EvasionThreat(Params):
    """The adversary changes an input, within a budget, so that its true class is not predicted."""

    norm: Norm = Field(
        "linf", description="the norm in which the budget is measured, after scaling each feature's range to 1"
    )
    epsilon: float = Field(
        0.05, gt=0, le=10, description="the budget of the verdict, as a fraction of each feature's range"
    )
    curve: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field(
        (0.01, 0.02, 0.1), max_length=20, description="further budgets that are measured, for the security curve"
    )
    rows: int = Field(1000, ge=10, description="how many test rows are attacked (all of them, where there are fewer)")

    @property
    def epsilons(self) -> tuple[float, ...]:
        """Return all budgets, ascending, without repetition."""
        return tuple(sorted({self.epsilon, *self.curve}))


class PoisoningThreat(Params):
    """The adversary replaces some training rows, so that inputs with its trigger in them get the class it wants."""

    rate: float = Field(
        0.1, ge=0, le=0.5, description="the largest share of the training rows that may be replaced (0: a clean run)"
    )
    target: str = Field("", description="the class that the adversary wants (empty: the data set's first)")
    rows: int = Field(1000, ge=10, description="how many test rows are asked about, with and without the trigger")


class MembershipThreat(Params):
    """The adversary tells whether a row was among the rows handed to the recipe."""

    shadow: Literal["adaptive", "undefended"] = Field(
        "adaptive", description="whether shadow models are trained with the victim's defenses or without any"
    )
    population: int = Field(1000, ge=10, description="how many rows of its own the adversary has (from aux)")


class DistributionThreat(Params):
    """The adversary tells in which of two shares a value of a sensitive attribute was among a model's training rows.

    P(y) and the number of rows are the same under both hypotheses. Victims train on rows of the pool, the adversary's
    own models on rows of aux, and it asks about rows of test.
    """

    attribute: str = Field("", description="the sensitive attribute (empty: the data set's first)")
    value: str = Field("", description="the value of it whose share is told (empty: the attribute's first)")
    ratios: tuple[Annotated[float, Field(gt=0, lt=1)], Annotated[float, Field(gt=0, lt=1)]] = Field(
        (0.5, 0.2), description="the value's share under the first and the second hypothesis (equal ones: chance)"
    )
    victims: int = Field(8, ge=2, le=1000, description="victims of each hypothesis, for each seed")
    models: int = Field(8, ge=2, le=1000, description="the adversary's own models of each hypothesis, for each seed")
    shadow: Literal["adaptive", "undefended"] = Field(
        "adaptive", description="whether the adversary's models are trained with the victims' defenses or without any"
    )
    rows: int = Field(0, ge=0, description="training rows of every model (0: as many as the data allow at both shares)")
    queries: int = Field(500, ge=20, description="how many rows of each hypothesis the adversary asks about, at most")


class Interface(Params):
    """What the victim's interface tells a thief, and how often."""

    oracle: Literal["probabilities", "top-k", "labels"] = Field(
        "probabilities",
        description="the answer to a query: all probabilities, the largest few, or the class",
    )
    top_k: int = Field(3, ge=1, le=10_000, description="how many probabilities the top-k oracle tells")
    budget: int = Field(500, ge=1, le=10_000_000, description="how many inputs the thief may ask about")


class TheftThreat(Interface):
    """The adversary asks the victim, so many times, and trains a model of its own on the answers."""

    curve: tuple[Annotated[int, Field(ge=1, le=10_000_000)], ...] = Field(
        (100,), max_length=20, description="further budgets that are measured"
    )
    rows: int = Field(1000, ge=10, description="on how many test rows the models are compared")

    @property
    def budgets(self) -> tuple[int, ...]:
        """Return all budgets, ascending, without repetition."""
        return tuple(sorted({self.budget, *self.curve}))


class VerificationThreat(Interface):
    """Thieves copy or imitate the victim, and try to wash the copy clean; the owner says which models are its own."""

    fpr: float = Field(0.05, gt=0, le=0.5, description="the share of independent models that may be claimed by mistake")
    independent: int = Field(
        20, ge=4, le=2000, multiple_of=2, description="independent models, half with the defense, half without"
    )
    fine_tuning_epochs: int = Field(
        10, ge=1, le=10_000, description="passes over its own labelled rows in which a thief fine-tunes a stolen model"
    )
    pruned: float = Field(0.5, gt=0, lt=1, description="the share of a stolen model's weights that is set to zero")


class AttributeThreat(Params):
    """The adversary infers a sensitive attribute of rows from all else it knows of them and what the victim says."""

    attribute: str = Field("", description="the sensitive attribute to infer (empty: the data set's first)")
    knows: Literal["row", "class"] = Field(
        "row",
        description="what it knows beside the victim's outputs: the rest of the row and its class, or its class alone",
    )
    without: tuple[str, ...] = Field(
        (),
        max_length=1000,
        description="columns of x that the adversary does not know (the victim does), such as those that all but tell",
    )
    candidates: int = Field(
        2000,
        # Two values are told apart from 30 rows of each.
        ge=60,
        multiple_of=2,
        description="how many rows are asked about, half of them members (at most the pool)",
    )
    aux: int = Field(1000, ge=10, description="how many rows of its own, with the attribute, the adversary has")


class ReconstructionThreat(Params):
    """The adversary hands back inputs like those that the victim was trained on."""

    verdict: Reconstructed = Field(
        "row",
        description="which attacks the verdict is about: those that reconstruct rows from the victim's outputs, a "
        "typical input of each class, or the batch behind a gradient; the others are shown beside them",
    )
    rows: int = Field(
        400, ge=10, description="row: how many rows are reconstructed, half of them training rows (at most all)"
    )
    gradients: int = Field(8, ge=1, le=1000, description="batch: how many gradients are released")
    batch: int = Field(1, ge=1, le=256, description="batch: how many training rows are behind each gradient")
    taken_at: Literal["start", "end"] = Field(
        "start", description="batch: whether gradients are taken at the initial weights (a first round) or at the last"
    )


class DiscriminationThreat(Params):
    """No adversary: the model's own behaviour on the groups of a sensitive attribute."""

    attribute: str = Field("", description="the sensitive attribute (empty: the data set's first)")


class UtilityThreat(Params):
    """No adversary: how well the model does its work."""
