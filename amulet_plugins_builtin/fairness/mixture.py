"""A model that answers with the mean of the probabilities of several models."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

_FLOOR = torch.finfo(torch.float32).tiny


class Mixture(nn.Module):
    """The mean, by ``weights [members]``, of the members' probabilities, and of answers that are always the same class.

    ``constant [classes]`` holds the weights of the latter; all weights together sum to 1. A member without weight is
    not asked.
    """

    weights: Tensor
    constant: Tensor

    def __init__(self, members: Sequence[nn.Module], *, classes: int) -> None:
        """Join the members, for now without weight."""
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", torch.zeros(len(members)))
        self.register_buffer("constant", torch.full((classes,), 1 / classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logarithms ``[n, classes]`` of the mixed probabilities of inputs ``[n, ...]``."""
        asked = self.weights.nonzero()[:, 0].tolist()
        parts = [log_softmax(self.members[at](x), -1) + self.weights[at].log() for at in asked]
        # Members' probabilities are never 0; the constant's would be, and with it the logarithm infinite.
        constant = self.constant.clamp_min(_FLOOR).log().expand(len(x), -1)
        return torch.logsumexp(torch.stack([*parts, constant]), 0)
