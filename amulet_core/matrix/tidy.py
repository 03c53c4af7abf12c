"""Changes with their verdicts, and the curves that metrics leave, as data frames. Computes no statistics."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pydantic import JsonValue

from amulet_core.errors import RequestError, did_you_mean
from amulet_core.matrix.chance import near_chance
from amulet_core.results import NONE, Entry, Results

if TYPE_CHECKING:
    import pandas as pd

CHANGE: Final = (
    "row",
    "kind",
    "risk",
    "mean",
    "change",
    "low",
    "high",
    "p",
    "p_adjusted",
    "seeds",
    "verdict",
    "reason",
)
"""The columns of the table of interactions."""
_PLACE: Final = ("row", "kind", "risk", "attack", "control", "seed", "degenerate", "metric")
"""How all lines of details begin."""


def interactions(results: Results) -> "pd.DataFrame":
    """Return one line for each row (but ``none``) and risk, risk by risk.

    ``mean`` is the primary value, ``change`` its mean paired difference to ``none``, ``low`` and ``high`` the change's
    interval, ``p_adjusted`` Holm's, which the verdict rests on. Where there is no verdict, or only part of one,
    ``reason`` says why; what does not exist is ``<NA>``. Of utility "risk up" is utility down, "risk down" utility up.
    """
    import pandas as pd

    kinds = {row.label: row.kind for row in results.rows}
    lines = [_change(entry, kinds.get(entry.row, "defense")) for entry in results.entries if entry.row != NONE]
    types = dict.fromkeys(("mean", "change", "low", "high", "p", "p_adjusted"), "Float64")
    texts = dict.fromkeys(("row", "kind", "risk", "verdict", "reason"), "string")
    return pd.DataFrame(lines, columns=list(CHANGE)).astype({**types, **texts, "seeds": "Int64"})


def details(results: Results, name: str) -> "pd.DataFrame":
    """Return what metrics left under ``name``: a line for each point, its parts in columns of their own.

    What is no mapping stands in the column ``value``.

    Raises:
        RequestError: if no metric left anything of that name.
    """
    import pandas as pd

    there_are = sorted({one for _, left in _left(results) for one in left})
    if name not in there_are:
        known = ", ".join(there_are) or "none"
        raise RequestError(f'no metric left details called "{name}"{did_you_mean(name, there_are)} There are: {known}.')
    lines = list(_points(results, name))
    parts = dict.fromkeys(part for line in lines for part in line)
    return pd.DataFrame(lines, columns=list(parts or _PLACE)).astype({"degenerate": "boolean"})


def _change(entry: Entry, kind: str) -> tuple[Any, ...]:
    start = (entry.row, kind, entry.risk, entry.mean)
    effect = entry.effect
    if effect is None:
        return (*start, *(None,) * 7, _joined(entry.missing, entry.degenerate))
    limits = (effect.difference, effect.low, effect.high, effect.p, effect.p_adjusted, effect.seeds)
    return (*start, *limits, effect.verdict, _joined(effect.verdict_reason, entry.degenerate))


def _joined(*reasons: str) -> str:
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def _left(results: Results) -> Iterator[tuple[tuple[Any, ...], dict[str, JsonValue]]]:
    """Yield each metric's details in each cell, with where they were left."""
    kinds = {row.label: row.kind for row in results.rows}
    near = near_chance(results)
    for cell in results.cells:
        judged = near.get((cell.row, cell.risk, cell.seed))
        place = (cell.row, kinds.get(cell.row, "defense"), cell.risk, cell.attack, cell.control, cell.seed, judged)
        for measured in cell.measured:
            yield (*place, measured.metric), measured.scores.details


def _points(results: Results, name: str) -> Iterator[dict[str, Any]]:
    for place, left in _left(results):
        found = left.get(name)
        for point in found if isinstance(found, list) else [] if found is None else [found]:
            parts = point if isinstance(point, dict) else {"value": point}
            # A point may have a part called like a column of ours ("kind"): it must neither replace it nor be lost.
            own = {f"{name}.{part}" if part in _PLACE else part: value for part, value in parts.items()}
            yield dict(zip(_PLACE, place, strict=True)) | own
