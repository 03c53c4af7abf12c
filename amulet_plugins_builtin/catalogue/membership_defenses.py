"""The built-in defenses against membership inference but DP-SGD: descriptors and parameters. Imports nothing heavy."""

from pydantic import Field

from amulet_core.components import Component, Defense, Params, Reference


class LabelSmoothingParams(Params):
    """The settings of label smoothing."""

    smoothing: float = Field(
        0.1, gt=0, lt=1, description="the share of each label that is spread evenly over all classes"
    )


class EarlyStoppingParams(Params):
    """The settings of early stopping."""

    patience: int = Field(
        5, ge=1, le=10_000, description="stop after so many epochs without a better loss on val, and keep the best"
    )


class WeightDecayParams(Params):
    """The settings of the L2 penalty."""

    weight_decay: float = Field(0.003, gt=0, le=10, description="added to the training settings' weight_decay")


class OutputNoiseParams(Params):
    """The settings of output noise."""

    budget: float = Field(
        2.0,
        gt=0,
        le=2,
        description="the largest expected L1 distance between a row's released and true probabilities; rows are "
        "released as they are where it does not suffice (2: never)",
    )


_PACKAGE = "amulet_plugins_builtin.membership"
_RISK = "membership-inference"
_REGULARIZATION = Reference(
    title="On the Effectiveness of Regularization Against Membership Inference Attacks", where="arXiv:2006.05336"
)
_BENCHMARK = Reference(
    title="Systematic Evaluation of Privacy Risks of Machine Learning Models", where="arXiv:2003.10595"
)

COMPONENTS: tuple[Component, ...] = (
    Defense(
        name="label-smoothing",
        summary="Train towards labels of which a share is spread evenly over all classes, so that none becomes sure.",
        target=f"{_PACKAGE}.label_smoothing:train",
        stages={"training": f"{_PACKAGE}.label_smoothing:train"},
        params=LabelSmoothingParams,
        risk=_RISK,
        checks=f"{_PACKAGE}.defense_checks:label_smoothing",
        references=(
            Reference(
                title="Szegedy et al.: Rethinking the Inception Architecture for Computer Vision",
                where="arXiv:1512.00567",
            ),
            _REGULARIZATION,
        ),
    ),
    Defense(
        name="early-stopping",
        summary="Stop training when the loss on held-out rows gets no better, and keep the best weights.",
        target=f"{_PACKAGE}.early_stopping:train",
        stages={"training": f"{_PACKAGE}.early_stopping:train"},
        params=EarlyStoppingParams,
        risk=_RISK,
        reads_private_rows=True,
        checks=f"{_PACKAGE}.defense_checks:early_stopping",
        references=(
            _BENCHMARK,
            _REGULARIZATION,
            Reference(
                title="Prechelt: Early Stopping - But When?",
                where="doi:10.1007/978-3-642-35289-8_5",
            ),
        ),
    ),
    Defense(
        name="l2",
        summary="An L2 penalty on the weights, applied by the optimiser as weight decay.",
        target=f"{_PACKAGE}.weight_decay:train",
        stages={"training": f"{_PACKAGE}.weight_decay:train"},
        params=WeightDecayParams,
        risk=_RISK,
        checks=f"{_PACKAGE}.defense_checks:weight_decay",
        references=(
            Reference(title="Membership Inference Attacks Against Machine Learning Models", where="arXiv:1610.05820"),
            _REGULARIZATION,
        ),
    ),
    Defense(
        name="output-noise",
        summary="Release noise with the same predicted class for probabilities: a fixed function, without a key.",
        target=f"{_PACKAGE}.output_noise:release",
        stages={"inference": f"{_PACKAGE}.output_noise:release"},
        params=OutputNoiseParams,
        risk=_RISK,
        checks=f"{_PACKAGE}.defense_checks:output_noise",
        references=(
            Reference(
                title="MemGuard: Defending against Black-Box Membership Inference Attacks via Adversarial Examples",
                where="arXiv:1909.10594",
            ),
            Reference(title="Label-Only Membership Inference Attacks", where="arXiv:2007.14321"),
        ),
    ),
)
