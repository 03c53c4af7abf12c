"""Why an attack cannot work on data of some schema, known before anything runs. Light."""

import math
from collections.abc import Callable

from amulet_core.schema import DataSchema

from amulet_plugin_torchattacks.other_settings import AutoAttackParams, SquareParams
from amulet_plugin_torchattacks.use import Settings

Limit = Callable[[Settings, DataSchema], list[str]]


def every(*limits: Limit) -> Limit:
    """Return the limit that lists the reasons of all ``limits``, and those of data that nobody can change."""

    def reasons(params: Settings, schema: DataSchema) -> list[str]:
        return [reason for limit in (something_can_change, *limits) for reason in limit(params, schema)]

    return reasons


def something_can_change(params: Settings, schema: DataSchema) -> list[str]:  # noqa: ARG001 - whatever the settings
    """Say why no input could be changed, if so."""
    fixed = set(schema.feasible.immutable)
    for group in schema.feasible.one_hot:
        if len(group) < 2 or fixed & set(group):
            fixed |= set(group)
    if len(fixed) < schema.width:
        return []
    return ["every feature of this data set is immutable: no input can be changed"]


def channels_and_sides(params: Settings, schema: DataSchema) -> list[str]:  # noqa: ARG001 - whatever the settings
    """Say if images are not ``[channels, height, width]``."""
    if schema.modality != "image" or len(schema.shape) == 3:
        return []
    return [f"it needs images of the shape [channels, height, width], these are {list(schema.shape)}"]


def one_or_three_channels(params: Settings, schema: DataSchema) -> list[str]:
    """Say if images are neither grey nor in three colours."""
    wrong = channels_and_sides(params, schema)
    if wrong or schema.modality != "image" or schema.shape[0] in {1, 3}:
        return wrong
    return [f"its filters are made for images of 1 or 3 channels, these have {schema.shape[0]}"]


def as_high_as_wide(params: Settings, schema: DataSchema) -> list[str]:
    """Say if images cannot be resized: they are not square, or a single pixel."""
    wrong = channels_and_sides(params, schema)
    if wrong or schema.modality != "image" or schema.shape[1] == schema.shape[2] > 1:
        return wrong
    height, width = schema.shape[1:]
    return [f"it resizes images as high as wide, of 2 pixels or more, these are {height} by {width}"]


def room_for_squares(params: Settings, schema: DataSchema) -> list[str]:
    """Say if the largest square patch does not fit into an image, or a tile of the first pattern has no pixel."""
    wrong = channels_and_sides(params, schema)
    patches = isinstance(params, SquareParams) or (isinstance(params, AutoAttackParams) and params.version != "rand")
    if wrong or schema.modality != "image" or not patches:
        return wrong
    height, width = schema.shape[1:]
    share = params.p_init if isinstance(params, SquareParams) else 0.8
    largest = max(round(math.sqrt(share * height * width)), 3)
    # In L2 an even side is made odd.
    largest += largest % 2 == 0
    if min(height, width) >= max(largest, 5):
        return []
    return [
        f"its square patches are up to {largest} pixels wide and images must have 5 by 5 or more, "
        f"these are {height} by {width}"
    ]
