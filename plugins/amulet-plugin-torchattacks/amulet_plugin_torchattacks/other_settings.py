"""The settings of the attacks that measure in L2 or either norm, or need no gradients, and of the control. Light."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from amulet_plugin_torchattacks.fields import RandomStart, RelativeStep, Restarts, Steps
from amulet_plugin_torchattacks.use import Settings, Use

LearningRate = Annotated[float, Field(gt=0, le=100, description="the optimiser's learning rate")]


class PgdL2Params(Settings):
    """Steps from a random start."""

    use: ClassVar[Use] = Use("PGDL2", norms=("l2",))
    relative_step: RelativeStep = 0.2
    steps: Steps = 10
    random_start: RandomStart = True


class PgdRsL2Params(Settings):
    """Steps against the average prediction under noise."""

    use: ClassVar[Use] = Use("PGDRSL2", norms=("l2",))
    relative_step: RelativeStep = 0.2
    steps: Steps = 10
    noise_type: Literal["gaussian", "uniform"] = Field(
        "gaussian", description="the noise that predictions are averaged over"
    )
    noise_sd: float = Field(
        0.5, gt=0, le=10, description="its standard deviation (uniform: half its width), as a fraction of the ranges"
    )
    noise_batch_size: int = Field(5, ge=1, le=1000, description="how many noisy copies are averaged")


class CwParams(Settings):
    """The smallest change by gradient descent on distance and margin."""

    use: ClassVar[Use] = Use("CW", norms=("l2",), budget=None, positive=True)
    c: float = Field(1, gt=0, le=1e6, description="what a unit of margin costs, in units of squared distance")
    kappa: float = Field(0, ge=0, le=100, description="the margin by which another class must win")
    steps: Steps = 50
    lr: LearningRate = 0.01


class DeepFoolParams(Settings):
    """Steps onto the nearest of the linearised boundaries."""

    use: ClassVar[Use] = Use("DeepFool", norms=("l2",), budget=None)
    steps: Steps = 50
    overshoot: float = Field(0.02, ge=0, le=10, description="how far beyond the boundary each step goes, as a share")


class EadParams(Settings):
    """The change of least L2 plus L1, by iterative shrinkage and thresholding."""

    use: ClassVar[Use] = Use("EADEN", norms=("l2",), budget=None, positive=True)
    lr: LearningRate = 0.01
    binary_search_steps: int = Field(9, ge=1, le=30, description="how often the trade-off is searched anew")
    max_iterations: int = Field(100, ge=10, le=100_000, description="gradient steps at each trade-off")
    abort_early: bool = Field(default=True, description="stop where the loss no longer falls")
    initial_const: float = Field(0.001, gt=0, le=1e6, description="the first trade-off")
    beta: float = Field(0.001, ge=0, le=10, description="the weight of the L1 distance")


class EadL1Params(EadParams):
    """The same, keeping the smallest change in L1."""

    use: ClassVar[Use] = Use("EADL1", norms=("l2",), budget=None, positive=True)


class FabParams(Settings):
    """Projections onto the linearised boundary, drawn back towards the row."""

    use: ClassVar[Use] = Use("FAB", norms=("linf", "l2"), takes_norm=True, takes_seed=True, takes_classes=True)
    steps: Steps = 10
    n_restarts: Restarts = 1
    alpha_max: float = Field(0.1, ge=0, le=1, description="the largest pull towards the row")
    eta: float = Field(1.05, ge=1, le=10, description="overshoot beyond the boundary")
    beta: float = Field(0.9, gt=0, le=1, description="share of the change kept after a success")
    multi_targeted: bool = Field(default=False, description="search towards each other class in turn")


class AutoAttackParams(Settings):
    """A fixed sequence of attacks without settings of their own."""

    use: ClassVar[Use] = Use(
        "AutoAttack", norms=("linf", "l2"), takes_norm=True, takes_seed=True, takes_classes=True, compares=4
    )
    version: Literal["standard", "plus", "rand"] = Field(
        "standard",
        description="standard: apgd, apgdt, fab towards each class, square. plus: more restarts and both losses. "
        "rand: apgd with averaged gradients and both losses, for victims that answer at random",
    )


class SquareParams(Settings):
    """Random search by square patches.

    torchattacks asks 5,000 times by default; a security curve has several budgets, so here it is 1,000 for each.
    """

    use: ClassVar[Use] = Use("Square", norms=("linf", "l2"), access="probabilities", takes_norm=True, takes_seed=True)
    n_queries: int = Field(1000, ge=1, le=1_000_000, description="queries for each row, budget and restart")
    n_restarts: Restarts = 1
    p_init: float = Field(0.8, gt=0, le=0.8, description="share of the pixels that the first squares cover")
    loss: Literal["margin", "ce"] = Field("margin", description="what is lowered: the margin, or minus cross-entropy")
    rescale_schedule: bool = Field(
        default=True,
        serialization_alias="resc_schedule",
        description="shrink the squares by the share of queries used, not by their number",
    )


class SpsaParams(Settings):
    """Descent along gradients estimated from random differences.

    By default torchattacks takes a single step, a thirtieth of its default budget long, which changes hardly any
    prediction; here the defaults are ten steps of a quarter.
    """

    use: ClassVar[Use] = Use("SPSA", access="probabilities")
    relative_step: float = Field(
        0.25, gt=0, le=10, serialization_alias="lr", description="length of a step as a fraction of the budget"
    )
    steps: int = Field(10, ge=1, le=10_000, serialization_alias="nb_iter", description="steps")
    delta: float = Field(
        0.01, gt=0, le=1, description="how far apart the differences are taken, as a fraction of the ranges"
    )
    samples: int = Field(
        128, ge=1, le=1_000_000, serialization_alias="nb_sample", description="random directions for each step"
    )
    samples_at_once: int = Field(
        64, ge=1, le=10_000, serialization_alias="max_batch_size", description="directions asked about at once (memory)"
    )


class GnParams(Settings):
    """Noise."""

    use: ClassVar[Use] = Use("GN", norms=("linf", "l2"), access="none", budget=None)
    std: float = Field(0.1, gt=0, le=10, description="standard deviation of the noise, as a fraction of the ranges")
