"""The built-in attacks on model ownership, their control, and the metrics of both games of ownership. Light."""

from typing import Final, Literal

from pydantic import Field

from amulet_core.components import Attack, Component, Measure, Metric, Params, Reference
from amulet_core.schema import DataSchema


class ModelExtractionParams(Params):
    """What is asked, and for how long the copy is trained."""

    strategy: Literal["random", "adaptive"] = Field(
        "random", description="which own inputs are asked about: any, or by what answers to inputs like them were worth"
    )
    epochs: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="passes over the answers (default: the steps of training on all own rows, whatever the budget)",
    )
    round: int = Field(
        32, ge=1, le=100_000, description="adaptive: queries asked at once, before the policy is updated"
    )
    clusters: int = Field(
        0, ge=0, le=10_000, description="adaptive: groups of inputs by k-means (0: by the own rows' true classes)"
    )


class EquationSolvingParams(Params):
    """How many queries are spent."""

    oversampling: float = Field(
        2.0, ge=1, le=100, description="queries by unknown of a class: 1 determines the weights, more average rounding"
    )


def _only_adaptive(params: ModelExtractionParams, _schema: DataSchema) -> list[str]:
    if params.clusters and params.strategy == "random":
        return ["clusters are for the adaptive strategy: leave them out, or set strategy to adaptive"]
    if params.clusters == 1:
        return ["one cluster leaves nothing to choose between: ask for 2 or more (0: the own rows' classes)"]
    return []


_PACKAGE: Final = "amulet_plugins_builtin.ownership"
_RISK: Final = "unauthorized-model-ownership"

KNOCKOFF: Final = Reference(
    title="Orekondy et al.: Knockoff Nets: Stealing Functionality of Black-Box Models", where="arXiv:1812.02766"
)
EXTRACTION: Final = Reference(
    title="Jagielski et al.: High Accuracy and High Fidelity Extraction of Neural Networks", where="arXiv:1909.01838"
)
PAIRED: Final = Reference(
    title="Newcombe: Improved Confidence Intervals for the Difference between Binomial Proportions, Paired Data",
    where="Statistics in Medicine 17:2635 (1998)",
)
POOL: Final = Reference(
    title="Szyller et al.: On the Robustness of Dataset Inference (false positives)", where="arXiv:2210.13631"
)

COMPONENTS: tuple[Component, ...] = (
    Attack(
        name="model-extraction",
        summary="Asks the victim about own inputs and trains a copy on the answers, up to the query budget.",
        target=f"{_PACKAGE}.knockoff:attack",
        params=ModelExtractionParams,
        risk=_RISK,
        access="labels",
        applicable=_only_adaptive,
        threat=(
            "The adversary wants a model like the victim's. It knows the architecture and the training settings, has "
            "inputs of the same distribution, and may ask for the victim's answers so many times."
        ),
        checks=f"{_PACKAGE}.theft_checks:model_extraction_checks",
        references=(KNOCKOFF, EXTRACTION),
    ),
    Attack(
        name="equation-solving",
        summary="Solves for the weights of a softmax-linear victim from its probabilities on random inputs.",
        target=f"{_PACKAGE}.equations:attack",
        params=EquationSolvingParams,
        risk=_RISK,
        access="probabilities",
        requires=("affine-logits",),
        threat=(
            "The adversary wants the victim's weights. It knows that the architecture is one affine layer under a "
            "softmax, and may ask so many times for all probabilities, of inputs of its own making."
        ),
        checks=f"{_PACKAGE}.theft_checks:equation_solving_checks",
        references=(
            Reference(
                title="Tramer et al.: Stealing Machine Learning Models via Prediction APIs", where="arXiv:1609.02943"
            ),
        ),
    ),
    Attack(
        name="model-copy",
        summary="Hands back the victim itself, as somebody does who got at its file.",
        target=f"{_PACKAGE}.thieves:model_copy",
        risk=_RISK,
        access="white-box",
        threat="The adversary got at the file of the model, and uses it as it is; it asks nothing.",
        checks=f"{_PACKAGE}.theft_checks:model_copy_checks",
        references=(
            Reference(
                title="Adi et al.: Turning Your Weakness Into a Strength: Watermarking Deep Neural Networks",
                where="arXiv:1802.04633",
            ),
        ),
    ),
    Attack(
        name="independent-model",
        summary="A model of the same architecture trained on the adversary's own labelled rows; it asks nothing.",
        target=f"{_PACKAGE}.thieves:independent_model",
        risk=_RISK,
        access="none",
        control=True,
        threat="Nobody is robbed: the control trains on all of the adversary's own rows, with their true labels.",
        checks=f"{_PACKAGE}.theft_checks:independent_model_checks",
        references=(KNOCKOFF, POOL),
    ),
    Metric(
        name="extraction",
        summary="How often a stolen model agrees with the victim, beyond what an independent model does.",
        target=f"{_PACKAGE}.extraction:measure",
        risk=_RISK,
        measures=(
            Measure(
                name="fidelity_gain",
                summary="fidelity at the primary budget, minus the control's agreement with the victim, same rows",
                better="lower",
            ),
            Measure(
                name="fidelity",
                summary="share of test rows that the stolen model predicts as the victim does, right or wrong",
                better="lower",
            ),
            Measure(name="stolen_accuracy", summary="accuracy of the stolen model", better="lower"),
            Measure(name="victim_accuracy", summary="accuracy of the victim", better="higher"),
            Measure(name="independent_fidelity", summary="the control's agreement with the victim", better="lower"),
            Measure(name="queries", summary="how many inputs the victim was asked about", better="higher"),
        ),
        checks=f"{_PACKAGE}.metric_checks:extraction_checks",
        references=(EXTRACTION, PAIRED),
    ),
    Metric(
        name="verification",
        summary="Which suspects an owner claims, judged against a pool of independent models.",
        target=f"{_PACKAGE}.verification:measure",
        risk="ownership-verification",
        measures=(
            Measure(
                name="true_positive_rate",
                summary="share of the models derived from the victim that are claimed",
                better="higher",
            ),
            Measure(
                name="retrained_claimed",
                summary="share of the models retrained without the defense that are claimed, by mistake",
                better="lower",
            ),
            Measure(
                name="own_p_false_claims",
                summary="share of the independent models that the method's own p-value would claim",
                better="lower",
            ),
            Measure(
                name="accuracy_of_derived",
                summary="mean accuracy of the derived models: what washing the evidence off cost the thief",
                better="lower",
            ),
            Measure(
                name="accuracy_of_independent",
                summary="median accuracy of the independent models: what a thief could have had without stealing",
                better="higher",
            ),
        ),
        checks=f"{_PACKAGE}.metric_checks:verification_checks",
        references=(
            POOL,
            Reference(title="Phipson, Smyth: Permutation P-values Should Never Be Zero", where="arXiv:1603.05766"),
        ),
    ),
)
