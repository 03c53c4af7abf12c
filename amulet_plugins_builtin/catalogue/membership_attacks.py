"""More built-in membership inference attacks: descriptors and parameters. Imports nothing heavy."""

from typing import Literal

from pydantic import Field

from amulet_core.components import Attack, Component, LabRequest, NoParams, Params, Reference
from amulet_core.planned import Planned
from amulet_core.schema import DataSchema
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.evasion import MADRY, something_can_change

_SHADOW_MODELS = "how many shadow models; each candidate trained half of them"
_RATE = "share of the adversary's own rows, no members, that the threshold takes for members"


class EntropyParams(Params):
    """The settings of the entropy attack."""

    shadow_models: int = Field(8, ge=2, le=1024, multiple_of=2, description=_SHADOW_MODELS)


class ConfidenceAdversarialParams(Params):
    """Where the confidence is read, how adversarial examples are found, and what the threshold comes from."""

    inputs: Literal["benign", "adversarial"] = Field(
        "adversarial", description="read the confidence at the rows themselves, or at their adversarial examples"
    )
    threshold: Literal["shadow", "class", "oracle"] = Field(
        "class",
        description="shadow: one, the most accurate on shadow models; class: one for each class; oracle: none is fixed "
        "beforehand, only the best in hindsight is shown. Adversarial inputs: from the adversary's own rows, as its "
        "shadow models are known by their answers alone",
    )
    norm: Norm = Field("linf", description="the norm of the budget, after scaling each feature's range to 1")
    epsilon: float = Field(
        0.05, gt=0, le=10, description="the budget of the adversarial examples, as a fraction of each feature's range"
    )
    steps: int = Field(10, ge=1, le=1000, description="gradient steps towards an adversarial example")
    relative_step: float | None = Field(
        None, gt=0, le=10, description="length of a step as a fraction of the budget (none: 2.5 / steps)"
    )
    shadow_models: int = Field(
        8, ge=2, le=1024, multiple_of=2, description=f"benign inputs, unless oracle: {_SHADOW_MODELS}"
    )
    false_positive_rate: float = Field(0.5, gt=0, lt=1, description=f"adversarial inputs: {_RATE}")


class QuantileParams(Params):
    """The settings of the quantile attack."""

    false_positive_rate: float = Field(0.5, gt=0, lt=1, description=f"one minus the level of the quantile: {_RATE}")
    components: int = Field(32, ge=1, le=1000, description="images: how many principal components stand for the pixels")
    trees: int = Field(100, ge=1, le=10_000, description="how many trees are boosted")
    leaves: int = Field(8, ge=2, le=1000, description="the leaves of each tree, at most")


def _lab(params: EntropyParams, schema: DataSchema) -> tuple[LabRequest, ...]:  # noqa: ARG001 (any data)
    return (LabRequest(models=params.shadow_models),)


def _lab_of_benign_inputs(params: ConfidenceAdversarialParams, schema: DataSchema) -> tuple[LabRequest, ...]:  # noqa: ARG001
    if params.inputs == "adversarial" or params.threshold == "oracle":
        return ()
    return (LabRequest(models=params.shadow_models),)


def _adversarial_problems(params: ConfidenceAdversarialParams, schema: DataSchema) -> list[str]:
    return something_can_change(params, schema) if params.inputs == "adversarial" else []


def own_row_problems(params: QuantileParams, rows: int) -> list[str]:
    """List why the quantile attack cannot learn its quantile from so many rows of the adversary's own."""
    rate = params.false_positive_rate
    if rows * min(rate, 1 - rate) >= 1:
        return []
    return [
        f"a quantile at the false positive rate {rate:g} cannot be told from {rows} rows of the adversary's own: raise "
        "population (and data.aux, which they are of), or move false_positive_rate towards 0.5"
    ]


def _too_few_of_its_own(params: QuantileParams, planned: Planned) -> list[str]:
    return own_row_problems(params, min(planned.aux, getattr(planned.threat, "population", planned.aux)))


_PACKAGE = "amulet_plugins_builtin.membership"
_RISK = "membership-inference"
_GOAL = "Tells members of the training rows from rows of the same distribution."

COMPONENTS: tuple[Component, ...] = (
    Attack(
        name="gap",
        summary="Whether the victim classifies a row correctly: what the gap between training and test accuracy tells.",
        target=f"{_PACKAGE}.gap:attack",
        params=NoParams,
        risk=_RISK,
        access="labels",
        threat=f"{_GOAL} Knows the class that the victim predicts, and the true labels.",
        references=(
            Reference(
                title="Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting",
                where="arXiv:1709.01604",
            ),
            Reference(title="Label-Only Membership Inference Attacks", where="arXiv:2007.14321"),
        ),
        checks=f"{_PACKAGE}.attack_checks:gap",
    ),
    Attack(
        name="entropy",
        summary="Modified prediction entropy of the victim's output, against each class's threshold on shadow models.",
        target=f"{_PACKAGE}.entropy:attack",
        params=EntropyParams,
        risk=_RISK,
        access="probabilities",
        threat=(
            f"{_GOAL} Knows the probabilities that the victim gives, the true labels, and shadow models trained by the "
            "victim's recipe on rows drawn likewise."
        ),
        references=(
            Reference(
                title="Systematic Evaluation of Privacy Risks of Machine Learning Models", where="arXiv:2003.10595"
            ),
        ),
        checks=f"{_PACKAGE}.attack_checks:entropy",
        needs=_lab,
    ),
    Attack(
        name="confidence-adversarial",
        summary="The victim's confidence in the true label at a row's adversarial example, or at the row itself.",
        target=f"{_PACKAGE}.confidence_adversarial:attack",
        params=ConfidenceAdversarialParams,
        risk=_RISK,
        access="white-box",
        threat=(
            f"{_GOAL} Knows the whole model beneath its wrappers, the true labels, and rows of its own; for benign "
            "inputs the released probabilities, and shadow models trained by the victim's recipe."
        ),
        references=(
            Reference(
                title="Privacy Risks of Securing Machine Learning Models against Adversarial Examples",
                where="arXiv:1905.10291",
            ),
            MADRY,
        ),
        applicable=_adversarial_problems,
        checks=f"{_PACKAGE}.attack_checks:confidence_adversarial",
        needs=_lab_of_benign_inputs,
    ),
    Attack(
        name="quantile",
        summary="The victim's confidence on a row against a quantile foretold for it from rows that are no members.",
        target=f"{_PACKAGE}.quantile:attack",
        params=QuantileParams,
        risk=_RISK,
        access="probabilities",
        threat=(
            f"{_GOAL} Knows the probabilities that the victim gives, the true labels, and rows of its own; no shadow "
            "models, and nothing of how the victim was trained."
        ),
        references=(
            Reference(title="Scalable Membership Inference Attacks via Quantile Regression", where="arXiv:2307.03694"),
        ),
        impossible=_too_few_of_its_own,
        checks=f"{_PACKAGE}.attack_checks:quantile",
    ),
)
