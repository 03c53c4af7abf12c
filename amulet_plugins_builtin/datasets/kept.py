"""What was left out of a user's data because values are unknown, and what that does to classes and groups, in words."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from amulet_plugins_builtin.catalogue.own_datasets import OwnParams
from amulet_plugins_builtin.datasets.cells import Cells, some

_LEAST: Final = 0.01
"""A share that changes by less is not told, unless nothing is left of it."""


def kept_notes(cells: Cells, rows: Cells, params: OwnParams) -> list[str]:
    """Say how many of all rows (``cells``) are kept (``rows``), for want of what, and whose shares change by that."""
    if len(rows) == len(cells):
        return []
    unknown = frozenset(params.unknown)
    holes = {name: sum(cell in unknown for cell in cells.columns[name]) for name in rows.columns}
    lacking = sorted(((count, name) for name, count in holes.items() if count), key=lambda one: -one[0])
    told = dict.fromkeys(name for name in (params.label, *params.sensitive) if name not in params.groups)
    changes = [_changed(name, [cell for cell in cells.columns[name] if cell not in unknown], rows) for name in told]
    return [
        f"{len(rows):,} of {len(cells):,} rows are kept (missing: drop): "
        f"{some([f'{count:,} lack {name}' for count, name in lacking])}; {'; '.join(changes)}"
    ]


def _changed(name: str, before: Sequence[str], rows: Cells) -> str:
    found, left = Counter(before), Counter(rows.columns[name])
    shares = {value: (count / len(before), left[value] / len(rows)) for value, count in found.items()}
    changed = {value: (old, new) for value, (old, new) in shares.items() if abs(new - old) >= _LEAST or not left[value]}
    if not changed:
        return f"the shares of {name} change by less than a point"
    ordered = sorted(changed.items(), key=lambda one: -abs(one[1][1] - one[1][0]))
    return f"the shares of {name} change: {some([f'{value} {_percent(*both)}' for value, both in ordered])}"


def _percent(old: float, new: float) -> str:
    return f"{100 * old:.3g} % to {100 * new:.3g} %"
