"""Released probabilities, changed by the toolbox's postprocessors."""

import torch
from art.defences.postprocessor import ReverseSigmoid
from torch import Tensor

from amulet_plugin_art.defense_settings import ReverseSigmoidParams


def reverse_sigmoid(probabilities: Tensor, params: ReverseSigmoidParams) -> Tensor:
    """Return ``y - beta (sigmoid(gamma logit(y)) - 1/2)``, normalised, for each probability y ``[n, classes]``.

    Lee et al., arXiv:1806.00054, section III. What is sure is released as less sure, and other classes as likelier; a
    class that is all but impossible may come before a likely one.
    """
    defense = ReverseSigmoid(beta=params.beta, gamma=params.gamma)
    return torch.from_numpy(defense(probabilities.double().numpy())).to(probabilities.dtype)
