"""What the built-in plugin offers against evasion beside adversarial training. Light: imports nothing heavy."""

from typing import Final, Self

from pydantic import Field, model_validator

from amulet_core.components import Component, Defense, Params, Reference
from amulet_core.planned import Planned
from amulet_core.schema import DataSchema
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.evasion import something_can_change

EARLY_STOPPING: Final = (
    "early stopping would keep the weights of before the budget has grown, whose plain loss is least: "
)


class TradesParams(Params):
    """How TRADES weighs and searches the neighbours where a model answers otherwise."""

    beta: float = Field(
        6.0, gt=0, le=1000, description="what the divergence at the worst neighbour counts (1 / lambda)"
    )
    norm: Norm = Field("linf", description="the norm of the budget, after scaling each feature's range to 1")
    epsilon: float = Field(0.05, gt=0, le=10, description="the budget, as a fraction of each feature's range")
    steps: int = Field(7, ge=1, le=1000, description="gradient steps of the inner maximisation")
    relative_step: float | None = Field(
        None, gt=0, le=10, description="length of a step as a fraction of the budget (none: 2.5 / steps)"
    )


class IbpParams(Params):
    """How training with interval bounds weighs them, and how their budget grows."""

    norm: Norm = Field("linf", description="the norm of the budget, after scaling each feature's range to 1")
    epsilon: float = Field(0.05, gt=0, le=10, description="the budget, as a fraction of each feature's range")
    kappa: float = Field(
        0.5, ge=0, le=1, description="what the plain loss counts in the end; the bounds' loss the rest"
    )
    warmup: float = Field(0.05, ge=0, le=0.9, description="share of the steps that are plain training, at first")
    ramp: float = Field(0.5, gt=0, le=1, description="share of the steps in which budget and weights then change")

    @model_validator(mode="after")
    def _the_budget_is_reached(self) -> Self:
        if self.warmup + self.ramp > 1 + 1e-9:
            raise ValueError(
                f"warmup {self.warmup:g} and ramp {self.ramp:g} are shares of the same steps, but sum to more than 1: "
                "the budget would never be reached"
            )
        return self


def _stopped_early(params: IbpParams, planned: Planned) -> list[str]:  # noqa: ARG001 - whatever the settings
    return [EARLY_STOPPING + "set training.patience to 0"] if planned.training.patience else []


def _beside_early_stopping(params: IbpParams, chain: tuple[Defense, ...]) -> list[str]:  # noqa: ARG001 - whatever the settings
    return [EARLY_STOPPING + "leave early-stopping out"] if any(one.name == "early-stopping" for one in chain) else []


class SmoothingParams(Params):
    """How much noise smooths a model, and how many draws answer and certify."""

    sigma: float = Field(
        0.25, gt=0, le=10, description="standard deviation of the noise, as a fraction of each feature's range"
    )
    draws: int = Field(
        32, ge=1, le=10_000, description="draws of noise over which the model's probabilities are averaged"
    )
    guess_draws: int = Field(
        100,
        ge=1,
        le=100_000,
        description="votes, drawn by their probabilities, that guess the class",
    )
    certify_draws: int = Field(1000, ge=2, le=1_000_000, description="other votes, which bound its mean probability")
    alpha: float = Field(0.001, gt=0, lt=0.5, description="probability that a row's certificate may be wrong")


def something_is_noisy(params: Params, schema: DataSchema) -> list[str]:  # noqa: ARG001 - true whatever the settings
    """Say why no feature could be smoothed, if so."""
    feasible = schema.feasible
    still = {*feasible.immutable, *(feature for group in feasible.one_hot for feature in group)}
    return (
        ["every feature of this data set is immutable or of a one-hot group: there is none to add noise to"]
        if len(still) == schema.width
        else []
    )


_CHECKS: Final = "amulet_plugins_builtin.evasion.checks_of_defenses"

COMPONENTS: tuple[Component, ...] = (
    Defense(
        name="trades",
        summary="Learn to answer alike on each row and on the neighbour where the answer differs most.",
        target="amulet_plugins_builtin.evasion.trades:train",
        stages={"training": "amulet_plugins_builtin.evasion.trades:train"},
        params=TradesParams,
        risk="evasion",
        sok="RD1",
        stacks_inputs=True,
        references=(
            Reference(
                title="Theoretically Principled Trade-off between Robustness and Accuracy", where="arXiv:1901.08573"
            ),
        ),
        applicable=something_can_change,
        checks=f"{_CHECKS}:trades_checks",
    ),
    Defense(
        name="ibp",
        summary="Learn with interval bounds of the logits within a budget, which also certify predictions.",
        target="amulet_plugins_builtin.evasion.ibp:train",
        stages={"training": "amulet_plugins_builtin.evasion.ibp:train"},
        params=IbpParams,
        risk="evasion",
        sok="RD1",
        requires=("interval-bounds",),
        clippable=False,
        beside=_beside_early_stopping,
        impossible=_stopped_early,
        certify="amulet_plugins_builtin.evasion.ibp:certify",
        references=(
            Reference(
                title="On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models",
                where="arXiv:1810.12715",
            ),
        ),
        applicable=something_can_change,
        checks=f"{_CHECKS}:ibp_checks",
    ),
    Defense(
        name="randomized-smoothing",
        summary="Train on noisy rows, answer by the mean over draws of noise, and certify a radius in L2.",
        target="amulet_plugins_builtin.evasion.smoothing:train",
        stages={
            "training": "amulet_plugins_builtin.evasion.smoothing:train",
            "model": "amulet_plugins_builtin.evasion.smoothing:smooth",
        },
        params=SmoothingParams,
        risk="evasion",
        rebuild="amulet_plugins_builtin.evasion.smoothing:rebuild",
        unmakes=("affine-logits",),
        certify="amulet_plugins_builtin.evasion.smoothing:certify",
        references=(
            Reference(title="Certified Adversarial Robustness via Randomized Smoothing", where="arXiv:1902.02918"),
            Reference(
                title="Provably Robust Deep Learning via Adversarially Trained Smoothed Classifiers (lemma 2)",
                where="arXiv:1906.04584",
            ),
        ),
        applicable=something_is_noisy,
        checks="amulet_plugins_builtin.evasion.checks_of_smoothing:smoothing_checks",
    ),
)
