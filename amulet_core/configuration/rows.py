"""The rows that a configuration means without naming them: each member of a chain, measured alone beside it. Light."""

from collections.abc import Iterator, Sequence

from amulet_core.configuration.chains import beside_problems
from amulet_core.configuration.request import RowPlan, Use
from amulet_core.vocabulary import OWN_ROWS


def beside_members(rows: Sequence[RowPlan], model: Use) -> tuple[RowPlan, ...]:
    """Put a row for each member of a chain before the chain's row, unless a row has this member alone already.

    The row has the member's own parameters and is called after it; where that label is another row's, ``(2)`` follows,
    or the next number that is free. A member that requires what ``model`` does not produce, or will not stand without
    the others of its chain, cannot stand alone, and is left out. Added rows have no ``path``.
    """
    return tuple(_beside(rows, frozenset(model.entry.component.produces)))


def _beside(rows: Sequence[RowPlan], produced: frozenset[str]) -> Iterator[RowPlan]:
    alone = {_spelled(row.chain[0]) for row in rows if len(row.chain) == 1}
    taken = {*OWN_ROWS, *(row.label for row in rows)}
    for row in rows:
        for use in row.chain if len(row.chain) > 1 else ():
            dependent = not produced.issuperset(use.entry.component.requires) or beside_problems((use,))
            if dependent or _spelled(use) in alone:
                continue
            label = _free(use.entry.component.name, taken)
            alone.add(_spelled(use))
            taken.add(label)
            yield RowPlan(label, "defense", (use,))
        yield row


def _free(name: str, taken: set[str]) -> str:
    number = 2
    label = name
    while label in taken:
        label, number = f"{name} ({number})", number + 1
    return label


def _spelled(use: Use) -> str:
    """Return a use as a text: the same component with the same parameters, the same text."""
    return str(use.canonical())
