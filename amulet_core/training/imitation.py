"""Training on soft targets: what a thief does with a victim's answers, and an owner with nobody's."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from amulet_core.data import Data
from amulet_core.schema import DataSchema
from amulet_core.settings import TrainingSettings
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Batch, Call, Streams


def imitated(
    build: Callable[[], nn.Module],
    x: Tensor,
    targets: Tensor,
    settings: TrainingSettings,
    *,
    schema: DataSchema,
    key: tuple[str | int, ...],
) -> nn.Module:
    """Train what ``build`` makes to give the ``targets``, float ``[n, classes]``, on ``x [n, ...]``; return it.

    The loss is the cross-entropy ``-sum_c target_c log p_c``; of one-hot targets, the usual one. Training is the usual
    loop without early stopping. ``key`` keys its draws.

    Raises:
        ValueError: if there are no rows, not one target a row, or targets that are not finite.
        DivergedError: if weights are not finite in the end.
    """
    if not len(x) or len(x) != len(targets) or not torch.isfinite(targets).all():
        raise ValueError(f"{len(x)} rows and {len(targets)} targets: one finite target a row is needed, for some rows")
    soft = targets.detach().to(torch.float32)

    def objective(call: Call, _frozen: Call, batch: Batch) -> Tensor:
        return -(soft[batch.z[:, 0]] * log_softmax(call(batch.x), 1)).sum(1)

    rows = torch.arange(len(x))
    # The training loop hands on labels as integers; a row's number, in the place of z, leads to its soft target.
    data = Data(x=x.detach(), y=soft.argmax(1), z=rows[:, None], w=torch.ones(len(x)), id=rows, schema=schema)
    training = replace(
        plain_training(build, settings.model_copy(update={"patience": 0}), stackable=False), objective=objective
    )
    return training.fit(training, [data], [data], [Streams(key)])[0].model
