"""What a config may set of a privacy audit. Light: imports nothing heavy."""

from typing import Literal, Self

from pydantic import Field, model_validator

from amulet_core.components import Params


class AuditThreat(Params):
    """An auditor plants rows in the training set, each by a fair coin, and guesses the coins from the trained model."""

    canaries: int = Field(100, ge=2, le=1_000_000, description="audit rows; each is trained on with probability 1/2")
    labels: Literal["wrong", "true"] = Field(
        "wrong", description="the audit rows' labels: a random wrong one each (easier to tell), or their own"
    )
    guessed_in: int = Field(25, ge=0, description="how many audit rows of the highest scores are guessed to be in")
    guessed_out: int = Field(25, ge=0, description="how many audit rows of the lowest scores are guessed to be out")
    confidence: float = Field(0.95, ge=0.5, lt=1, description="of the lower bound on epsilon (one-sided)")
    population: int = Field(1000, ge=10, description="how many rows of its own the auditor has (from aux)")

    @property
    def guesses(self) -> int:
        """Return how many coins are guessed; about the other rows the auditor says nothing."""
        return self.guessed_in + self.guessed_out

    @model_validator(mode="after")
    def _guesses_are_about_audit_rows(self) -> Self:
        if not 1 <= self.guesses <= self.canaries:
            raise ValueError(
                f"guessed_in and guessed_out together are {self.guesses}: between 1 and the {self.canaries} canaries "
                "are to be guessed"
            )
        return self
