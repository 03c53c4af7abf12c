"""The KL test: is a victim's output closer to own models of the first hypothesis, or of the second?"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.distribution import DistributionAnswer, DistributionView, Seen
from amulet_core.victims import ProbabilityOracle


def attack(view: DistributionView, params: NoParams) -> DistributionAnswer:  # noqa: ARG001 (every attack is called so)
    """Score a victim by the share of pairs of own models, one of each hypothesis, whose second is closer to it.

    Closer is less Kullback-Leibler divergence KL(victim || own model), averaged over the rows of both kinds; where both
    are equally close, the pair counts half. The threshold is half of the pairs. Source: arXiv:2212.07591, the KL
    divergence attack and its vote over pairs.
    """
    own = log_probabilities(view, view.models)
    distances = divergences(log_probabilities(view, view.victims), own)
    first, second = distances[:, ~view.second, None], distances[:, None, view.second]
    votes = (first > second).double() + 0.5 * (first == second).double()
    return DistributionAnswer(score=votes.mean((1, 2)), threshold=0.5)


def log_probabilities(view: DistributionView, models: Sequence[Seen]) -> Tensor:
    """Return what models say of the rows of both kinds, float64 ``[models, rows, classes]``."""
    x = view.x.flatten(0, 1)
    return torch.stack([cast("ProbabilityOracle", model).log_probabilities(x) for model in models]).double()


def divergences(victims: Tensor, own: Tensor) -> Tensor:
    """Return KL(victim || own model), the mean over rows, ``[victims, models]``, of log-probabilities.

    ``victims`` ``[victims, rows, classes]``, ``own`` ``[models, rows, classes]``.
    """
    # One victim after the other: a product of matrices has other last bits for other numbers of victims, and these
    # would decide between own models that say the same.
    return torch.stack([(one.exp() * (one - own)).sum((1, 2)) / len(one) for one in victims])
