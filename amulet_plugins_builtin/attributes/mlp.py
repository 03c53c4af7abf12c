"""The attack on a victim's outputs: a network that tells the attribute from what is known of a row and from them."""

from amulet_core.games.attribute import AttributeAnswer, AttributeView
from amulet_plugins_builtin.attributes.features import with_outputs
from amulet_plugins_builtin.attributes.learner import answer
from amulet_plugins_builtin.catalogue.attributes import LearnerParams


def attack(view: AttributeView, params: LearnerParams) -> AttributeAnswer:
    """Learn the attribute from x, y and the victim's log-probabilities. Source: arXiv:2211.10209."""
    candidates, aux = with_outputs(view)
    return answer(candidates, aux, view.aux_z, values=len(view.values), params=params)
