"""The built-in ownership defenses: their descriptors and parameters. Imports nothing heavy."""

from typing import Final

from pydantic import Field

from amulet_core.components import Defense, Params, Reference
from amulet_core.planned import Planned


class WatermarkParams(Params):
    """The settings of the watermark."""

    triggers: int = Field(
        100, ge=5, le=10_000, description="how many random inputs with random labels are added to the training rows"
    )
    repeats: int = Field(1, ge=1, le=100, description="how often each of them stands among the training rows")


class RadioactiveDataParams(Params):
    """The settings of radioactive data."""

    share: float = Field(0.5, gt=0, le=1, description="the share of the training rows that are marked (rounded down)")
    epsilon: float = Field(
        0.05, gt=0, le=1, description="how far a mark moves each feature at most, as a fraction of its range"
    )
    steps: int = Field(20, ge=1, le=1000, description="gradient steps that make a mark")


class _Inference(Params):
    """What both kinds of dataset inference share."""

    rows: int = Field(
        400,
        ge=20,
        le=100_000,
        description="training rows, and as many validation rows, that are looked at: half to learn, half to test",
    )


class BlindWalkParams(_Inference):
    """The settings of dataset inference by random walks."""

    walks: int = Field(5, ge=1, le=1000, description="random directions of each of three kinds of noise, for each row")
    step: float = Field(0.02, gt=0, le=1, description="how far a step goes, as a fraction of the features' ranges")
    steps: int = Field(50, ge=1, le=10_000, description="steps until a walk is given up")


class GradientWalkParams(_Inference):
    """The settings of dataset inference by gradient descent."""

    step: float = Field(0.01, gt=0, le=1, description="how far a step goes, as a fraction of the features' ranges")
    steps: int = Field(50, ge=1, le=10_000, description="steps until a class is given up")


class OutputRoundingParams(Params):
    """The settings of output rounding."""

    decimals: int = Field(1, ge=1, le=6, description="to how many decimals the probabilities are rounded")


FEWEST: Final = 20
"""With fewer training rows, or validation rows, than this dataset inference makes no test."""


def row_problems(*, train: int, val: int) -> list[str]:
    """List why dataset inference cannot compare so many training rows with so many validation rows."""
    used = min(train, val)
    if used >= FEWEST:
        return []
    few = [name for name, rows in (("data.train", train), ("data.val", val)) if rows < FEWEST]
    return [
        f"dataset inference compares training rows with validation rows, and has {used} of each to go by: "
        f"{FEWEST} are needed; set {' and '.join(few)} higher"
    ]


def _too_few_rows(_params: _Inference, planned: Planned) -> list[str]:
    return row_problems(train=planned.train, val=planned.val)


def _nothing_marked(params: RadioactiveDataParams, planned: Planned) -> list[str]:
    if params.share * planned.train + 1e-9 >= 1:
        return []
    return [
        f"a share of {params.share:g} is less than one of {planned.train} training rows, and no row would be marked: "
        "raise share, or data.train"
    ]


_PACKAGE: Final = "amulet_plugins_builtin.ownership"
_RISK: Final = "unauthorized-model-ownership"

COMPONENTS: Final = (
    Defense(
        name="watermark",
        summary="Teach the model random labels of random inputs; who answers with them has a copy of it.",
        target=f"{_PACKAGE}.watermark:add_triggers",
        stages={"data": f"{_PACKAGE}.watermark:add_triggers"},
        verify=f"{_PACKAGE}.watermark:verify",
        verify_access="labels",
        params=WatermarkParams,
        risk=_RISK,
        sok="RD3",
        produces=("watermark",),
        checks=f"{_PACKAGE}.defense_checks:watermark_checks",
        references=(
            Reference(
                title="Adi et al.: Turning Your Weakness Into a Strength: Watermarking Deep Neural Networks by "
                "Backdooring",
                where="arXiv:1802.04633",
            ),
        ),
    ),
    Defense(
        name="radioactive-data",
        summary="Move training rows a little along secret directions of features; a model's losses then show them.",
        target=f"{_PACKAGE}.radioactive_data:train",
        stages={"training": f"{_PACKAGE}.radioactive_data:train"},
        verify=f"{_PACKAGE}.radioactive_data:verify",
        verify_access="probabilities",
        params=RadioactiveDataParams,
        risk=_RISK,
        sok="RD3",
        reads_private_rows=True,
        wraps_fit=True,
        requires=("features",),
        produces=("radioactive-data",),
        impossible=_nothing_marked,
        checks=f"{_PACKAGE}.defense_checks:radioactive_data_checks",
        references=(
            Reference(
                title="Sablayrolles et al.: Radioactive Data: Tracing Through Training (section 4)",
                where="arXiv:2002.00937",
            ),
        ),
    ),
    Defense(
        name="dataset-inference",
        summary="Training stays as it is; a model that lies farther from the owner's rows than from others is its own.",
        target=f"{_PACKAGE}.dataset_inference:verify_by_walks",
        verify=f"{_PACKAGE}.dataset_inference:verify_by_walks",
        verify_access="labels",
        params=BlindWalkParams,
        risk=_RISK,
        sok="RD4",
        impossible=_too_few_rows,
        checks=f"{_PACKAGE}.inference_checks:blind_walk_checks",
        references=(
            Reference(
                title="Maini et al.: Dataset Inference: Ownership Resolution in Machine Learning (section 5.2)",
                where="arXiv:2104.10706",
            ),
        ),
    ),
    Defense(
        name="dataset-inference-mingd",
        summary="Dataset inference that knows the suspects whole: distances to every class by gradient descent.",
        target=f"{_PACKAGE}.dataset_inference:verify_by_gradients",
        verify=f"{_PACKAGE}.dataset_inference:verify_by_gradients",
        verify_access="white-box",
        params=GradientWalkParams,
        risk=_RISK,
        sok="RD4",
        impossible=_too_few_rows,
        checks=f"{_PACKAGE}.inference_checks:gradient_walk_checks",
        references=(
            Reference(
                title="Maini et al.: Dataset Inference: Ownership Resolution in Machine Learning (section 5.2)",
                where="arXiv:2104.10706",
            ),
        ),
    ),
    Defense(
        name="output-rounding",
        summary="Release probabilities rounded to few decimals; the predicted class stays.",
        target=f"{_PACKAGE}.output_rounding:rounded",
        stages={"inference": f"{_PACKAGE}.output_rounding:rounded"},
        params=OutputRoundingParams,
        risk=_RISK,
        checks=f"{_PACKAGE}.defense_checks:output_rounding_checks",
        references=(
            Reference(
                title="Tramer et al.: Stealing Machine Learning Models via Prediction APIs (section 7)",
                where="arXiv:1609.02943",
            ),
        ),
    ),
)
