"""Outlier removal: without the training rows of the lowest Shapley value for a nearest-neighbour classifier."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from amulet_core.data import Data
from amulet_core.modules import Normalise
from amulet_core.training.values import Training, TrainingContext
from amulet_plugins_builtin.catalogue.poisoning_defenses import OutlierRemovalParams
from amulet_plugins_builtin.poisoning.knn_shapley import knn_shapley
from amulet_plugins_builtin.poisoning.removal import without

_NAME = "outlier-removal"


def train(training: Training, params: OutlierRemovalParams, context: TrainingContext) -> Training:  # noqa: ARG001 - every training stage is called so
    """Return training, from scratch, on the rows that are left; what is removed stands in the evidence.

    Rows are valued on the defender's own clean ``val`` rows, on inputs scaled by the declared bounds (Jia et al.,
    arXiv:1908.08619). Every model loses equally many rows.

    Raises:
        ValueError: when fitting, if there are no validation rows.
    """
    return replace(training, fit=without(training.fit, partial(lowest, params=params), evidence=_NAME))


def lowest(rows: Data, val: Data, *, params: OutlierRemovalParams) -> Tensor:
    """Return the positions of the ``share`` of rows with the lowest values; of equal ones the first."""
    if not len(val):
        raise ValueError(
            f"{_NAME} values training rows on validation rows, and there are none: set data.val to 100 or so"
        )
    scaled = Normalise(rows.schema)
    values = knn_shapley(
        scaled(rows.x).flatten(1), rows.y, scaled(val.x).flatten(1), val.y, neighbours=params.neighbours
    )
    order = torch.from_numpy(np.argsort(values, kind="stable"))
    return order[: int(params.share * len(rows) + 1e-9)]
