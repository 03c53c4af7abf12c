"""The controls of data reconstruction: answers that need no victim."""

import torch

from amulet_core.components import NoParams
from amulet_core.games.reconstruction import ReconstructionAnswer, ReconstructionView, class_means
from amulet_plugins_builtin.reconstruction.units import from_units, to_units


def class_mean(view: ReconstructionView, params: NoParams) -> ReconstructionAnswer:  # noqa: ARG001 - nothing to set
    """Return, for each class asked for, the mean of the adversary's own rows of that class."""
    means = class_means(view.aux_x, view.aux_y, len(view.data_schema.classes))[view.y]
    return ReconstructionAnswer(x=from_units(to_units(means, view.data_schema), view.data_schema))


def zero_input(view: ReconstructionView, params: NoParams) -> ReconstructionAnswer:  # noqa: ARG001 - nothing to set
    """Return the possible input nearest to zero, for all."""
    x = torch.zeros(view.size, *view.data_schema.shape)
    return ReconstructionAnswer(x=from_units(to_units(x, view.data_schema), view.data_schema))
