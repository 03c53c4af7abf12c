"""What attacks with shadow models share: choosing them, and a threshold fixed beforehand."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from amulet_core.games.membership import Lab
from amulet_core.statistics.membership import roc

PLAYERS = 8

Side = Literal["IN", "OUT"]


def first_models(lab: Lab, *, models: int, attack: str, sides: tuple[Side, ...]) -> Lab:
    """Return the lab with its first ``models`` shadow models only (balanced, as the lab's models come in pairs).

    Raises:
        ValueError: if there are fewer, or if a candidate lacks a shadow model on one of ``sides``.
    """
    have = len(lab.members)
    if have < models:
        raise ValueError(f"{attack}: {models} shadow models are needed but the lab has {have}: lower shadow_models")
    members = lab.members[:models]
    for side in sides:
        missing = int((~_on(members, side).any(0)).sum())
        if missing:
            raise ValueError(
                f"{attack}: {missing} of {members.shape[1]} candidates are {side} none of the {models} shadow models; "
                "each candidate must train exactly half of them"
            )
    return Lab(candidates=lab.candidates[:models], members=members, population=lab.population[:models])


def has_both_sides(members: Tensor) -> bool:
    """Say whether every candidate has at least one IN and one OUT model; ``members`` bool ``[models, n]``."""
    return bool((members.any(0) & ~members.all(0)).all())


def threshold_from_plays(play: Callable[[int, Tensor], Tensor], members: Tensor) -> float | None:
    """Return the threshold at which an attack on shadow models, whose members are known, is most accurate.

    ``play(victim, others)`` returns the scores ``[n]`` of the attack on shadow model ``victim`` with the shadow models
    ``others`` (int64 positions). The first 8 shadow models play the victim; the one a victim is paired with (trained on
    exactly the other rows) is left out with it, as it is for the true victim. The threshold maximises balanced
    accuracy over all their candidates, score >= threshold being called members. None where too few models are left.
    """
    models = torch.arange(len(members))
    scores, truth = [], []
    for victim in range(min(PLAYERS, len(members))):
        others = models[models // 2 != victim // 2]
        if not len(others) or not has_both_sides(members[others]):
            return None
        scores.append(play(victim, others))
        truth.append(members[victim])
    return most_accurate_threshold(torch.cat(scores), torch.cat(truth))


def most_accurate_threshold(scores: Tensor, members: Tensor) -> float:
    """Return the finite threshold of the largest balanced accuracy (the highest of them); both ``[n]``."""
    fpr, tpr, thresholds = roc(scores.numpy(), members.numpy())
    # The first threshold is infinite (nobody is called a member): no better than the last, at which everybody is.
    return float(thresholds[1:][np.argmax((tpr - fpr)[1:])])


def _on(members: Tensor, side: Side) -> Tensor:
    return members if side == "IN" else ~members
