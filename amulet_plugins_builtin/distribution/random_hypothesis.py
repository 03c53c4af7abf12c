"""The control of distribution inference: scores that know nothing."""

import torch

from amulet_core.components import NoParams
from amulet_core.games.distribution import DistributionAnswer, DistributionView


def attack(view: DistributionView, params: NoParams) -> DistributionAnswer:  # noqa: ARG001 (every attack is called so)
    """Score each victim uniformly at random in [0, 1), with the threshold 1/2."""
    return DistributionAnswer(score=torch.rand(len(view.victims), dtype=torch.float64), threshold=0.5)
