"""Known-answer and power checks of the attacks on membership: planted shifts, closed forms, and safe victims."""

from functools import partial
from typing import Final

import torch
from amulet_core.checks import Check
from amulet_core.streams import isolated

from amulet_plugin_art import membership, planted
from amulet_plugin_art.settings import BoundaryDistanceParams, ShadowClassifierParams

_POWER: Final = "an attack without power makes every defense look good"
_SAFE: Final = "what is found where there is nothing to find is the attack's own mistake"
_RATIO: Final = 1.25
"""By how much a distance that five steps found may be larger than that to a plane."""


def shadow_classifier_checks() -> tuple[Check, ...]:
    """Return the checks of ``shadow-classifier``."""
    return (
        Check(
            "where log-odds of members are shifted by 2, its AUC comes near the best, Phi(2 / sqrt 2) = .921",
            _POWER,
            partial(comes_near_the_best_auc, ShadowClassifierParams()),
        ),
        Check(
            "where they are not shifted, its AUC is .5",
            _SAFE,
            partial(sits_at_chance, ShadowClassifierParams()),
        ),
    )


def boundary_distance_checks() -> tuple[Check, ...]:
    """Return the checks of ``boundary-distance``."""
    return (
        Check(
            "its scores are the distances to the plane of a linear victim, and 0 for rows on the wrong side",
            "a score that is no distance ranks candidates by chance",
            partial(measures_distances, BoundaryDistanceParams(steps=5, evaluations=50)),
        ),
        Check(
            "it tells members from others, all of which the victim classifies correctly",
            _POWER,
            partial(finds_members, BoundaryDistanceParams()),
        ),
        Check(
            "a victim that never changes its answer gives all candidates the same score",
            _SAFE,
            partial(scores_constant_victims_alike, BoundaryDistanceParams()),
        ),
    )


def comes_near_the_best_auc(params: ShadowClassifierParams) -> None:
    """Compare with the AUC of the likelihood ratio."""
    found = _shadowed(params, shift=2.0)
    assert 0.85 < found < 0.95, f"the AUC is {found:.3f}, expected .85 to .95"


def sits_at_chance(params: ShadowClassifierParams) -> None:
    """Attack a victim whose members are like all others."""
    found = _shadowed(params, shift=0.0)
    # Four standard errors of an AUC of 500 members and 500 others.
    assert abs(found - 0.5) < 0.075, f"the AUC is {found:.3f}, expected .5 within .075"


def _shadowed(params: ShadowClassifierParams, *, shift: float) -> float:
    view, member = planted.shadowed_view(shift=shift)
    with isolated("check"):
        return planted.auc(membership.shadow_classifier(view, params).score, member)


def measures_distances(params: BoundaryDistanceParams) -> None:
    """Compare scores with the distance of each row to the plane, in units of the ranges."""
    model, x = planted.Linear(), planted.rows(30)
    y = model(x).argmax(1)
    y[:10] = 1 - y[:10]
    with isolated("check"):
        score = membership.boundary_distance(planted.membership_view(model, x, y), params).score
    wrong = int((score[:10] != 0).sum())
    assert not wrong, f"{wrong} of 10 misclassified rows have another score than 0, expected 0"
    ratio = score[10:] / model.needed(x[10:], "l2")
    least, middle = float(ratio.min()), float(ratio.median())
    assert least > 0.999, f"a score is {least:.3f} of the distance to the plane, expected 1 or more"
    assert middle < _RATIO, f"the scores are {middle:.3f} times the distance (median), expected below {_RATIO:g}"


def finds_members(params: BoundaryDistanceParams) -> None:
    """Attack a victim whose members lie six times as far from its boundary as others, on the same side."""
    model, x, member = planted.islands()
    view = planted.membership_view(model, x, torch.ones(len(x), dtype=torch.int64))
    with isolated("check"):
        found = planted.auc(membership.boundary_distance(view, params).score, member)
    assert found > 0.8, f"the AUC is {found:.3f}, expected above .8"


def scores_constant_victims_alike(params: BoundaryDistanceParams) -> None:
    """Attack a victim without any boundary."""
    x = planted.rows(10)
    view = planted.membership_view(planted.Constant(), x, torch.zeros(len(x), dtype=torch.int64))
    with isolated("check"):
        score = membership.boundary_distance(view, params).score
    assert len(score.unique()) == 1, f"there are {len(score.unique())} scores, expected one"
