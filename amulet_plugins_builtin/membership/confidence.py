"""How sure a model is of the true label, per row, in float64 from log-probabilities: what every attack here reads."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

INFINITE = 745.0
"""Stands for an infinite log-odds: beyond it the smaller of p and 1 - p is not a positive double any more."""


def logit_confidence(logp: Tensor, y: Tensor) -> Tensor:
    """Return log p_y - log(1 - p_y), float64 ``[..., n]``, of log-probabilities and labels.

    ``logp`` is ``[..., n, classes]``, ``y`` int64 ``[n]``. log(1 - p_y) is the logsumexp of the *other* classes,
    hence exact where p_y rounds to 1. Where p_y is exactly 0 or 1 the value is infinite and is replaced by -745 or
    +745; finite values, larger ones too, are left as they are.
    Source: 2112.03570, section IV-A (the logit scaling, and its stable form).
    """
    logp = logp.double()
    own = y[:, None].expand(*logp.shape[:-1], 1)
    others = logp.scatter(-1, own, -torch.inf).logsumexp(-1)
    return torch.nan_to_num(logp.gather(-1, own).squeeze(-1) - others, nan=torch.nan, posinf=INFINITE, neginf=-INFINITE)


def label_log_probability(logp: Tensor, y: Tensor) -> Tensor:
    """Return log p_y, float64 ``[..., n]``, shapes as ``logit_confidence``.

    It is read off the log-odds: in float32 all log p_y above -6e-8 have become 0, which would tie the surest rows.
    """
    return logsigmoid(logit_confidence(logp, y))
