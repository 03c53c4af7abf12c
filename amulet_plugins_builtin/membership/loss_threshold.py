"""The loss attack: the lower the victim's loss on a row, the likelier it was a training row."""

from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_plugins_builtin.catalogue.membership import LossThresholdParams
from amulet_plugins_builtin.membership.confidence import label_log_probability
from amulet_plugins_builtin.membership.shadows import most_accurate_threshold
from amulet_plugins_builtin.membership.thresholds import upper_quantile


def attack(view: MembershipView, params: LossThresholdParams) -> MembershipAnswer:
    """Score each candidate by log p_y, the victim's negative loss. Source: 1709.01604, Adversary 2.

    That adversary's threshold is the average training loss, which nobody outside knows. In its place stands
    the threshold that is best on the shadow models, where the lab holds some; otherwise the one that the share
    ``false_positive_rate`` of the adversary's own rows, non-members all, exceeds (Attack P of 2111.09679); none without
    such rows.
    """
    return MembershipAnswer(score=label_log_probability(view.observed, view.y), threshold=_threshold(view, params))


def _threshold(view: MembershipView, params: LossThresholdParams) -> float | None:
    members = view.lab.members
    if len(members):
        scores = label_log_probability(view.lab.candidates, view.y)
        return most_accurate_threshold(scores.flatten(), members.flatten())
    if not len(view.population_y):
        return None
    return upper_quantile(
        label_log_probability(view.observed_population, view.population_y), params.false_positive_rate
    )
