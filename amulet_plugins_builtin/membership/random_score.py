"""The control of membership inference: scores that know nothing."""

import torch

from amulet_core.components import NoParams
from amulet_core.games.membership import MembershipAnswer, MembershipView


def attack(view: MembershipView, params: NoParams) -> MembershipAnswer:  # noqa: ARG001 (every attack is called so)
    """Score each candidate uniformly at random in [0, 1), with the threshold 1/2."""
    return MembershipAnswer(score=torch.rand(len(view.y), dtype=torch.float64), threshold=0.5)
