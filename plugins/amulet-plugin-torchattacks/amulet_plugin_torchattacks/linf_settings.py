"""The settings of the attacks that keep to a budget in linf by gradients. Light."""

from typing import ClassVar, Literal

from pydantic import Field

from amulet_plugin_torchattacks.fields import Averages, Decay, RandomStart, RelativeStep, Restarts, Steps
from amulet_plugin_torchattacks.use import Settings, Use


class FgsmParams(Settings):
    """A single step of the whole budget has no settings."""

    use: ClassVar[Use] = Use("FGSM")


class BimParams(Settings):
    """Steps from the row itself."""

    use: ClassVar[Use] = Use("BIM")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10


class RfgsmParams(Settings):
    """A random step of the same length, then gradient steps."""

    use: ClassVar[Use] = Use("RFGSM")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10


class FfgsmParams(Settings):
    """A random start and a single step."""

    use: ClassVar[Use] = Use("FFGSM")
    relative_step: RelativeStep = 1.25


class PgdParams(Settings):
    """Steps from a random start."""

    use: ClassVar[Use] = Use("PGD")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    random_start: RandomStart = True


class EotPgdParams(Settings):
    """Steps along averaged gradients."""

    use: ClassVar[Use] = Use("EOTPGD")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    eot_iter: Averages = 2
    random_start: RandomStart = True


class TpgdParams(Settings):
    """Steps uphill on the divergence from the clean prediction."""

    use: ClassVar[Use] = Use("TPGD")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10


class MiFgsmParams(Settings):
    """Steps along accumulated gradients."""

    use: ClassVar[Use] = Use("MIFGSM")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    decay: Decay = 1.0


class NiFgsmParams(Settings):
    """Momentum that looks a step ahead."""

    use: ClassVar[Use] = Use("NIFGSM")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    decay: Decay = 1.0


class SiniFgsmParams(Settings):
    """Momentum over scaled copies of the input."""

    use: ClassVar[Use] = Use("SINIFGSM")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    decay: Decay = 1.0
    scales: int = Field(
        5, ge=1, le=20, serialization_alias="m", description="copies of the input, each half as large as the one before"
    )


class VmiFgsmParams(Settings):
    """Momentum corrected by the gradients' variance."""

    use: ClassVar[Use] = Use("VMIFGSM")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    decay: Decay = 1.0
    neighbours: int = Field(
        5, ge=1, le=1000, serialization_alias="N", description="points around the input whose gradients are averaged"
    )
    beta: float = Field(1.5, gt=0, le=100, description="how far those points may lie away, as a multiple of the budget")


class VniFgsmParams(VmiFgsmParams):
    """The same, looking a step ahead."""

    use: ClassVar[Use] = Use("VNIFGSM")


class UpgdParams(Settings):
    """Momentum, averaged gradients and a choice of losses."""

    use: ClassVar[Use] = Use("UPGD", positive=True, compares=3)
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    random_start: RandomStart = False
    loss: Literal["ce", "dlr", "margin"] = Field(
        "ce", description="what is climbed: cross-entropy, the difference-of-logits ratio, or the margin"
    )
    decay: Decay = 1.0
    eot_iter: Averages = 1


class JitterParams(Settings):
    """Steps on the squared error of scaled, jittered probabilities."""

    use: ClassVar[Use] = Use("Jitter")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    scale: float = Field(10, gt=0, le=1000, description="what the normalised logits are multiplied by")
    std: float = Field(0.1, ge=0, le=10, description="standard deviation of the noise on the probabilities")
    random_start: RandomStart = True


class PgdRsParams(Settings):
    """Steps against the average prediction under noise."""

    use: ClassVar[Use] = Use("PGDRS")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    noise_type: Literal["gaussian", "uniform"] = Field(
        "gaussian", description="the noise that predictions are averaged over"
    )
    noise_sd: float = Field(
        0.5, gt=0, le=10, description="its standard deviation (uniform: half its width), as a fraction of the ranges"
    )
    noise_batch_size: int = Field(5, ge=1, le=1000, description="how many noisy copies are averaged")


class DiFgsmParams(Settings):
    """Momentum through random resizing and padding."""

    use: ClassVar[Use] = Use("DIFGSM")
    relative_step: RelativeStep = 0.25
    steps: Steps = 10
    decay: Decay = 0.0
    resize_rate: float = Field(
        0.9, ge=0.5, lt=1, description="the smallest size an image is resized to, as a fraction of its own"
    )
    diversity_prob: float = Field(0.5, ge=0, le=1, description="how often the images are resized at all")
    random_start: RandomStart = False


class TiFgsmParams(DiFgsmParams):
    """The same, with the gradient smoothed."""

    use: ClassVar[Use] = Use("TIFGSM", colour=True)
    kernel_name: Literal["gaussian", "linear", "uniform"] = Field(
        "gaussian", description="the kernel that smooths the gradient"
    )
    # Only odd kernels have a middle.
    len_kernel: Literal[3, 5, 7, 9, 11, 13, 15, 17, 19, 21] = Field(15, description="the kernel's side, in pixels")
    nsig: float = Field(3, gt=0, le=10, description="how many standard deviations a gaussian kernel reaches out")


class PiFgsmParams(Settings):
    """Amplified steps whose overshoot goes to the neighbouring pixels."""

    use: ClassVar[Use] = Use("PIFGSM", budget="max_epsilon", colour=True)
    steps: int = Field(
        10, ge=1, le=10_000, serialization_alias="num_iter_set", description="steps, each of budget / steps amplified"
    )
    amplification: float = Field(10.0, gt=0, le=1000, description="what the length of each step is multiplied by")


class PiFgsmPpParams(PiFgsmParams):
    """The same, with the gradient smoothed and the overshoot weakened."""

    use: ClassVar[Use] = Use("PIFGSMPP", budget="max_epsilon", colour=True)
    project_factor: float = Field(0.8, gt=0, le=10, description="what the overshoot is multiplied by")


class ApgdParams(Settings):
    """Steps whose length adapts, in linf or L2."""

    use: ClassVar[Use] = Use("APGD", norms=("linf", "l2"), takes_norm=True, takes_seed=True, compares=3)
    steps: Steps = 10
    n_restarts: Restarts = 1
    loss: Literal["ce", "dlr"] = Field(
        "ce", description="what is climbed: cross-entropy, or the difference-of-logits ratio"
    )
    eot_iter: Averages = 1
    rho: float = Field(0.75, gt=0, lt=1, description="steps are halved if a smaller share of them raised the loss")


class ApgdTParams(Settings):
    """The same towards each other class in turn."""

    use: ClassVar[Use] = Use(
        "APGDT", norms=("linf", "l2"), takes_norm=True, takes_seed=True, takes_classes=True, compares=4
    )
    steps: Steps = 10
    n_restarts: Restarts = 1
    eot_iter: Averages = 1
    rho: float = Field(0.75, gt=0, lt=1, description="steps are halved if a smaller share of them raised the loss")
