"""Discriminatory behavior: no adversary, the victim's own behaviour on the groups of a sensitive attribute."""

from amulet_core.games.behavior import BehaviorResult, observe
from amulet_core.games.contest import Contest
from amulet_core.games.threats import DiscriminationThreat
from amulet_core.schema import DataSchema


def behave(contest: Contest, threat: DiscriminationThreat) -> BehaviorResult:
    """Return the victim's behaviour on the groups of the threat's attribute."""
    return observe(contest, attribute_index(contest.test.schema, threat.attribute))


def attribute_index(schema: DataSchema, name: str) -> int:
    """Return the column of the sensitive attribute ``name`` (empty: the first).

    Raises:
        ValueError: if the data set has no such attribute; it lists those it has.
    """
    names = [attribute.name for attribute in schema.sensitive]
    if not names:
        raise ValueError("the data set declares no sensitive attribute: there are no groups")
    if name and name not in names:
        raise ValueError(f"the data set has no sensitive attribute {name!r}; it has {', '.join(names)}")
    return names.index(name) if name else 0
