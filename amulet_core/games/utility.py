"""Utility: no adversary, only how well the victim does its work on the test rows."""

from amulet_core.games.behavior import BehaviorResult, observe
from amulet_core.games.contest import Contest
from amulet_core.games.threats import UtilityThreat


def behave(contest: Contest, _threat: UtilityThreat) -> BehaviorResult:
    """Return the victim's behaviour; groups are formed by the first sensitive attribute, where there is one."""
    return observe(contest, 0 if contest.test.schema.sensitive else None)
