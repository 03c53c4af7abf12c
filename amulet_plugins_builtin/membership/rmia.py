"""RMIA, the robust membership inference attack: how many rows of the population does a candidate beat in likelihood?"""

import math

import torch
from torch import Tensor

from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_plugins_builtin.catalogue.membership import RmiaParams
from amulet_plugins_builtin.membership.confidence import label_log_probability
from amulet_plugins_builtin.membership.shadows import first_models, has_both_sides, threshold_from_plays


def attack(view: MembershipView, params: RmiaParams) -> MembershipAnswer:
    """Score each candidate x by the share of population rows z with LR(x, z) >= gamma.

    LR(x, z) = (Pr(x | victim) / Pr(x)) / (Pr(z | victim) / Pr(z)); Pr(. | model) is the probability of the true
    label. Source: 2312.03262 (the pairwise ratio, its online average over IN and OUT models, and its offline
    approximation, which is applied to x and z alike). gamma is 1 by default: on most rows of a task with two classes no
    ratio reaches 2, and all of them would tie at score 0. The threshold comes from shadow models that play the victim;
    None with fewer than 4 of them.

    Raises:
        ValueError: if the lab has fewer than ``params.shadow_models`` models, a candidate lacks IN or OUT ones,
            or the population is empty.
    """
    if not len(view.population_y):
        raise ValueError("rmia: the adversary has no population rows to compare candidates with: raise population")
    online = params.mode == "online" or (
        params.mode == "auto" and has_both_sides(view.lab.members[: params.shadow_models])
    )
    lab = first_models(
        view.lab, models=params.shadow_models, attack="rmia", sides=("IN", "OUT") if online else ("OUT",)
    )
    shadow_x = label_log_probability(lab.candidates, view.y)
    shadow_z = label_log_probability(lab.population, view.population_y)

    def score(x: Tensor, z: Tensor, models: Tensor) -> Tensor:
        a = None if online else params.a
        members = lab.members[models]
        ratio_x = log_ratio(shadow_x[models], members, x, a=a)
        # No model was trained on a population row, so Pr(z) averages OUT models, which for z are all.
        ratio_z = log_ratio(shadow_z[models], torch.zeros_like(shadow_z[models], dtype=torch.bool), z, a=a)
        return share_beaten(ratio_x, ratio_z, gamma=params.gamma)

    return MembershipAnswer(
        score=score(
            label_log_probability(view.observed, view.y),
            label_log_probability(view.observed_population, view.population_y),
            torch.arange(params.shadow_models),
        ),
        threshold=threshold_from_plays(
            lambda victim, others: score(shadow_x[victim], shadow_z[victim], others), lab.members
        ),
    )


def log_ratio(shadow: Tensor, members: Tensor, observed: Tensor, *, a: float | None) -> Tensor:
    """Return log(Pr(row | victim) / Pr(row)), float64 ``[n]``.

    ``shadow`` ``[models, n]`` and ``observed`` ``[n]`` are log-probabilities of the true label; ``members`` bool
    ``[models, n]``. Online (``a`` None), Pr(row) is the mean of its IN and its OUT mean, which is the mean over all
    models where both are equally many; a side without a model is left out. Offline it is ((1 + a) Pr_OUT + 1 - a) / 2.
    """
    # Relative to the observed value, equal models differ by exactly 0, whatever the order of the sums.
    away = shadow - observed
    outside = _log_mean(away, ~members)
    if a is None:
        inside = _log_mean(away, members)
        inside = torch.where(torch.isfinite(inside), inside, outside)
        return math.log(2) - torch.logaddexp(inside, outside)
    rest = math.log1p(-a) if a < 1 else -math.inf
    return math.log(2) - torch.logaddexp(math.log1p(a) + outside, rest - observed)


def share_beaten(ratio_x: Tensor, ratio_z: Tensor, *, gamma: float) -> Tensor:
    """Return, for each candidate, the share of population rows with LR >= gamma, float64 ``[n]``; equality counts.

    Both are log-ratios, ``[n]`` and ``[m]``; LR(x, z) >= gamma is ratio_z <= ratio_x - log(gamma), counted by binary
    search.
    """
    beaten = torch.searchsorted(ratio_z.sort().values, ratio_x - math.log(gamma), right=True)
    return beaten.double() / len(ratio_z)


def _log_mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the log of the mean of exp(values) over the ``chosen`` of each column; -inf where there are none."""
    masked = torch.where(chosen, values, -math.inf)
    top = masked.amax(0)
    base = torch.where(torch.isfinite(top), top, 0.0)
    return ((masked - base).exp().sum(0) / chosen.sum(0).clamp(min=1)).log() + base
