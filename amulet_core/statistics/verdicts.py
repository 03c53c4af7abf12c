"""From paired differences to verdicts: the defense rows of one risk's column, judged together and never one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from amulet_core.statistics.interval import Interval, refuse
from amulet_core.statistics.multiplicity import holm, holm_levels
from amulet_core.statistics.paired import equivalence_p, margin_problems, overlap_problems, paired_interval, paired_p
from amulet_core.vocabulary import MINIMUM_SEEDS

Verdict = Literal["risk up", "risk down", "no change", "inconclusive", "degenerate", "too few seeds"]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Differences:
    """One defense row: the metric with the defense minus without it, per seed; `degenerate` says why, or is empty."""

    defense: str
    values: tuple[float, ...]
    degenerate: str = ""


@dataclass(frozen=True)
class Finding:
    """A row that was tested. The interval carries the row's Holm level; `p` is the row's own.

    `p_adjusted` and `p_equivalence` are Holm-adjusted over the tested rows of the column.
    """

    defense: str
    verdict: Verdict
    interval: Interval
    p: float
    p_adjusted: float
    p_equivalence: float


@dataclass(frozen=True)
class EstimateOnly:
    """A row that was not tested, for `reason`: an interval of its own at 1 - alpha, and no p values."""

    defense: str
    verdict: Verdict
    interval: Interval
    reason: str


@dataclass(frozen=True)
class NoEstimate:
    """A row of fewer than two differences: not even an interval."""

    defense: str
    verdict: Verdict
    reason: str


def verdicts(
    column: Sequence[Differences],
    *,
    margin: float,
    better: Better,
    alpha: float = 0.05,
    overlap: float = 0.0,
    minimum_seeds: int = MINIMUM_SEEDS,
) -> tuple[Finding | EstimateOnly | NoEstimate, ...]:
    """Return one finding for each defense row of one risk's column, in the given order.

    A difference that Holm's procedure at `alpha` holds for real is "risk up" or "risk down": `better` says which
    values of the metric the defender wants ("higher": a positive difference is risk down). Else "no change" if two
    one-sided tests, Holm-adjusted too, place it inside `margin` (units of the metric). Else "inconclusive". Rows that
    are degenerate or have fewer than `minimum_seeds` differences are not tested and do not count in the adjustment:
    both are known without looking at the differences. `overlap` as in `paired.paired_interval`.
    Raises ValueError that lists all problems of the request and of its rows.
    """
    refuse(
        "verdicts",
        _problems(column, margin=margin, better=better, alpha=alpha, overlap=overlap, minimum_seeds=minimum_seeds),
    )
    reasons = [_untested(row, minimum_seeds) for row in column]
    tested = [row for row, reason in zip(column, reasons, strict=True) if not reason]
    findings = iter(_tested(tested, margin=margin, better=better, alpha=alpha, overlap=overlap))
    return tuple(
        _shown(row, reason, alpha=alpha, overlap=overlap) if reason else next(findings)
        for row, reason in zip(column, reasons, strict=True)
    )


def _tested(
    rows: Sequence[Differences], *, margin: float, better: Better, alpha: float, overlap: float
) -> list[Finding]:
    own = [paired_p(row.values, overlap=overlap) for row in rows]
    adjusted = holm(own)
    inside = holm([equivalence_p(row.values, margin=margin, overlap=overlap) for row in rows])
    intervals = [
        paired_interval(row.values, level=1 - rate, overlap=overlap)
        for row, rate in zip(rows, holm_levels(own, alpha=alpha), strict=True)
    ]
    return [
        Finding(
            row.defense,
            _verdict(interval.estimate, float(p), float(q), better=better, alpha=alpha),
            interval,
            own_p,
            float(p),
            float(q),
        )
        for row, interval, own_p, p, q in zip(rows, intervals, own, adjusted, inside, strict=True)
    ]


def _verdict(mean: float, p_adjusted: float, p_equivalence: float, *, better: Better, alpha: float) -> Verdict:
    if p_adjusted <= alpha:
        return "risk down" if (mean > 0) == (better == "higher") else "risk up"
    return "no change" if p_equivalence <= alpha else "inconclusive"


def _untested(row: Differences, minimum_seeds: int) -> str:
    """Say why the row is not tested; empty if it is."""
    if row.degenerate:
        return row.degenerate
    return too_few(len(row.values), minimum_seeds=minimum_seeds)


def too_few(count: int, *, minimum_seeds: int = MINIMUM_SEEDS) -> str:
    """Say why this many seeds give no verdict; empty if they are enough."""
    if count >= minimum_seeds:
        return ""
    return f"{count} {'seed' if count == 1 else 'seeds'}, fewer than the {minimum_seeds} that a verdict needs"


def _shown(row: Differences, reason: str, *, alpha: float, overlap: float) -> EstimateOnly | NoEstimate:
    verdict: Verdict = "degenerate" if row.degenerate else "too few seeds"
    if len(row.values) < 2:
        return NoEstimate(row.defense, verdict, reason)
    return EstimateOnly(row.defense, verdict, paired_interval(row.values, level=1 - alpha, overlap=overlap), reason)


def _problems(
    column: Sequence[Differences], *, margin: float, better: str, alpha: float, overlap: float, minimum_seeds: int
) -> list[str]:
    problems = margin_problems(margin) + overlap_problems(overlap)
    if better not in get_args(Better):
        problems.append(f"better must be 'higher' or 'lower', not {better!r}")
    if not 0 < alpha < 1:
        problems.append(f"alpha must lie between 0 and 1, both excluded, not {alpha}")
    if minimum_seeds < 2:
        problems.append(f"minimum_seeds must be at least 2, not {minimum_seeds}")
    return problems + [
        f"row {row.defense!r} holds differences that are not finite"
        for row in column
        if not np.isfinite(row.values).all()
    ]
