"""The confidence score-based attack: which value, put into the victim's inputs, makes it say the true label."""

import torch

from amulet_core.components import NoParams
from amulet_core.games.attribute import AttributeAnswer, AttributeView


def attack(view: AttributeView, params: NoParams) -> AttributeAnswer:  # noqa: ARG001 (every attack is called so)
    """Score each value by the victim's confidence with it put in.

    Values with which the victim says the true label come first, the surest of them foremost; where there is none, the
    value with which it is least sure of another label. So a score is 1 + confidence, or 1 - confidence. Values that the
    victim does not tell apart score alike. Source: arXiv:2201.09370 (CSMIA, its three cases).

    Raises:
        ValueError: if the attribute is not among the victim's inputs, or the view has no probabilities.
    """
    if not len(view.asked):
        raise ValueError("the victim was not asked with the attribute's values put in: is it among its inputs?")
    said = view.asked.double().exp()
    confidence, label = said.max(2)
    score = torch.where(label == view.y, 1 + confidence, 1 - confidence)
    return AttributeAnswer(score=score.T.contiguous())
