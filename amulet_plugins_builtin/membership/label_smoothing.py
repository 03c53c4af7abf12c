"""Label smoothing (Szegedy et al., arXiv:1512.00567): a share of every label is spread evenly over all classes.

It adds a term to whatever objective it is given, so it composes with weights, robust training and private gradients.
"""

import dataclasses

import torch
from torch import Tensor

from amulet_core.training.values import Batch, Call, Objective, Training, TrainingContext
from amulet_plugins_builtin.catalogue.membership_defenses import LabelSmoothingParams


def train(training: Training, params: LabelSmoothingParams, context: TrainingContext) -> Training:  # noqa: ARG001
    """Return the training whose objective has smoothed labels (section 7 of the paper, uniform over the classes)."""
    return dataclasses.replace(training, objective=smoothed(training.objective, smoothing=params.smoothing))


def smoothed(objective: Objective, *, smoothing: float) -> Objective:
    """Return ``objective`` plus ``w * smoothing * (z_y - mean of z)``, z being the logits that it computed.

    The cross-entropy with the labels (1 - a) onehot(y) + a / classes is -log p_y + a (z_y - mean z): only the
    difference is added, at the inputs that the objective chose itself (adversarial examples, say), the mean over them
    where there are several.

    Raises:
        ValueError: while training, if the objective never calls the model, or with an axis before the rows.
    """

    def objective_of_smoothed(call: Call, frozen: Call, batch: Batch) -> Tensor:
        seen: list[Tensor] = []

        def noting(x: Tensor, part: str = "model") -> Tensor:
            out = call(x, part)
            if part == "model":
                seen.append(_excess(out, batch.y))
            return out

        losses = objective(noting, frozen, batch)
        if not seen:
            raise ValueError("label-smoothing: the objective that it wraps never called the model")
        return losses + batch.w * smoothing * torch.stack(seen).mean(0)

    return objective_of_smoothed


def _excess(logits: Tensor, y: Tensor) -> Tensor:
    """Return the true logit minus the mean logit, ``[n]``: the mean over a row's inputs where there are k of each.

    These follow each other, ``[k * n, classes]``, or have an axis of their own behind the rows, ``[n, k, classes]``.
    """
    if logits.ndim == 2:
        by_row = logits.reshape(-1, len(y), logits.shape[-1]).transpose(0, 1)
    elif len(logits) == len(y):
        by_row = logits
    else:
        raise ValueError(
            f"label-smoothing: the objective that it wraps asked the model for {list(logits.shape[:-1])} outputs, and "
            f"there are {len(y)} rows: several inputs of a row follow each other, or stand on an axis behind the rows"
        )
    own = by_row.gather(-1, y[:, None, None].expand(*by_row.shape[:-1], 1)).squeeze(-1)
    return (own - by_row.mean(-1)).mean(1)
