"""LiRA, the likelihood ratio attack: is the victim's confidence on a row that of models trained with it, or without?"""

from dataclasses import dataclass
from typing import Literal

import torch
from scipy.stats import norm
from torch import Tensor

from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_plugins_builtin.catalogue.membership import LiraParams
from amulet_plugins_builtin.membership.confidence import logit_confidence
from amulet_plugins_builtin.membership.shadows import first_models, threshold_from_plays

Mode = Literal["online", "offline"]
Variance = Literal["shared", "per-sample"]

RESOLUTION = 1e-6
"""The least standard deviation: log-probabilities are float32, smaller differences of confidence mean nothing."""


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian for each candidate's confidence, relative to the victim's: ``mean`` and ``sigma``, float64 ``[n]``."""

    mean: Tensor
    sigma: Tensor


def attack(view: MembershipView, params: LiraParams) -> MembershipAnswer:
    """Score each candidate by its likelihood ratio, larger for likelier members.

    Source: 2112.03570, Algorithm 1 (online and offline), without augmented queries. The threshold comes from shadow
    models that play the victim; None with fewer than 4 of them.

    Raises:
        ValueError: if the lab has fewer than ``params.shadow_models`` models, or a candidate lacks IN or OUT ones.
    """
    mode, variance = chosen_mode(params), chosen_variance(params)
    lab = first_models(
        view.lab,
        models=params.shadow_models,
        attack="lira",
        sides=("IN", "OUT") if mode == "online" else ("OUT",),
    )
    shadow = logit_confidence(lab.candidates, view.y)
    observed = logit_confidence(view.observed, view.y)

    def play(victim: int, others: Tensor) -> Tensor:
        return score(shadow[others], lab.members[others], shadow[victim], mode=mode, variance=variance)

    return MembershipAnswer(
        score=score(shadow, lab.members, observed, mode=mode, variance=variance),
        threshold=threshold_from_plays(play, lab.members),
    )


def chosen_mode(params: LiraParams) -> Mode:
    """Resolve ``auto``: offline below 32 shadow models, where a second Gaussian costs more than it tells."""
    if params.mode != "auto":
        return params.mode
    return "offline" if params.shadow_models < 32 else "online"


def chosen_variance(params: LiraParams) -> Variance:
    """Resolve ``auto``: one variance for all below 64 shadow models, as in 2112.03570."""
    if params.variance != "auto":
        return params.variance
    return "shared" if params.shadow_models < 64 else "per-sample"


def score(shadow: Tensor, members: Tensor, observed: Tensor, *, mode: Mode, variance: Variance) -> Tensor:
    """Return the score of each candidate, float64 ``[n]``.

    ``shadow`` ``[models, n]`` and ``observed`` ``[n]`` are confidences, ``members`` bool ``[models, n]``. Offline:
    log Pr[Z <= observed] for Z ~ OUT, one-sided, since training on a row raises its confidence. Online: the logarithm
    of the density of ``observed`` under IN over that under OUT.
    """
    # Relative to the observed value, equal models differ by exactly 0, whatever the order of the sums.
    away = shadow - observed
    outside = gaussian(away, ~members, variance=variance)
    if mode == "offline":
        return torch.from_numpy(norm.logcdf((-outside.mean / outside.sigma).numpy()))
    inside = gaussian(away, members, variance=variance)
    return log_density_at_observed(inside) - log_density_at_observed(outside)


def log_density_at_observed(fitted: Gaussian) -> Tensor:
    """Return the log-density at the victim's own confidence, ``[n]``, up to the constant that all Gaussians share."""
    return -((fitted.mean / fitted.sigma) ** 2) / 2 - fitted.sigma.log()


def gaussian(values: Tensor, chosen: Tensor, *, variance: Variance) -> Gaussian:
    """Fit a Gaussian to the ``chosen`` (bool) of the ``values`` of every column, both ``[models, n]``.

    Variances are unbiased, from squared distances to each column's own mean. The shared one divides their sum over all
    columns by its degrees of freedom, sum(models - 1); it also serves columns of a single model. Where
    no column has two, nothing is known of the scale and sigma is 1. Every column needs one model.
    """
    count = chosen.sum(0)
    mean = torch.where(chosen, values, 0.0).sum(0) / count
    squares = torch.where(chosen, (values - mean) ** 2, 0.0).sum(0)
    freedom = count - 1
    total = freedom.sum()
    shared = squares.sum() / total if total > 0 else torch.ones((), dtype=values.dtype)
    own = torch.where(freedom > 0, squares / freedom.clamp(min=1), shared)
    found = own if variance == "per-sample" else shared.expand_as(own)
    return Gaussian(mean, found.sqrt().clamp(min=RESOLUTION))
