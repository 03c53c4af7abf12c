"""Thresholds that an attack fixes beforehand: on shadow models whose members it knows, or on rows of its own."""

from collections.abc import Callable

import torch
from torch import Tensor

from amulet_plugins_builtin.membership.shadows import most_accurate_threshold


def upper_quantile(scores: Tensor, rate: float) -> float:
    """Return the score that about the share ``rate`` of ``scores [m]`` reach or exceed."""
    return float(torch.quantile(scores, 1 - rate, interpolation="higher"))


def on_shadow_models(scores: Tensor, members: Tensor, y: Tensor, *, classes: int) -> Tensor:
    """Return each class's most accurate threshold, float64 ``[classes]``, over all shadow models.

    ``scores`` float64 and ``members`` bool are ``[models, n]``, ``y`` int64 ``[n]``. A class with fewer than two IN or
    two OUT scores gets the threshold of all classes together.
    """

    def most_accurate(rows: Tensor) -> float | None:
        inside = members[:, rows].flatten()
        if min(int(inside.sum()), int((~inside).sum())) < 2:
            return None
        return most_accurate_threshold(scores[:, rows].flatten(), inside)

    return _by_class(most_accurate, y, classes)


def on_own_rows(scores: Tensor, y: Tensor, *, classes: int, rate: float) -> Tensor:
    """Return the score that the share ``rate`` of each class's rows reaches, float64 ``[classes]``.

    ``scores`` float64 and ``y`` int64 are ``[m]``. A class without a row gets the threshold of all classes together.
    """
    return _by_class(lambda rows: upper_quantile(scores[rows], rate) if rows.any() else None, y, classes)


def _by_class(find: Callable[[Tensor], float | None], y: Tensor, classes: int) -> Tensor:
    together = find(torch.ones_like(y, dtype=torch.bool))
    if together is None:
        raise ValueError("a threshold needs rows that are members and rows that are none, at least two of each")
    found = [find(y == label) for label in range(classes)]
    return torch.tensor([together if one is None else one for one in found], dtype=torch.float64)
