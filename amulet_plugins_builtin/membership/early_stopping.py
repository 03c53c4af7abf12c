"""Early stopping: the weights of the epoch with the least loss on held-out rows, before they fit the training rows."""

import dataclasses

from amulet_core.training.values import Training, TrainingContext
from amulet_plugins_builtin.catalogue.membership_defenses import EarlyStoppingParams


def train(training: Training, params: EarlyStoppingParams, context: TrainingContext) -> Training:  # noqa: ARG001
    """Return the training that stops after ``patience`` epochs without a better cross-entropy on the validation rows.

    It takes the place of the training settings' own patience. The validation rows are withheld from every row of the
    matrix, so stopping early does not cost training rows.
    """
    return dataclasses.replace(training, settings=training.settings.model_copy(update={"patience": params.patience}))
