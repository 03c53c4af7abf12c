"""The entropy attack: training rows get predictions that are sure, and sure of the true label; a threshold a class."""

import math

import torch
from torch import Tensor

from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_plugins_builtin.catalogue.membership_attacks import EntropyParams
from amulet_plugins_builtin.membership.confidence import INFINITE
from amulet_plugins_builtin.membership.shadows import first_models
from amulet_plugins_builtin.membership.thresholds import on_shadow_models


def attack(view: MembershipView, params: EntropyParams) -> MembershipAnswer:
    """Score each candidate by log(t_y / Mentr), so that the threshold 0 is each class's own, t_y.

    Mentr is the modified prediction entropy, t_y the threshold that is most accurate on the rows of class y, over all
    shadow models. Source: 2003.10595 (the modified prediction entropy, and class-dependent thresholds from shadows).

    Raises:
        ValueError: if the lab has fewer than ``params.shadow_models`` models.
    """
    lab = first_models(view.lab, models=params.shadow_models, attack="entropy", sides=())
    shadow = -log_modified_entropy(lab.candidates, view.y)
    thresholds = on_shadow_models(shadow, lab.members, view.y, classes=len(view.data_schema.classes))
    return MembershipAnswer(score=-log_modified_entropy(view.observed, view.y) - thresholds[view.y], threshold=0.0)


def log_modified_entropy(logp: Tensor, y: Tensor) -> Tensor:
    """Return log Mentr, float64 ``[..., n]``, of log-probabilities ``[..., n, classes]`` and labels ``[n]``.

    Mentr = -(1 - p_y) log p_y - sum over the other classes i of p_i log(1 - p_i): 0 if the true label is sure, without
    bound if another is. Summed as logarithms: of sure rows, which differ far below the resolution of Mentr itself, none
    tie. A term of exactly 0 counts as exp(-745).
    """
    own, rest = _both_logarithms(logp.double())
    true = torch.arange(logp.shape[-1]) == y[:, None]
    terms = torch.where(true, rest + _log_of_minus(own), own + _log_of_minus(rest))
    return terms.clamp(-INFINITE, INFINITE).logsumexp(-1)


def _both_logarithms(logp: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p and log(1 - p) of each class, both exact where the likeliest class's p rounds to 1.

    Its 1 - p is the sum of the others; no other class has more than a half.
    """
    top = logp.argmax(-1, keepdim=True)
    others = logp.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)
    sure = torch.log1p(-others.exp().clamp(max=0.5))
    own = logp.scatter(-1, top, torch.where(others < math.log(0.5), sure, logp.gather(-1, top)))
    return own, torch.log1p(-logp.exp().clamp(max=0.5)).scatter(-1, top, others)


def _log_of_minus(value: Tensor) -> Tensor:
    """Return log(-value) of a logarithm of a probability, finite at both ends."""
    return (-value).log().clamp(-INFINITE, INFINITE)
