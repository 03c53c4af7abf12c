"""The gap attack: a row that the victim classifies correctly is called a member, all others are not."""

from amulet_core.components import NoParams
from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_core.victims import LabelOracle


def attack(view: MembershipView, params: NoParams) -> MembershipAnswer:  # noqa: ARG001 (every attack is called so)
    """Score each candidate 1 where the predicted label is the true one, else 0; the threshold is 1/2.

    Its accuracy is that of the gap between training and test accuracy, which every attack should exceed. Source:
    1709.01604, Adversary 1.

    Raises:
        TypeError: if the view has no model to ask for labels.
    """
    if not isinstance(view.model, LabelOracle):
        raise TypeError("gap asks for labels: it needs a view with a model")
    return MembershipAnswer(score=(view.model.labels(view.x) == view.y).double(), threshold=0.5)
