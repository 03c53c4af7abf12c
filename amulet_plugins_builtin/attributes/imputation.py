"""The control of attribute inference: what the same learner tells from the same rows without the victim."""

from amulet_core.games.attribute import AttributeAnswer, AttributeView
from amulet_plugins_builtin.attributes.features import known
from amulet_plugins_builtin.attributes.learner import answer
from amulet_plugins_builtin.catalogue.attributes import LearnerParams


def attack(view: AttributeView, params: LearnerParams) -> AttributeAnswer:
    """Learn the attribute from x and y alone. Source: arXiv:2209.01292 (imputation as the baseline)."""
    candidates, aux = known(view)
    return answer(candidates, aux, view.aux_z, values=len(view.values), params=params)
