"""The L2 penalty: smaller weights give smoother functions, which can fit single rows less."""

import dataclasses

from amulet_core.training.values import Training, TrainingContext
from amulet_plugins_builtin.catalogue.membership_defenses import WeightDecayParams


def train(training: Training, params: WeightDecayParams, context: TrainingContext) -> Training:  # noqa: ARG001
    """Return the training whose optimiser adds ``weight_decay * w`` to the gradient: the penalty weight_decay w^2 / 2.

    It is added to what the training settings ask for. All networks that are trained together decay. It reads no row,
    so it leaves a privacy account as it is.
    """
    settings = training.settings
    total = settings.weight_decay + params.weight_decay
    return dataclasses.replace(training, settings=settings.model_copy(update={"weight_decay": total}))
