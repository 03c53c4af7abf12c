"""Released probabilities, changed by the toolbox's postprocessors."""

import numpy as np
import torch
from art.defences.postprocessor import GaussianNoise, ReverseSigmoid
from torch import Tensor

from amulet_plugin_art.defense_settings import GaussianNoiseParams, ReverseSigmoidParams


def reverse_sigmoid(probabilities: Tensor, params: ReverseSigmoidParams) -> Tensor:
    """Return ``y - beta (sigmoid(gamma logit(y)) - 1/2)``, normalised, for each probability y ``[n, classes]``.

    Lee et al., arXiv:1806.00054, section III. What is sure is released as less sure, and other classes as likelier; a
    class that is all but impossible may come before a likely one.
    """
    defense = ReverseSigmoid(beta=params.beta, gamma=params.gamma)
    return torch.from_numpy(defense(probabilities.double().numpy())).to(probabilities.dtype)


def gaussian_noise(probabilities: Tensor, params: GaussianNoiseParams) -> Tensor:
    """Return probabilities with normal noise, negative ones set to 0, normalised; drawn anew at every query.

    Rows of which the noise leaves nothing are drawn again: the toolbox would divide by 0.
    """
    defense = GaussianNoise(scale=params.scale)
    given = probabilities.double()
    released = torch.zeros_like(given)
    while (empty := released.sum(1) == 0).any():
        rows = given[empty].numpy()
        # Normalised here, as the toolbox leaves a batch as it is if one of its rows is a rounding error off.
        with np.errstate(invalid="ignore"):  # 0 / 0
            noisy = torch.from_numpy(defense(rows)).clamp_min(0.0)
        released[empty] = torch.nan_to_num(noisy, nan=0.0)
    return (released / released.sum(1, keepdim=True)).to(probabilities.dtype)
