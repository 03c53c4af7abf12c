"""Probabilities rounded to few decimals: less to learn from each answer, and the same class."""

import torch
from torch import Tensor

from amulet_plugins_builtin.catalogue.ownership_defenses import OutputRoundingParams


def rounded(probabilities: Tensor, params: OutputRoundingParams) -> Tensor:
    """Return ``probabilities [n, classes]`` rounded to ``decimals`` and scaled to sum to one.

    The predicted class stays: where rounding makes another class of its size come first, or leaves nothing at all, it
    gets one unit of the last decimal more. Tramer et al., arXiv:1609.02943, section 7.
    """
    units = torch.round(probabilities * 10**params.decimals)
    top = probabilities.argmax(1)
    lost = (units.argmax(1) != top) | (units.sum(1) == 0)
    units[torch.arange(len(units)), top] += lost.to(units.dtype)
    return units / units.sum(1, keepdim=True)
