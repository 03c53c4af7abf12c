"""Whether defenses together keep what one of them does alone: all pairs of one risk's column, judged together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from amulet_core.statistics.interval import Interval
from amulet_core.statistics.multiplicity import holm, holm_levels
from amulet_core.statistics.paired import no_loss_p, paired_interval, paired_p
from amulet_core.statistics.verdicts import Better

ROUNDING: Final = 1e-12
"""How far apart differences of equal shares may be by the arithmetic of floats."""

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
    pairs: Sequence[Sequence[float]],
    *,
    margin: float,
    better: Better,
    trials: Sequence[int | None] | None = None,
    alpha: float = 0.05,
    overlap: float = 0.0,
) -> tuple[Keeping, ...]:
    """Return a verdict for each pair of a chain and a member of it, in the given order.

    The pairs must not be chosen by what their seeds show: give all of the column, and list of them what protects. Then
    the chance that any pair of the same mean is called "conflict" is at most `alpha`, whatever is listed.

    A pair is the metric of the chain minus that of the member alone, per seed. "conflict": Holm's procedure at `alpha`
    holds the difference for real, and it is for the worse. "kept": it is for the better, or a one-sided test,
    Holm-adjusted too, rejects a loss of `margin` (units of the metric) or more. Else "inconclusive". `better` says
    which values the defender wants. `overlap` as in `paired.paired_interval`.

    `trials` says of each pair how many trials its values rest on over all seeds, if they are shares. Shares of few
    trials may be `alike` on all seeds though the rates behind them differ: such a pair is "kept" only if so many trials
    would hardly show no loss where one of `margin` is real, (1 - margin)^trials; for one pair that asks for about
    3 / margin of them (the rule of three: Hanley & Lippman-Hand 1983, JAMA 249:1743). It is a "conflict" only if the
    trials that differ, all in one direction, say so too (McNemar 1947, Psychometrika 12:153, exact).
    Raises ValueError for a margin that is not positive and for pairs of fewer than 2 or of not finite differences.
    """
    counts = list(trials or [None] * len(pairs))
    own = [_own_p(pair, count, overlap) for pair, count in zip(pairs, counts, strict=True)]
    sign = 1.0 if better == "higher" else -1.0
    adjusted = holm(own)
    kept = holm(
        [
            max(no_loss_p(sign * np.asarray(pair), margin=margin, overlap=overlap), _unseen(pair, count, margin))
            for pair, count in zip(pairs, counts, strict=True)
        ]
    )
    intervals = [
        paired_interval(pair, level=1 - rate, overlap=overlap)
        for pair, rate in zip(pairs, holm_levels(own, alpha=alpha), strict=True)
    ]
    return tuple(
        Keeping(
            _verdict(sign * interval.estimate, float(p), float(q), alpha, flat=alike(pair)),
            interval,
            own_p,
            float(p),
            float(q),
        )
        for pair, interval, own_p, p, q in zip(pairs, intervals, own, adjusted, kept, strict=True)
    )


def alike(pair: Sequence[float]) -> bool:
    """Say whether the differences of a pair are all the same, but for rounding."""
    return float(np.ptp(pair)) <= ROUNDING


def _own_p(pair: Sequence[float], trials: int | None, overlap: float) -> float:
    """Return the p value of no difference; of alike shares no smaller than that of their trials.

    The trials that can differ least are as many as the difference says, all in one direction: McNemar's exact test.
    """
    p = paired_p(pair, overlap=overlap)
    if not alike(pair):
        return p
    size = abs(float(np.mean(pair)))
    if size <= ROUNDING:
        return 1.0
    return max(p, min(1.0, 2 * 0.5 ** round(size * trials))) if trials else p


def _unseen(pair: Sequence[float], trials: int | None, margin: float) -> float:
    """Return how likely a loss of the margin goes unseen in so many trials; 0 where the seeds tell of their spread."""
    return max(0.0, 1 - margin) ** trials if trials and alike(pair) else 0.0


def _verdict(gain: float, p_adjusted: float, p_kept: float, alpha: float, *, flat: bool) -> Verdict:
    """Return the verdict; that a gain is the same on every seed is no evidence by itself."""
    if p_adjusted <= alpha and gain < 0:
        return "conflict"
    return "kept" if p_kept <= alpha or (p_adjusted <= alpha and not flat) else "inconclusive"
