"""The built-in architectures: their descriptors and parameters. Imports nothing heavy."""

from typing import Literal

from pydantic import Field

from amulet_core.components import Component, Model, Params, Reference
from amulet_core.schema import DataSchema

SMALLEST_IMAGE = 8
"""The fewest pixels an image may have in height and width for ``cnn``."""


class CapacityParams(Params):
    """The settings of an architecture that comes in four sizes."""

    capacity: Literal["m1", "m2", "m3", "m4"] = Field(
        default="m1", description="The size of the network, from m1, the smallest, to m4, the largest."
    )


def cnn_applicable(params: CapacityParams, schema: DataSchema) -> list[str]:  # noqa: ARG001 - true of every capacity
    """List why convolutions cannot read such rows: they must be images ``[channels, height, width]``, not too small."""
    if len(schema.shape) != 3:
        return [f"cnn reads images [channels, height, width], but a row of these data has the shape {schema.shape}"]
    height, width = schema.shape[1:]
    if min(height, width) < SMALLEST_IMAGE:
        return [f"cnn reads images of {SMALLEST_IMAGE}x{SMALLEST_IMAGE} pixels or more, not {height}x{width}"]
    return []


_AMULET = Reference(
    title="Waheed et al.: Amulet: a Python Library for Assessing Interactions Among ML Defenses and Risks (2025)",
    where="arXiv:2509.12386",
)

COMPONENTS: tuple[Component, ...] = (
    Model(
        name="mlp",
        summary="A multilayer perceptron of three or four hidden layers, for rows of any shape.",
        target="amulet_plugins_builtin.models.mlp:build",
        checks="amulet_plugins_builtin.models.checks:mlp_checks",
        params=CapacityParams,
        stackable=True,
        produces=("features", "interval-bounds", "layer-chain"),
        references=(_AMULET,),
    ),
    Model(
        name="cnn",
        summary="A convolutional network of two or three layers, for images of 8x8 pixels or more.",
        target="amulet_plugins_builtin.models.cnn:build",
        checks="amulet_plugins_builtin.models.checks:cnn_checks",
        params=CapacityParams,
        modality=("image",),
        produces=("features", "interval-bounds", "layer-chain"),
        references=(
            Reference(
                title="LeCun et al.: Gradient-based learning applied to document recognition (1998)",
                where="doi:10.1109/5.726791",
            ),
        ),
        applicable=cnn_applicable,
    ),
)
