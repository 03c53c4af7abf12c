"""Membership scores ordered into an exact ROC curve; ties stay one point, because no threshold can part them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amulet_core.statistics.interval import refuse

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def split(scores: ArrayLike, members: ArrayLike) -> tuple[Floats, Floats]:
    """Return the scores of the members and those of the non-members.

    Shapes: scores `[n]`, finite; members `[n]`, boolean. Raises ValueError that lists all problems; both groups need
    at least two candidates, below which no variance exists.
    """
    values, flags = checked(scores, members)
    return values[flags], values[~flags]


def checked(scores: ArrayLike, members: ArrayLike) -> tuple[Floats, Bools]:
    """Return scores and members as arrays `[n]`, or raise the ValueError that `split` describes."""
    values, flags = np.asarray(scores, dtype=np.float64), np.asarray(members)
    refuse("membership scores", _problems(values, flags))
    return values, flags


def roc(scores: ArrayLike, members: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the exact ROC curve: FPR, TPR and thresholds, each `[number of distinct scores + 1]`.

    A candidate is called a member where score >= threshold. Thresholds fall from infinity (nobody is called a member)
    through every distinct score; nothing is interpolated or dropped. Errors as `split`.
    """
    values, flags = checked(scores, members)
    order, ends = tie_ends(values)
    hits = np.cumsum(flags[order])[ends]
    tpr = np.concatenate([[0.0], hits / flags.sum()])
    fpr = np.concatenate([[0.0], (ends + 1 - hits) / (~flags).sum()])
    return fpr, tpr, np.concatenate([[np.inf], values[order][ends]])


def tie_ends(scores: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the order of falling scores `[n]`, and the last place in it of each run of equal scores."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return order, ends


def _problems(scores: Floats, members: NDArray[np.generic]) -> list[str]:
    problems = []
    if scores.ndim != 1 or members.shape != scores.shape:
        problems.append(
            f"one score and one flag per candidate are needed, not shapes {scores.shape} and {members.shape}"
        )
    if not np.isfinite(scores).all():
        problems.append(f"{np.count_nonzero(~np.isfinite(scores))} scores are not finite")
    if members.dtype != np.bool_:
        return [*problems, f"members must be boolean, not {members.dtype}"]
    inside, outside = int(np.count_nonzero(members)), int(np.count_nonzero(~members.astype(np.bool_)))
    if min(inside, outside) < 2:
        problems.append(f"at least 2 members and 2 non-members are needed, not {inside} and {outside}")
    return problems
