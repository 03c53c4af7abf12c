"""How much of the target class poison may be, and how much of a class is removed: counts alone, before a run. Light."""

from dataclasses import dataclass
from typing import Final

from amulet_core.planned import Planned

FACTOR: Final = 1.5
"""Rows that spectral signatures take of a class, over the bound on poison (arXiv:1811.00636, algorithm 1, line 9)."""


@dataclass(frozen=True)
class Mixed:
    """The target class as an adversary that uses up its rate leaves it: rows of its own, and poison beside them."""

    rate: float
    train: int
    own: float
    poison: int

    @property
    def share(self) -> float:
        """Return the share of the class that is poison."""
        return self.poison / max(1.0, self.own + self.poison)

    @property
    def told(self) -> str:
        """Say how much poison there may be, and where."""
        return (
            f"a rate of {self.rate:g} is {self.poison:,} of {self.train:,} training rows, beside about {self.own:,.0f} "
            f"of the target class: poison may be {100 * self.share:.3g}% of it"
        )

    def rate_at(self, share: float) -> str:
        """Return the rate at which poison is such a share of the class, rounded down to three decimals."""
        return f"{int(1000 * share / (1 - share) * self.own / self.train) / 1000:g}"


def target_of(planned: Planned) -> int:
    """Return the class that the threat model's adversary wants; the first where it names none, or an unknown one."""
    wanted = getattr(planned.threat, "target", "")
    return planned.schema.classes.index(wanted) if wanted in planned.schema.classes else 0


def budget_of(planned: Planned) -> int:
    """Return how many training rows the threat model's adversary may replace."""
    return int(getattr(planned.threat, "rate", 0.0) * planned.train + 1e-9)


def mixed(planned: Planned) -> Mixed:
    """Return the target class with as much poison in it as the threat model allows, all of it from other classes."""
    own = planned.training_rows(planned.class_rows[target_of(planned)])
    return Mixed(getattr(planned.threat, "rate", 0.0), planned.train, own, budget_of(planned))


def leaving(own: float, rows: int, *, share: float, largest_share: float) -> int:
    """Return how many of a class's ``own`` rows leave it, of so many ``rows`` of all classes; at most a share of it."""
    return min(int(FACTOR * share * rows + 1e-9), int(largest_share * own + 1e-9))
