"""The built-in attacks on data reconstruction and their metric: descriptors and parameters. Imports nothing heavy."""

from typing import Literal

from pydantic import Field

from amulet_core.components import Attack, Component, Measure, Metric, NoParams, Params, Reference
from amulet_core.schema import DataSchema


class MiFaceParams(Params):
    """The settings of MI-FACE."""

    steps: int = Field(200, ge=1, le=100_000, description="steps down the cost of a class")
    learning_rate: float = Field(0.02, gt=0, le=1, description="Adam's step, as a fraction of each feature's range")
    smoothness: float = Field(1.0, ge=0, le=1000, description="weight of the total variation, on images")
    start: Literal["grey", "class-mean"] = Field(
        "grey", description="where the descent starts: the middle of the bounds, or the class mean of its own rows"
    )


class OutputDecoderParams(Params):
    """The settings of the decoder."""

    learner: Literal["network", "ridge"] = Field("network", description="what is learnt from outputs to inputs")
    hidden: int = Field(64, ge=1, le=4096, description="network: width of its hidden layer")
    epochs: int = Field(100, ge=1, le=10_000, description="network: passes over the adversary's own rows")
    batch_size: int = Field(64, ge=1, le=4096, description="network: rows a step")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="network: Adam's step size")


class GradientInversionParams(Params):
    """The settings of gradient inversion."""

    method: Literal["auto", "matching"] = Field(
        "auto", description="auto: solve the first layer where that is exact (fully connected, with bias, one row)"
    )
    distance: Literal["cosine", "l2"] = Field(
        "cosine", description="matching: distance of gradients, by angle (Geiping) or squared (DLG)"
    )
    optimizer: Literal["adam", "lbfgs"] = Field(
        "adam", description="matching: signed Adam with a falling step (Geiping), or L-BFGS (DLG)"
    )
    steps: int = Field(300, ge=1, le=100_000, description="matching: steps of the optimiser")
    learning_rate: float = Field(
        0.1, gt=0, le=10, description="matching: step size, as a fraction of each feature's range"
    )
    smoothness: float = Field(0.01, ge=0, le=1000, description="matching: weight of the total variation, on images")
    labels: Literal["infer", "joint"] = Field(
        "infer", description="infer: from the last layer's gradient (iDLG; one row), else searched for with the rows"
    )


class ReconstructionMetricParams(Params):
    """The settings of the metric of data reconstruction."""

    resamples: int = Field(2000, ge=100, le=100_000, description="bootstrap resamples of the relative error")


_LARGEST = 16_384


def _decodable(params: OutputDecoderParams, schema: DataSchema) -> list[str]:  # noqa: ARG001 (the data decide)
    if schema.width <= _LARGEST:
        return []
    return [f"rows of {schema.width} features are too large to decode from so few outputs (at most {_LARGEST})"]


_PACKAGE = "amulet_plugins_builtin.reconstruction"
_RISK = "data-reconstruction"
_INVERSION = Reference(
    title="Model Inversion Attacks that Exploit Confidence Information and Basic Countermeasures",
    where="doi:10.1145/2810103.2813677",
)
_SOK = Reference(
    title="SoK: Unintended Interactions among Machine Learning Defenses and Risks", where="arXiv:2312.04542"
)

COMPONENTS: tuple[Component, ...] = (
    Attack(
        name="output-decoder",
        summary="A decoder from the victim's probabilities to the row, learnt on the adversary's own rows.",
        target=f"{_PACKAGE}.output_decoder:attack",
        params=OutputDecoderParams,
        risk=_RISK,
        access="probabilities",
        reconstructs="row",
        threat=(
            "Reconstructs rows from the probabilities that the victim gives them and their true labels. Has rows of "
            "its own, and asks the victim about them."
        ),
        references=(_SOK,),
        checks=f"{_PACKAGE}.attack_checks:output_decoder",
        applicable=_decodable,
    ),
    Attack(
        name="mi-face",
        summary="Descends the victim's cost of each class in the input, with a prior of smooth images.",
        target=f"{_PACKAGE}.mi_face:attack",
        params=MiFaceParams,
        risk=_RISK,
        access="white-box",
        reconstructs="class",
        threat="Reconstructs a typical input of each class. Knows the whole model, and no row of any class.",
        references=(_INVERSION,),
        checks=f"{_PACKAGE}.attack_checks:mi_face_checks",
    ),
    Attack(
        name="gradient-inversion",
        summary="The rows behind a released gradient: solved in the first layer, or found by matching gradients.",
        target=f"{_PACKAGE}.gradient_inversion:attack",
        params=GradientInversionParams,
        risk=_RISK,
        access="gradients",
        reconstructs="batch",
        threat=(
            "Sees what the recipe releases in one step of training, and the weights it was taken at: a server in "
            "federated learning. Takes the gradient for one of the plain cross-entropy."
        ),
        references=(
            Reference(title="Deep Leakage from Gradients", where="arXiv:1906.08935"),
            Reference(title="iDLG: Improved Deep Leakage from Gradients", where="arXiv:2001.02610"),
            Reference(
                title="Inverting Gradients - How easy is it to break privacy in federated learning?",
                where="arXiv:2003.14053",
            ),
        ),
        checks=f"{_PACKAGE}.attack_checks:gradient_inversion_checks",
    ),
    Attack(
        name="class-mean",
        summary="The control: the mean of the adversary's own rows of the class, which needs no victim.",
        target=f"{_PACKAGE}.controls:class_mean",
        risk=_RISK,
        access="none",
        control=True,
        threat="Knows the class and rows of its own. The floor that every other attack is shown beside.",
        params=NoParams,
        references=(_INVERSION,),
        checks=f"{_PACKAGE}.attack_checks:class_mean",
    ),
    Attack(
        name="zero-input",
        summary="The control: the possible input nearest to zero, for every row and every class.",
        target=f"{_PACKAGE}.controls:zero_input",
        risk=_RISK,
        access="none",
        control=True,
        threat="Knows nothing. On sparse data its small error must not be mistaken for a reconstruction.",
        params=NoParams,
        references=(_INVERSION,),
        checks=f"{_PACKAGE}.attack_checks:zero_input",
    ),
    Metric(
        name="reconstruction",
        summary="How close reconstructions come: error beside that of the class mean, PSNR, SSIM, nearest rows.",
        target=f"{_PACKAGE}.metric:measure",
        params=ReconstructionMetricParams,
        risk=_RISK,
        measures=(
            Measure(
                name="relative_error",
                summary="mean squared error on training rows over that of the class mean (1: no better than it)",
                better="higher",
            ),
            Measure(
                name="mse", summary="mean squared error on training rows, features scaled to 0 .. 1", better="higher"
            ),
            Measure(name="mse_non_members", summary="the same on rows that were not trained on", better="higher"),
            Measure(
                name="mse_of_class_mean", summary="error of the class mean on the same training rows", better="higher"
            ),
            Measure(
                name="mse_of_zero",
                summary="error of the input nearest to zero on the same training rows",
                better="higher",
            ),
            Measure(name="psnr", summary="peak signal-to-noise ratio on training rows, decibels", better="lower"),
            Measure(name="psnr_non_members", summary="the same on rows that were not trained on", better="lower"),
            Measure(name="ssim", summary="structural similarity on training rows, images only", better="lower"),
            Measure(name="ssim_non_members", summary="the same on rows that were not trained on", better="lower"),
            Measure(
                name="nearest_train_over_held_out",
                summary="answers about training rows, or classes: distance to the nearest training row over that to "
                "the nearest held-out row (1: no difference)",
                better="higher",
            ),
            Measure(
                name="nearest_train_over_held_out_non_members",
                summary="the same of answers about rows that were not trained on (above 1: nearer to their own)",
                better="higher",
            ),
        ),
        references=(
            Reference(
                title="Image Quality Assessment: From Error Visibility to Structural Similarity (Wang et al. 2004)",
                where="doi:10.1109/TIP.2003.819861",
            ),
            _SOK,
        ),
        checks=f"{_PACKAGE}.metric_checks:metric_checks",
    ),
)
