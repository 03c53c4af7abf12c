"""What the built-in plugin offers on evasion. Light: imports nothing heavy."""

from typing import Final, Literal

from pydantic import Field

from amulet_core.components import Attack, Component, Defense, Measure, Metric, Params, Reference
from amulet_core.schema import DataSchema
from amulet_core.vocabulary import Norm

MADRY: Final = Reference(
    title="Towards Deep Learning Models Resistant to Adversarial Attacks", where="arXiv:1706.06083"
)
AUTOATTACK: Final = Reference(
    title="Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks",
    where="arXiv:2003.01690",
)
CARLINI: Final = Reference(title="Towards Evaluating the Robustness of Neural Networks", where="arXiv:1608.04644")
OBFUSCATED: Final = Reference(title="Obfuscated Gradients Give a False Sense of Security", where="arXiv:1802.00420")
WILSON: Final = Reference(
    title="Probable Inference, the Law of Succession, and Statistical Inference",
    where="doi:10.1080/01621459.1927.10502953",
)


class PgdParams(Params):
    """How projected gradient descent searches."""

    steps: int = Field(20, ge=1, le=10_000, description="gradient steps of each climb")
    relative_step: float | None = Field(
        None, gt=0, le=10, description="length of a step as a fraction of the budget (none: 2.5 / steps)"
    )
    restarts: int = Field(
        2, ge=1, le=1000, description="climbs: the first starts from the row itself, the others from random points"
    )
    loss: Literal["ce", "margin"] = Field("ce", description="what is climbed: cross-entropy, or the logit margin")
    early_stop: bool = Field(
        True, description="leave rows alone once they are fooled (false: go on to the largest loss in the budget)"
    )
    masked_share: float = Field(
        0.1, ge=0, le=1, description="warn of masked gradients if a larger share of the rows has a zero gradient"
    )


class AdversarialTrainingParams(Params):
    """How the worst neighbours are searched that adversarial training learns from."""

    norm: Norm = Field("linf", description="the norm of the budget, after scaling each feature's range to 1")
    epsilon: float = Field(0.05, gt=0, le=10, description="the budget, as a fraction of each feature's range")
    steps: int = Field(7, ge=1, le=1000, description="gradient steps of the inner maximisation")
    relative_step: float | None = Field(
        None, gt=0, le=10, description="length of a step as a fraction of the budget (none: 2.5 / steps)"
    )
    mix: float = Field(1.0, ge=0, le=1, description="share of the rows that are replaced by their worst neighbour")


def something_can_change(params: Params, schema: DataSchema) -> list[str]:  # noqa: ARG001 - true whatever the settings
    """Say why no input could be changed, if so."""
    feasible = schema.feasible
    fixed = set(feasible.immutable)
    for group in feasible.one_hot:
        if len(group) < 2 or fixed & set(group):
            fixed |= set(group)
    return (
        ["every feature of this data set is immutable: no input can be changed"] if len(fixed) == schema.width else []
    )


COMPONENTS: tuple[Component, ...] = (
    Attack(
        name="pgd",
        summary="Projected gradient descent on the true label's loss, with restarts, in linf or L2.",
        target="amulet_plugins_builtin.evasion.pgd:attack",
        params=PgdParams,
        risk="evasion",
        access="white-box",
        threat=(
            "The adversary knows the whole model and a row's true label, and changes the row within a budget, so that "
            "another class is predicted."
        ),
        references=(MADRY, CARLINI, OBFUSCATED),
        applicable=something_can_change,
        checks="amulet_plugins_builtin.evasion.checks:pgd_checks",
    ),
    Attack(
        name="random-noise",
        summary="A single random point within the budget: the control of the attacks on evasion.",
        target="amulet_plugins_builtin.evasion.random_noise:attack",
        risk="evasion",
        access="none",
        control=True,
        threat="The adversary knows nothing of the model and changes a row at random within a budget.",
        references=(AUTOATTACK,),
        applicable=something_can_change,
        checks="amulet_plugins_builtin.evasion.checks:random_noise_checks",
    ),
    Defense(
        name="adversarial-training",
        summary="Learn from each row's worst neighbour within a budget, found by projected gradient descent.",
        target="amulet_plugins_builtin.evasion.adversarial_training:train",
        stages={"training": "amulet_plugins_builtin.evasion.adversarial_training:train"},
        params=AdversarialTrainingParams,
        risk="evasion",
        sok="RD1",
        references=(MADRY,),
        applicable=something_can_change,
        checks="amulet_plugins_builtin.evasion.checks:adversarial_training_checks",
    ),
    Metric(
        name="robustness",
        summary="Accuracy under attack at each budget, and the attack's success rate on rows that were correct.",
        target="amulet_plugins_builtin.evasion.robustness:measure",
        risk="evasion",
        measures=(
            Measure(
                name="robust_accuracy",
                summary="share of rows classified correctly whatever the attack found within the primary budget",
                better="higher",
            ),
            Measure(name="clean_accuracy", summary="share of unchanged rows classified correctly", better="higher"),
            Measure(
                name="success_rate",
                summary="share of the rows classified correctly before that are not any more",
                better="lower",
            ),
            Measure(
                name="certified_accuracy",
                summary="share of rows that a defense proves right, whatever is done within the primary budget",
                better="higher",
            ),
        ),
        references=(WILSON, AUTOATTACK),
        checks="amulet_plugins_builtin.evasion.checks:robustness_checks",
    ),
)
