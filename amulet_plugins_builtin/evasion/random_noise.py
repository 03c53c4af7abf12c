"""The control of evasion: a single random point within the budget, chosen without looking at the model."""

import torch

from amulet_core.components import NoParams
from amulet_core.feasible import project
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_plugins_builtin.evasion.ascent import uniform_in_ball


def attack(view: EvasionView, params: NoParams) -> EvasionAnswer:  # noqa: ARG001 - there is nothing to set
    """Return one point uniform in the ball for every row, the same direction at every budget, made possible."""
    draws = torch.rand_like(view.x) * 2 - 1
    noisy = [
        project(
            uniform_in_ball(draws, view.x, view.data_schema, norm=view.norm, epsilon=epsilon),
            view.x,
            view.data_schema,
            norm=view.norm,
            epsilon=epsilon,
        )
        for epsilon in view.epsilons
    ]
    return EvasionAnswer(x=torch.stack(noisy))
