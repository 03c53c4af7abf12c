"""What keeps the games of ownership from being played; known before anything runs. Light."""

import math
from collections.abc import Iterator

from amulet_core.configuration.request import DataSettings, Request, RiskPlan, RowPlan, verifiers
from amulet_core.games.threats import VerificationThreat


def budget_problems(budget: int, data: DataSettings) -> list[str]:
    """List why a thief cannot ask so many queries."""
    if budget <= data.aux:
        return []
    return [
        f"a budget of {budget} queries is more than the adversary's {data.aux} own rows to ask about: lower the "
        "budget, or raise data.aux"
    ]


def verification_problems(threat: VerificationThreat, data: DataSettings) -> list[str]:
    """List why owners cannot be given independent models enough."""
    problems = budget_problems(threat.budget, data)
    if data.aux < 2 * data.train:
        problems.append(
            f"each independent model trains on {data.train} of the {data.aux} rows of aux: with less than twice as "
            "many rows they are so alike that owners claim models of others more often than fpr says: raise data.aux "
            f"to {2 * data.train} at least, or lower data.train"
        )
    least = 1 / (1 + threat.independent)
    if threat.fpr < least:
        problems.append(
            f"with {threat.independent} independent models no p-value is below {least:.4g}, and fpr is {threat.fpr:g}: "
            f"raise independent to {_enough(threat.fpr)} at least"
        )
    return problems


def _enough(fpr: float) -> int:
    """Return the least even number of independent models with which a p-value can be as low as ``fpr``."""
    least = math.ceil(1 / fpr - 1 - 1e-9)
    return least + least % 2


def ownership_problems(request: Request, row: RowPlan, risk: RiskPlan) -> Iterator[str]:
    """Yield the reasons why a game of ownership cannot be played on a row."""
    if risk.game.play not in ("theft", "verification"):
        return
    if getattr(request.model.entry.component, "trains_itself", False):
        yield f"{request.model.id} trains itself, and thieves here imitate with the architecture of their victim"
    if risk.game.play == "verification":
        names = [use.id for use in verifiers(row)]
        if not names:
            yield "no defense of this row can verify ownership"
        if len(names) > 1:
            yield f"{' and '.join(names)} both verify ownership: measure them in rows of their own"
