"""Whether defenses together keep what one of them does alone: all pairs of one risk's column, judged together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from amulet_core.statistics.interval import Interval
from amulet_core.statistics.multiplicity import holm, holm_levels
from amulet_core.statistics.paired import no_loss_p, paired_interval, paired_p
from amulet_core.statistics.verdicts import Better

Verdict = Literal["conflict", "kept", "inconclusive"]


@dataclass(frozen=True)
class Keeping:
    """A pair that was tested. The interval of the difference carries the pair's Holm level; `p` is the pair's own.

    `p_adjusted` (of a difference) and `p_kept` (of a loss beyond the margin) are Holm-adjusted over all pairs.
    """

    verdict: Verdict
    interval: Interval
    p: float
    p_adjusted: float
    p_kept: float


def keeping(
    pairs: Sequence[Sequence[float]], *, margin: float, better: Better, alpha: float = 0.05, overlap: float = 0.0
) -> tuple[Keeping, ...]:
    """Return a verdict for each pair of a chain and a member of it, in the given order.

    The pairs must not be chosen by what their seeds show: give all of the column, and list of them what protects. Then
    the chance that any pair of the same mean is called "conflict" is at most `alpha`, whatever is listed.

    A pair is the metric of the chain minus that of the member alone, per seed. "conflict": Holm's procedure at `alpha`
    holds the difference for real, and it is for the worse. "kept": it is for the better, or a one-sided test,
    Holm-adjusted too, rejects a loss of `margin` (units of the metric) or more. Else "inconclusive". `better` says
    which values the defender wants. `overlap` as in `paired.paired_interval`.
    Raises ValueError for a margin that is not positive and for pairs of fewer than 2 or of not finite differences.
    """
    own = [paired_p(pair, overlap=overlap) for pair in pairs]
    sign = 1.0 if better == "higher" else -1.0
    adjusted = holm(own)
    kept = holm([no_loss_p(sign * np.asarray(pair), margin=margin, overlap=overlap) for pair in pairs])
    intervals = [
        paired_interval(pair, level=1 - rate, overlap=overlap)
        for pair, rate in zip(pairs, holm_levels(own, alpha=alpha), strict=True)
    ]
    return tuple(
        Keeping(_verdict(sign * interval.estimate, float(p), float(q), alpha), interval, own_p, float(p), float(q))
        for interval, own_p, p, q in zip(intervals, own, adjusted, kept, strict=True)
    )


def _verdict(gain: float, p_adjusted: float, p_kept: float, alpha: float) -> Verdict:
    if p_adjusted <= alpha:
        return "kept" if gain > 0 else "conflict"
    return "kept" if p_kept <= alpha else "inconclusive"
