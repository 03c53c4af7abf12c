"""The loss attack: the lower the victim's loss on a row, the likelier it was a training row."""

from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_plugins_builtin.catalogue.membership import LossThresholdParams
from amulet_plugins_builtin.membership.confidence import label_log_probability
from amulet_plugins_builtin.membership.thresholds import upper_quantile


def attack(view: MembershipView, params: LossThresholdParams) -> MembershipAnswer:
    """Score each candidate by log p_y, the victim's negative loss. Source: 1709.01604, Adversary 2.

    That adversary's threshold is the average training loss, which nobody outside knows. In its place stands
    the one that the share ``false_positive_rate`` of the adversary's own rows, non-members all, reach (Attack P of
    2111.09679); none without such rows. Shadow models are not read: the attack asks for none, and a threshold from
    those of other attacks would change with the company that it runs in.
    """
    return MembershipAnswer(score=label_log_probability(view.observed, view.y), threshold=_threshold(view, params))


def _threshold(view: MembershipView, params: LossThresholdParams) -> float | None:
    if not len(view.population_y):
        return None
    return upper_quantile(
        label_log_probability(view.observed_population, view.population_y), params.false_positive_rate
    )
