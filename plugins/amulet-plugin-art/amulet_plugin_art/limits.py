"""Why a component cannot work on data of some schema, known before anything runs. Light."""

from amulet_core.components import Params
from amulet_core.schema import DataSchema

_PATTERN = 4


def something_can_change(params: Params, schema: DataSchema) -> list[str]:  # noqa: ARG001 - whatever the settings
    """Say why no input could be changed, if so."""
    fixed = set(schema.feasible.immutable)
    for group in schema.feasible.one_hot:
        if len(group) < 2 or fixed & set(group):
            fixed |= set(group)
    if len(fixed) < schema.width:
        return []
    return ["every feature of this data set is immutable: no input can be changed"]


def images_of_channels(params: Params, schema: DataSchema) -> list[str]:  # noqa: ARG001 - whatever the settings
    """Say if images are not ``[channels, height, width]``."""
    if schema.modality != "image" or len(schema.shape) == 3:
        return []
    return [f"it needs images of the shape [channels, height, width], these are {list(schema.shape)}"]


def room_for_the_pattern(params: Params, schema: DataSchema) -> list[str]:
    """Say if the backdoor's pattern does not fit into an image, or may not be set there."""
    wrong = [*something_can_change(params, schema), *images_of_channels(params, schema)]
    if wrong:
        return wrong
    height, width = schema.shape[1:]
    if min(height, width) < _PATTERN:
        return [f"its pattern needs images of {_PATTERN} by {_PATTERN} pixels or more, these are {height} by {width}"]
    fixed = schema.feasible.immutable
    return [f"its pattern changes pixels, and {len(fixed)} of these images are immutable"] if fixed else []


def room_for_the_window(params: Params, schema: DataSchema) -> list[str]:
    """Say if the window is larger than an image."""
    wrong, window = images_of_channels(params, schema), getattr(params, "window", 0)
    if wrong or schema.modality != "image" or window <= min(schema.shape[1:]):
        return wrong
    height, width = schema.shape[1:]
    return [f"its window is {window} by {window} pixels, the images are {height} by {width}: set window to less"]


def evasion_problems(params: Params, schema: DataSchema) -> list[str]:
    """Say why no input could be changed, or if images are not ``[channels, height, width]``."""
    return [*something_can_change(params, schema), *images_of_channels(params, schema)]
