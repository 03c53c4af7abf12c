"""Spectral signatures (Tran et al., arXiv:1811.00636): poison lies far along the top direction of its class."""

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.training.values import Streams, Training, TrainingContext
from amulet_plugins_builtin.catalogue.poisoning_defenses import SpectralSignaturesParams
from amulet_plugins_builtin.poisoning.rates import leaving
from amulet_plugins_builtin.poisoning.removal import activations, without_suspects_of

_NAME: Final = "spectral-signatures"


def train(training: Training, params: SpectralSignaturesParams, context: TrainingContext) -> Training:  # noqa: ARG001 - every training stage is called so
    """Return training of a first model, and of one from scratch without the rows of the largest scores of each class.

    The paper's algorithm 1. Its epsilon bounds the number of poisoned rows of the whole training set, and 1.5 epsilon
    rows leave every class, as nobody knows which is the target. Here ``share`` is epsilon over the number of training
    rows. The paper's own experiments have 5 or 10 % of the target class poisoned; where many classes make the bound
    larger than a class, ``largest_share`` keeps some of it: its analysis (section 3) wants poison to be a minority.

    Raises:
        ValueError: when fitting, if the architecture does not show its hidden features.
    """

    def suspects(model: nn.Module, rows: Data, streams: Streams) -> Tensor:  # noqa: ARG001 - it draws nothing
        return outlying(model, rows, params=params)

    return replace(training, fit=without_suspects_of(training.fit, suspects, evidence=_NAME))


def outlying(model: nn.Module, rows: Data, *, params: SpectralSignaturesParams) -> Tensor:
    """Return the positions of the rows with the largest scores of each class; of equal scores the first."""
    seen = activations(model, rows.x, whose=_NAME)
    classes = [(rows.y == label).nonzero()[:, 0] for label in range(len(rows.schema.classes))]
    return torch.cat([own[_worst(seen[own], len(rows), params)] for own in classes])


def _worst(seen: Tensor, rows: int, params: SpectralSignaturesParams) -> Tensor:
    count = leaving(len(seen), rows, share=params.share, largest_share=params.largest_share)
    return scores(seen).argsort(descending=True, stable=True)[:count]


def scores(seen: Tensor) -> Tensor:
    """Return ``((r - mean) . v)^2`` for the activations ``[n, h]`` of a class; v is their top right singular vector."""
    if not len(seen):
        return seen.new_zeros(0)
    centred = seen - seen.mean(0)
    top: Tensor = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    return (centred @ top).square()
