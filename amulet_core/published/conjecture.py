"""What the SoK of 2024 lets one conjecture of a defense and a risk, from the factors that they share.

Its guideline (arXiv:2312.04542): a factor that an effective defense moves up (down), and with which the risk goes up,
speaks for an increase (a decrease) of the risk; and the other way round where the risk goes down with it.
"""

from collections import Counter
from typing import Literal

from amulet_core.published.tables import Arrow, Factor, published
from amulet_core.schema import Frozen

Direction = Literal["increase", "decrease"]
Answer = Literal["increase", "decrease", "tie", "no common factor"]


class SharedFactor(Frozen):
    """A factor of both, and what it speaks for: ``defense`` and ``risk`` are how each of them goes with it."""

    id: str
    factor: Factor
    defense: Arrow
    risk: Arrow

    @property
    def speaks_for(self) -> Direction:
        """Return what the risk would do if this factor were all there is."""
        return "increase" if self.defense == self.risk else "decrease"


class Conjecture(Frozen):
    """What the factors speak for together; ``factors`` stand with the dominant ones first."""

    answer: Answer
    factors: tuple[SharedFactor, ...]

    @property
    def deciding(self) -> tuple[SharedFactor, ...]:
        """Return the factors that count: the dominant ones, or where there are none of them, all."""
        return _deciding(self.factors)


class Agreement(Frozen):
    """How often the guideline, asked about effects that are known, says the same, the opposite, or neither."""

    same: int
    opposite: int
    undecided: int


def conjecture(defense: str, risk: str) -> Conjecture:
    """Return the guideline's conjecture for a row (``RD1`` ...) and a column (``R1`` ...) of the tables.

    Dominant factors, which are observed in the model itself, count before all others; where those that count
    contradict each other it is a tie.

    Raises:
        KeyError: if the tables have no such row or column.
    """
    tables = published()
    arrows, others = tables.defenses[defense].arrows, tables.risks[risk].arrows
    shared = [
        SharedFactor(id=factor, factor=described, defense=arrows[factor], risk=others[factor])
        for factor, described in tables.factors.items()
        if factor in arrows and factor in others
    ]
    ordered = tuple(sorted(shared, key=lambda one: one.factor.role != "dominant"))
    said = {one.speaks_for for one in _deciding(ordered)}
    if len(said) == 1:
        return Conjecture(answer=said.pop(), factors=ordered)
    return Conjecture(answer="tie" if said else "no common factor", factors=ordered)


def agreement() -> Agreement:
    """Compare the guideline with all effects that the tables know."""
    known = [one for one in published().interactions if one.effect != "unexplored"]
    found = Counter(_comparison(conjecture(one.defense, one.risk).answer, one.effect) for one in known)
    return Agreement(same=found["same"], opposite=found["opposite"], undecided=found["undecided"])


def _comparison(answer: Answer, effect: str) -> Literal["same", "opposite", "undecided"]:
    if answer not in ("increase", "decrease"):
        return "undecided"
    return "same" if answer == effect else "opposite"


def _deciding(factors: tuple[SharedFactor, ...]) -> tuple[SharedFactor, ...]:
    return tuple(one for one in factors if one.factor.role == "dominant") or factors
