"""The checks of the built-in membership inference components: known answers, and planted victims, leaky and safe."""

import math
from collections.abc import Callable

import torch
from scipy.stats import norm
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.membership import Lab, MembershipAnswer, MembershipResult, MembershipView
from amulet_core.scores import Scores, Withheld
from amulet_core.statistics.interval import Interval
from amulet_core.statistics.membership import auc
from amulet_core.streams import isolated
from amulet_plugins_builtin.catalogue.membership import (
    LiraParams,
    LossThresholdParams,
    MembershipMetricParams,
    RmiaParams,
)
from amulet_plugins_builtin.membership import lira as lira_attack
from amulet_plugins_builtin.membership import loss_threshold as loss_attack
from amulet_plugins_builtin.membership import metric as membership_metric
from amulet_plugins_builtin.membership import random_score as random_attack
from amulet_plugins_builtin.membership import rmia as rmia_attack
from amulet_plugins_builtin.membership.planted import Planted, planted

Scorer = Callable[[MembershipView], MembershipAnswer]


def lira() -> tuple[Check, ...]:
    """Return the checks of LiRA."""
    return (
        Check(
            "Offline LiRA has the AUC of the closed form on Gaussian confidences.",
            "The two-sided density in place of the one-sided tail would have AUC .64 here, not .76.",
            _offline_lira_meets_the_closed_form,
        ),
        Check(
            "Online LiRA beats the loss where some rows are easier than others.",
            "A likelihood ratio that forgets a row's own difficulty tells no more than the loss.",
            lambda: beats_the_loss(_lira_online),
        ),
        Check(
            "Nothing is found on a planted safe victim, offline.",
            "A leak of the truth into the scores would show here.",
            lambda: _chance_on_a_safe_victim(_lira),
        ),
        Check(
            "Nothing is found on a planted safe victim, online.",
            "A leak of the truth into the scores would show here.",
            lambda: _chance_on_a_safe_victim(_lira_online),
        ),
        Check(
            "Models that all agree make every score equal.",
            "A variance of 0 must give neither NaN nor an order made of rounding errors.",
            lambda: equal_on_equal_models(_lira),
        ),
    )


def rmia() -> tuple[Check, ...]:
    """Return the checks of RMIA."""
    return (
        Check(
            "The binary search counts the same pairs as a loop over all of them, equality included.",
            "An off-by-one at ties changes every score of a model that gives few distinct probabilities.",
            _search_equals_the_double_loop,
        ),
        Check(
            "RMIA beats the loss where some rows are easier than others.",
            "A ratio that forgets the reference models tells no more than the loss.",
            lambda: beats_the_loss(_rmia),
        ),
        Check(
            "Nothing is found on a planted safe victim.",
            "A leak of the truth into the scores would show here.",
            lambda: _chance_on_a_safe_victim(_rmia),
        ),
        Check(
            "Models that all agree make every score equal.",
            "An order made of rounding errors would be no finding.",
            lambda: equal_on_equal_models(_rmia),
        ),
    )


def loss_threshold() -> tuple[Check, ...]:
    """Return the checks of the loss attack."""
    return (
        Check(
            "The loss finds every member of a victim that is sure of nothing else.",
            "A score of the wrong sign would find none.",
            lambda: within("AUC", area(_game(shift=100.0), _loss).estimate, 1.0, 1.0),
        ),
        Check(
            "Nothing is found on a planted safe victim.",
            "A leak of the truth into the scores would show here.",
            lambda: _chance_on_a_safe_victim(_loss),
        ),
    )


def random_score() -> tuple[Check, ...]:
    """Return the checks of the control."""
    return (
        Check(
            "The control finds nothing, however leaky the victim.",
            "A control that knew something would hide what the attacks find.",
            lambda: chance(_game(shift=100.0), _random),
        ),
    )


def metric() -> tuple[Check, ...]:
    """Return the checks of the membership metric."""
    return (
        Check(
            "Gaussian scores have the AUC and TPR of the closed form.",
            "A curve with interpolated ties or a shifted threshold misses the TPR at low FPR first.",
            _metric_meets_the_closed_form,
        ),
        Check(
            "Values that the candidates cannot support are withheld.",
            "A TPR at 0.1 % FPR from 100 non-members is noise, and a threshold found on the candidates flatters.",
            _metric_withholds,
        ),
    )


def _lira(view: MembershipView) -> MembershipAnswer:
    return lira_attack.attack(view, LiraParams(shadow_models=16))


def _lira_online(view: MembershipView) -> MembershipAnswer:
    return lira_attack.attack(view, LiraParams(shadow_models=16, mode="online"))


def _rmia(view: MembershipView) -> MembershipAnswer:
    return rmia_attack.attack(view, RmiaParams(shadow_models=16))


def _loss(view: MembershipView) -> MembershipAnswer:
    return loss_attack.attack(view, LossThresholdParams())


def _random(view: MembershipView) -> MembershipAnswer:
    with isolated("check", "random-score"):
        return random_attack.attack(view, NoParams())


def _game(*, shift: float) -> Planted:
    return planted(rows=2000, shadow_models=16, shift=shift, difficulty=3.0, seed=1)


def area(game: Planted, scorer: Scorer, *, level: float = 0.95) -> Interval:
    """Return the AUC of an attack's scores, with its interval."""
    return auc(scorer(game.view).score.numpy(), game.member.numpy(), level=level)


def within(what: str, found: float, low: float, high: float) -> None:
    """Raise an AssertionError unless ``found`` lies between ``low`` and ``high``."""
    if not low <= found <= high:
        raise AssertionError(f"{what} is {found:.6f}, expected {low:.6f} to {high:.6f}")


def chance(game: Planted, scorer: Scorer) -> None:
    """Raise an AssertionError unless the 99.9 % interval of the AUC holds 1/2."""
    found = area(game, scorer, level=0.999)
    if not found.low <= 0.5 <= found.high:
        raise AssertionError(
            f"the 99.9 % interval of the AUC is {found.low:.4f} to {found.high:.4f}, expected to hold .5"
        )


def _chance_on_a_safe_victim(scorer: Scorer) -> None:
    chance(_game(shift=0.0), scorer)


def beats_the_loss(scorer: Scorer) -> None:
    """Raise an AssertionError unless the attack surely tells more than the loss where rows differ in difficulty."""
    game = _game(shift=2.0)
    found, loss = area(game, scorer, level=0.999), area(game, _loss, level=0.999)
    if found.low <= loss.high:
        raise AssertionError(f"AUC {found.estimate:.4f} is not surely above the loss attack's {loss.estimate:.4f}")


def equal_on_equal_models(scorer: Scorer) -> None:
    """Raise an AssertionError unless one score comes of a victim and shadow models that say the same of every row."""
    game = _game(shift=2.0)
    lab = game.view.lab
    same = game.view.observed[0].expand_as(game.view.observed)
    view = game.view.model_copy(
        update={
            "y": torch.zeros_like(game.view.y),
            "observed": same,
            "lab": Lab(candidates=same.expand_as(lab.candidates), members=lab.members, population=lab.population),
        }
    )
    scores = scorer(view).score
    if not torch.isfinite(scores).all() or len(scores.unique()) != 1:
        raise AssertionError(f"{len(scores.unique())} different scores, expected a single finite one")


def _offline_lira_meets_the_closed_form() -> None:
    game = planted(rows=20_000, shadow_models=64, shift=1.0, seed=2)
    params = LiraParams(shadow_models=64, mode="offline", variance="shared")
    found = area(game, lambda view: lira_attack.attack(view, params)).estimate
    # The mean of 32 OUT models adds its own variance, 1/32, to each of the two confidences compared.
    exact = float(norm.cdf(1 / math.sqrt(2 + 2 / 32)))
    # Four standard errors of an AUC near .75 from 10,000 members and as many non-members.
    within("AUC", found, exact - 0.014, exact + 0.014)


def _search_equals_the_double_loop() -> None:
    draws = torch.Generator().manual_seed(4)
    x = torch.randn(50, generator=draws, dtype=torch.float64)
    # Half of the population ties: its ratio to a candidate is exactly gamma.
    z = torch.cat([x[:20] - math.log(2), torch.randn(20, generator=draws, dtype=torch.float64)])
    found = rmia_attack.share_beaten(x, z, gamma=2.0)
    exact = torch.tensor(
        [sum(b <= a - math.log(2) for b in z.tolist()) / len(z) for a in x.tolist()], dtype=torch.float64
    )
    if not torch.equal(found, exact):
        raise AssertionError(f"shares {found.tolist()}, expected {exact.tolist()}")


def _metric_meets_the_closed_form() -> None:
    member = torch.arange(100_000) < 50_000
    scores = torch.randn(100_000, generator=torch.Generator().manual_seed(5), dtype=torch.float64) + member.double()
    found = _measured(scores, member, threshold=0.5)
    # Four standard errors each.
    within("AUC", found["auc"].estimate, 0.760250 - 0.006, 0.760250 + 0.006)
    within("TPR at 1 % FPR", found["tpr_at_1_percent_fpr"].estimate, 0.092362 - 0.012, 0.092362 + 0.012)
    within("TPR at 0.1 % FPR", found["tpr_at_0_1_percent_fpr"].estimate, 0.018298 - 0.008, 0.018298 + 0.008)
    within(
        "balanced accuracy",
        found["balanced_accuracy"].estimate,
        float(norm.cdf(0.5)) - 0.007,
        float(norm.cdf(0.5)) + 0.007,
    )


def _metric_withholds() -> None:
    found = _measured(torch.linspace(0, 1, 200, dtype=torch.float64), torch.arange(200) % 2 == 0, threshold=None)
    shown = [
        name
        for name in ("tpr_at_1_percent_fpr", "tpr_at_0_1_percent_fpr", "balanced_accuracy")
        if not isinstance(found[name], Withheld)
    ]
    if shown:
        raise AssertionError(f"shown: {', '.join(shown)}; expected: all withheld")


def _measured(scores: Tensor, member: Tensor, *, threshold: float | None) -> Scores:
    with isolated("check", "membership"):
        return membership_metric.measure(
            MembershipResult(score=scores, member=member, threshold=threshold),
            MembershipMetricParams(permutations=20),
        )
