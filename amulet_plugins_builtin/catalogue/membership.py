"""The built-in membership inference attacks and their metric: descriptors and parameters. Imports nothing heavy."""

from typing import Literal

from pydantic import Field

from amulet_core.components import Attack, Component, LabRequest, Measure, Metric, NoParams, Params, Reference
from amulet_core.schema import DataSchema


class LiraParams(Params):
    """The settings of LiRA."""

    shadow_models: int = Field(
        8, ge=2, le=1024, multiple_of=2, description="how many shadow models; each candidate trained half of them"
    )
    mode: Literal["auto", "online", "offline"] = Field(
        "auto", description="online: IN against OUT models; offline: OUT models alone; auto: offline below 32 models"
    )
    variance: Literal["auto", "shared", "per-sample"] = Field(
        "auto", description="one variance for all candidates or one for each; auto: shared below 64 models"
    )


class RmiaParams(Params):
    """The settings of RMIA."""

    shadow_models: int = Field(
        8, ge=2, le=1024, multiple_of=2, description="how many shadow models; each candidate trained half of them"
    )
    mode: Literal["auto", "online", "offline"] = Field(
        "auto", description="online: IN and OUT models; offline: OUT models alone; auto: online where the lab has both"
    )
    gamma: float = Field(
        1.0, ge=1, le=1000, description="how many times likelier a candidate must be than a population row, at least"
    )
    a: float = Field(0.3, ge=0, le=1, description="offline only: Pr(x) is taken to be ((1 + a) Pr_OUT(x) + 1 - a) / 2")


class LossThresholdParams(Params):
    """The settings of the loss attack; its ranking of the candidates has none."""

    false_positive_rate: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="share of the adversary's own rows, no members, that the threshold takes for members",
    )


class MembershipMetricParams(Params):
    """The settings of the membership metric."""

    resamples: int = Field(2000, ge=100, le=100_000, description="bootstrap resamples of the TPR at fixed FPR")
    permutations: int = Field(1000, ge=20, le=100_000, description="permutations of the oracle's null")


def _lira_problems(params: LiraParams, schema: DataSchema) -> list[str]:  # noqa: ARG001 (it works on any data)
    if params.variance != "per-sample" or params.shadow_models >= 4:
        return []
    problem = (
        f"a variance for each candidate needs two OUT models of it, but {params.shadow_models} shadow models leave "
        "one: set shadow_models to 4 or more, or variance to shared"
    )
    return [problem]


def _shadow_models(params: LiraParams | RmiaParams, schema: DataSchema) -> tuple[LabRequest, ...]:  # noqa: ARG001 (any data)
    return (LabRequest(models=params.shadow_models),)


_PACKAGE = "amulet_plugins_builtin.membership"
_RISK = "membership-inference"
_SHADOWS = (
    "Tells members of the training rows from rows of the same distribution. Knows the probabilities that the victim "
    "gives, the true labels, and shadow models trained by the victim's recipe on rows drawn likewise."
)

COMPONENTS: tuple[Component, ...] = (
    Attack(
        name="lira",
        summary="Likelihood ratio of the victim's confidence under Gaussians fitted to shadow models, row by row.",
        target=f"{_PACKAGE}.lira:attack",
        params=LiraParams,
        risk=_RISK,
        access="probabilities",
        threat=_SHADOWS,
        references=(Reference(title="Membership Inference Attacks From First Principles", where="arXiv:2112.03570"),),
        checks=f"{_PACKAGE}.checks:lira",
        applicable=_lira_problems,
        needs=_shadow_models,
    ),
    Attack(
        name="rmia",
        summary="Share of population rows that a candidate beats in likelihood ratio, each relative to shadow models.",
        target=f"{_PACKAGE}.rmia:attack",
        params=RmiaParams,
        risk=_RISK,
        access="probabilities",
        threat=_SHADOWS,
        references=(Reference(title="Low-Cost High-Power Membership Inference Attacks", where="arXiv:2312.03262"),),
        checks=f"{_PACKAGE}.checks:rmia",
        needs=_shadow_models,
    ),
    Attack(
        name="loss-threshold",
        summary="The victim's loss alone: the likelier a row's true label, the likelier it was trained on.",
        target=f"{_PACKAGE}.loss_threshold:attack",
        params=LossThresholdParams,
        risk=_RISK,
        access="probabilities",
        threat=(
            "Tells members of the training rows from rows of the same distribution. Knows the probabilities that the "
            "victim gives, the true labels, and rows of its own."
        ),
        references=(
            Reference(
                title="Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting",
                where="arXiv:1709.01604",
            ),
            Reference(
                title="Enhanced Membership Inference Attacks against Machine Learning Models", where="arXiv:2111.09679"
            ),
        ),
        checks=f"{_PACKAGE}.checks:loss_threshold",
    ),
    Attack(
        name="random-score",
        summary="The control: a uniform random score for each candidate, which knows nothing of the victim.",
        target=f"{_PACKAGE}.random_score:attack",
        params=NoParams,
        risk=_RISK,
        access="none",
        control=True,
        threat="Guesses. The floor that every other attack is shown beside.",
        references=(
            Reference(
                title="Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting",
                where="arXiv:1709.01604",
            ),
        ),
        checks=f"{_PACKAGE}.checks:random_score",
    ),
    Metric(
        name="membership",
        summary="How well scores part members from non-members: AUC, TPR at low FPR, balanced accuracy, ROC curve.",
        target=f"{_PACKAGE}.metric:measure",
        params=MembershipMetricParams,
        risk=_RISK,
        measures=(
            Measure(name="auc", summary="area under the ROC curve", better="lower"),
            Measure(name="tpr_at_1_percent_fpr", summary="true positive rate at 1 % false positives", better="lower"),
            Measure(
                name="tpr_at_0_1_percent_fpr", summary="true positive rate at 0.1 % false positives", better="lower"
            ),
            Measure(
                name="balanced_accuracy",
                summary="balanced accuracy at the threshold that the attack fixed beforehand",
                better="lower",
            ),
            Measure(
                name="best_balanced_accuracy",
                summary="oracle: balanced accuracy at the best threshold in hindsight",
                better="lower",
            ),
        ),
        references=(
            Reference(title="Membership Inference Attacks From First Principles", where="arXiv:2112.03570"),
            Reference(
                title="Comparing the Areas under Two or More Correlated ROC Curves (DeLong et al.)",
                where="doi:10.2307/2531595",
            ),
        ),
        checks=f"{_PACKAGE}.metric_checks:metric",
    ),
)
