"""What the adversary knows of rows, as numbers that a learner takes: x, the label, and what the victim said of them."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from amulet_core.games.attribute import AttributeView

Floats = NDArray[np.float64]

SUREST = 30.0
"""Log-probabilities are cut at minus this: one row of which the victim is surer would stretch the scale of all."""


def known(view: AttributeView) -> tuple[Floats, Floats]:
    """Return x and the one-hot label of the candidates ``[n, k]`` and of the adversary's own rows ``[m, k]``."""
    classes = np.eye(len(view.data_schema.classes))
    return _joined(view.x, classes[view.y.numpy()]), _joined(view.aux_x, classes[view.aux_y.numpy()])


def with_outputs(view: AttributeView) -> tuple[Floats, Floats]:
    """Return the same and, beside them, the victim's log-probabilities."""
    candidates, aux = known(view)
    return _joined(view.observed.clamp(min=-SUREST), candidates), _joined(view.observed_aux.clamp(min=-SUREST), aux)


def _joined(left: Tensor, right: Floats) -> Floats:
    return np.hstack([left.flatten(1).double().numpy(), right])
