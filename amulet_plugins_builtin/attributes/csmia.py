"""The confidence score-based attack: which value, put into the victim's inputs, makes it say the true label."""

import math

import torch
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.attribute import AttributeAnswer, AttributeView
from amulet_plugins_builtin.membership.confidence import logit_confidence


def attack(view: AttributeView, params: NoParams) -> AttributeAnswer:  # noqa: ARG001 (every attack is called so)
    """Score each value by the victim's confidence with it put in.

    Values with which the victim says the true label come first, the surest of them foremost; where there is none, the
    value with which it is least sure of another label. How sure it is are the log-odds of the label it says, above
    those of the least that k classes allow, -log(k - 1): probabilities would round to 1 and tie. A score is that for
    the true label, and minus that for another. Which of equal scores comes first is drawn.
    Source: arXiv:2201.09370 (CSMIA, its three cases).

    Raises:
        ValueError: if the attribute is not among the victim's inputs, or the view has no probabilities.
    """
    if not len(view.asked):
        raise ValueError("the victim was not asked with the attribute's values put in: is it among its inputs?")
    label = view.asked.argmax(2)
    odds = logit_confidence(view.asked.flatten(0, 1), label.flatten()).reshape(label.shape)
    sure = (odds + math.log(view.asked.shape[2] - 1)).clamp(min=0)
    return AttributeAnswer(score=_untied(torch.where(label == view.y, sure, -sure).T.contiguous()))


def _untied(score: Tensor) -> Tensor:
    """Return scores of which one of each row's highest, by lot, is higher than the others by the least possible."""
    best = (score == score.amax(1, keepdim=True)).double()
    chosen = (best + torch.rand_like(score)).argmax(1, keepdim=True)
    raised = torch.nextafter(score.gather(1, chosen), torch.full_like(score[:, :1], torch.inf))
    return score.scatter(1, chosen, raised)
