"""The membership metric: how well the scores part members from non-members, with intervals, and the ROC curve."""

import numpy as np
import torch
from pydantic import JsonValue

from amulet_core.games.membership import MembershipResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics import interval
from amulet_core.statistics.membership import auc, balanced_accuracy_at, best_balanced_accuracy, roc, tpr_at_fpr
from amulet_core.statistics.roc import Bools, Floats
from amulet_plugins_builtin.catalogue.membership import MembershipMetricParams

CURVE_POINTS = 200


def measure(result: MembershipResult, params: MembershipMetricParams) -> Scores:
    """Return AUC, TPR at 1 % and 0.1 % FPR, balanced accuracy, and the oracle's; ``details.roc`` is the curve.

    Intervals are two-sided, 95 %: DeLong; a stratified bootstrap that chooses its threshold anew; Clopper-Pearson at
    the answer's threshold. The TPRs are withheld where fewer than 10 false positives are expected, balanced accuracy
    where no threshold was fixed beforehand. The oracle has no interval but its permutation null.

    Raises:
        ValueError: if there are fewer than two members or two non-members.
    """
    scores, members = result.score.numpy(), result.member.numpy()
    draws = np.random.default_rng(int(torch.randint(2**62, ())))
    tprs = [
        _shown(name, tpr_at_fpr(scores, members, fpr=fpr, resamples=params.resamples, generator=draws), len(scores))
        for name, fpr in (("tpr_at_1_percent_fpr", 0.01), ("tpr_at_0_1_percent_fpr", 0.001))
    ]
    return Scores(
        values=(
            _shown("auc", auc(scores, members), len(scores)),
            *tprs,
            _balanced_accuracy(scores, members, result.threshold),
            _oracle(scores, members, permutations=params.permutations, draws=draws),
        ),
        details={"roc": curve(scores, members)},
    )


def curve(scores: Floats, members: Bools) -> JsonValue:
    """Return the ROC curve as a list of {fpr, tpr}: all of its points, or at most 200 exact ones, dense at low FPR.

    Both ends and the highest TPR without a false positive are kept; for each rate of a logarithmic grid, the
    last point whose FPR does not exceed it. Nothing is interpolated.
    """
    fpr, tpr, _ = roc(scores, members)
    kept = np.arange(len(fpr))
    if len(fpr) > CURVE_POINTS:
        lowest = fpr[fpr > 0][0]
        grid = np.append(0.0, np.geomspace(lowest, 1.0, CURVE_POINTS - 2))
        kept = np.unique(np.append(0, np.searchsorted(fpr, grid, side="right") - 1))
    return [{"fpr": float(x), "tpr": float(y)} for x, y in zip(fpr[kept], tpr[kept], strict=True)]


def _balanced_accuracy(scores: Floats, members: Bools, threshold: float | None) -> Value | Withheld:
    if threshold is None:
        return Withheld(
            name="balanced_accuracy",
            reason="The attack fixed no threshold beforehand, and one chosen on these candidates would flatter it.",
        )
    return _shown("balanced_accuracy", balanced_accuracy_at(scores, members, threshold), len(scores))


def _oracle(scores: Floats, members: Bools, *, permutations: int, draws: np.random.Generator) -> Value:
    found = best_balanced_accuracy(scores, members, permutations=permutations, generator=draws)
    null = found.null
    return Value(
        name="best_balanced_accuracy",
        estimate=found.balanced_accuracy,
        method="oracle: the best threshold on these very candidates, hence no interval; read it beside its null",
        n=len(scores),
        null_95=null.quantile_95,
        null=f"mean {null.mean:.4f}, 95 % quantile {null.quantile_95:.4f} over {null.permutations} permutations",
    )


def _shown(name: str, found: interval.Interval | interval.Withheld, n: int) -> Value | Withheld:
    if isinstance(found, interval.Withheld):
        return Withheld(name=name, reason=found.reason)
    return Value.of(name, found, n=n)
