"""Activation clustering (Chen et al., arXiv:1811.03728): poison is the small cluster of its class's activations."""

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from torch import Generator, Tensor, nn

from amulet_core.data import Data
from amulet_core.training.values import Streams, Training, TrainingContext
from amulet_plugins_builtin.catalogue.poisoning_defenses import ActivationClusteringParams
from amulet_plugins_builtin.poisoning.removal import activations, without_suspects_of

_NAME: Final = "activation-clustering"
_FEWEST: Final = 10
"""Of fewer rows of a class no two clusters are made."""
_SAMPLE: Final = 2000
"""From so many rows of a class at most the silhouette is estimated: it takes all their distances."""


def train(training: Training, params: ActivationClusteringParams, context: TrainingContext) -> Training:  # noqa: ARG001 - every training stage is called so
    """Return training of a first model, and of one from scratch without the clusters that the first makes suspect.

    The paper's algorithm 1 with its relative size and silhouette criteria: of each class the activations of the last
    hidden layer are reduced (here to principal components, which always converge: among these, clean classes of
    planted rows come to silhouettes of .2 to .3, of 600 pictures of clothes to .3 to .6) and split by 2-means. Size
    tells no cluster that is half of its class; the paper's other criterion, a further model for each cluster that is
    trained without it (exclusionary reclassification), is not offered. Poison from one class, as in the paper, is one
    cluster; from many classes it may be several.

    Raises:
        ValueError: when fitting, if the architecture does not show its hidden features.
    """
    return replace(
        training, fit=without_suspects_of(training.fit, partial(small_clusters, params=params), evidence=_NAME)
    )


def small_clusters(model: nn.Module, rows: Data, streams: Streams, *, params: ActivationClusteringParams) -> Tensor:
    """Return the positions of the rows in small clusters that stand apart from the rest of their class."""
    seen = activations(model, rows.x, whose=_NAME)
    draws = streams.generator(_NAME)
    suspects = [
        own[small_cluster(seen[own], draws, params)]
        for label in range(len(rows.schema.classes))
        if len(own := (rows.y == label).nonzero()[:, 0]) >= _FEWEST
    ]
    return torch.cat(suspects) if suspects else torch.zeros(0, dtype=torch.int64)


def small_cluster(seen: Tensor, draws: Generator, params: ActivationClusteringParams) -> Tensor:
    """Return which rows of one class are suspect, bool ``[n]``, from their activations ``[n, h]``."""
    nobody = torch.zeros(len(seen), dtype=torch.bool)
    start = int(torch.randint(2**31 - 1, (), generator=draws))
    if len(seen.unique(dim=0)) < 3:
        return nobody
    dimensions = min(params.components, *seen.shape)
    reduced = PCA(dimensions, svd_solver="full").fit_transform(seen.numpy())
    label = KMeans(2, n_init=10, random_state=start).fit_predict(reduced)
    small = label == np.argmin(np.bincount(label, minlength=2))
    if small.mean() > params.largest_share or _apart(reduced, label, draws) < params.silhouette:
        return nobody
    return torch.from_numpy(small)


def _apart(points: NDArray[np.float64], label: NDArray[np.int32], draws: Generator) -> float:
    """Return the mean silhouette of two clusters, on a sample (-1 where one of them is too small to be in it)."""
    some = torch.randperm(len(points), generator=draws)[:_SAMPLE].numpy()
    if len(np.unique(label[some])) < 2:
        return -1.0
    return float(silhouette_score(points[some], label[some]))
