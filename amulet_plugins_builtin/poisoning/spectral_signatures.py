"""Spectral signatures (Tran et al., arXiv:1811.00636): poison lies far along the top direction of its class."""

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.training.values import Streams, Training, TrainingContext
from amulet_plugins_builtin.catalogue.poisoning_defenses import SpectralSignaturesParams
from amulet_plugins_builtin.poisoning.removal import activations, in_proportion, without_suspects_of

_NAME: Final = "spectral-signatures"
_FACTOR: Final = 1.5


def train(training: Training, params: SpectralSignaturesParams, context: TrainingContext) -> Training:  # noqa: ARG001 - every training stage is called so
    """Return training of a first model, and of one from scratch without the rows of the largest scores of each class.

    The paper's algorithm 1: 1.5 times the expected share of poison is removed from every class, as nobody knows which
    is the target. Every model loses equally many rows.

    Raises:
        ValueError: when fitting, if the architecture does not show its hidden features.
    """

    def suspects(model: nn.Module, rows: Data, streams: Streams) -> Tensor:  # noqa: ARG001 - it draws nothing
        return outlying(model, rows, params=params)

    return replace(training, fit=without_suspects_of(training.fit, suspects, evidence=_NAME))


def outlying(model: nn.Module, rows: Data, *, params: SpectralSignaturesParams) -> Tensor:
    """Return the positions of the rows with the largest scores of each class; of equal scores the first."""
    seen = activations(model, rows.x, whose=_NAME)
    counts = torch.bincount(rows.y, minlength=len(rows.schema.classes)).tolist()
    many = in_proportion(counts, int(_FACTOR * params.share * len(rows) + 1e-9))
    classes = [(rows.y == label).nonzero()[:, 0] for label in range(len(counts))]
    worst = [
        own[scores(seen[own]).argsort(descending=True, stable=True)[:count]]
        for own, count in zip(classes, many, strict=True)
    ]
    return torch.cat(worst)


def scores(seen: Tensor) -> Tensor:
    """Return ``((r - mean) . v)^2`` for the activations ``[n, h]`` of a class; v is their top right singular vector."""
    if not len(seen):
        return seen.new_zeros(0)
    centred = seen - seen.mean(0)
    top: Tensor = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    return (centred @ top).square()
