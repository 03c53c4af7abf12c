"""The settings of training, as a config gives them. Light: imports nothing heavy."""

from typing import Literal

from pydantic import Field

from amulet_core.components import Params


class TrainingSettings(Params):
    """How a model is trained, whatever its defenses."""

    epochs: int = Field(40, ge=1, le=10_000, description="passes over the training rows")
    batch_size: int = Field(64, ge=1, description="rows a step (expected rows, where a defense draws them at random)")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="the optimiser that applies the gradients")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="the optimiser's step size")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on the weights")
    schedule: Literal["constant", "cosine"] = Field("constant", description="how the step size changes over the epochs")
    patience: int = Field(
        0, ge=0, description="stop after so many epochs without a better loss on val, and keep the best (0: never stop)"
    )
