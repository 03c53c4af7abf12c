"""A risk's primary value by seed: the worst for the defender, over the same attacks in all rows that are compared."""

from collections.abc import Collection, Mapping, Sequence

from amulet_core.configuration.request import RiskPlan
from amulet_core.results import NONE, Cell, values_of
from amulet_core.scores import Value


def primary_values(cells: Sequence[Cell], risk: RiskPlan, counted: Collection[str]) -> dict[int, Value]:
    """Return a row's primary value by seed, over the ``counted`` attacks: that of all joined, or else the worst.

    Where none is counted all attacks are, but controls never.

    A seed on which an attack failed, or one of the counted has no value, has none: the worst of fewer attacks is
    another quantity.
    """
    failed = {cell.seed for cell in cells if cell.status == "failed" and not cell.control}
    found: dict[int, dict[str, Value]] = {}
    for cell in cells:
        value = of_cell(cell, risk)
        if not cell.control and value is not None:
            found.setdefault(cell.seed, {})[cell.attack] = value
    return {
        seed: _of_all({attack: by[attack] for attack in counted or by}, risk)
        for seed, by in sorted(found.items())
        if set(counted) <= set(by) and seed not in failed
    }


def of_cell(cell: Cell, risk: RiskPlan) -> Value | None:
    """Return a cell's value of the risk's primary metric, if it has one."""
    found = values_of(cell, f"builtin/{risk.game.primary.metric}", risk.game.primary.value)
    return next((value for value in found if isinstance(value, Value)), None)


def met(cells: Sequence[Cell], risk: RiskPlan) -> set[str]:
    """Return the attacks, no controls, that have a value on any seed of a row."""
    return {cell.attack for cell in cells if not cell.control and of_cell(cell, risk) is not None}


def compared(cells: Mapping[str, Sequence[Cell]], risk: RiskPlan) -> set[str]:
    """Return the attacks that count in a column, from the cells by row: those that ``none`` met.

    The worst of more attacks is worse by chance alone. Where a row met others too, what all of its attacks achieved
    together has more of them in it than that of ``none``, and each attack counts by itself.
    """
    own = met(cells[NONE], risk)
    alone = any(met_alone(each, own, risk) for each in cells.values())
    return own - {risk.game.joined} if alone else own


def met_alone(cells: Sequence[Cell], counted: Collection[str], risk: RiskPlan) -> list[str]:
    """Return the attacks that a row met and ``none``, of which some are ``counted``, did not."""
    return sorted(met(cells, risk) - {*counted, risk.game.joined}) if counted else []


def _of_all(values: Mapping[str, Value], risk: RiskPlan) -> Value:
    """Return the value of several attacks together, from their values by name."""
    if risk.game.joins and risk.game.joined in values:
        return values[risk.game.joined]
    worst = min if risk.game.primary.better == "higher" else max
    return worst(values.values(), key=lambda value: value.estimate)
