"""The checks of LiRA, RMIA, the loss attack and the control: known answers, and planted victims, leaky and safe."""

import math
from typing import Literal

import torch
from scipy.stats import norm
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.membership import Lab, MembershipAnswer, MembershipView
from amulet_core.streams import isolated
from amulet_plugins_builtin.catalogue.membership import LiraParams, LossThresholdParams, RmiaParams
from amulet_plugins_builtin.membership import lira as lira_attack
from amulet_plugins_builtin.membership import loss_threshold as loss_attack
from amulet_plugins_builtin.membership import random_score as random_attack
from amulet_plugins_builtin.membership import rmia as rmia_attack
from amulet_plugins_builtin.membership.expectations import RATE, Scorer, area, chance, own_threshold, within
from amulet_plugins_builtin.membership.planted import Planted, planted


def lira() -> tuple[Check, ...]:
    """Return the checks of LiRA."""
    return (
        Check(
            "Offline LiRA has the AUC of the closed form on Gaussian confidences.",
            "The two-sided density in place of the one-sided tail would have AUC .64 here, not .76.",
            _offline_lira_meets_the_closed_form,
        ),
        Check(
            "Online LiRA has the AUC of the closed form where training changes the spread of confidences alone.",
            "One sigma for both Gaussians, or the one-sided tail of the offline attack, finds nothing there.",
            _online_lira_meets_the_closed_form,
        ),
        own_threshold(_lira, of=", offline,"),
        own_threshold(_lira_online, of=", online,"),
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
            "Its scores are those of the definition, in plain arithmetic: offline.",
            "A ratio to anything but OUT models' probabilities is another attack, or the loss.",
            lambda: _scores_are_the_definition("offline"),
        ),
        Check(
            "Its scores are those of the definition, in plain arithmetic: online.",
            "An average that forgets IN models compares members with the models that do not know them.",
            lambda: _scores_are_the_definition("online"),
        ),
        own_threshold(_rmia),
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
        own_threshold(_loss),
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


def _lira(view: MembershipView) -> MembershipAnswer:
    return lira_attack.attack(view, LiraParams(shadow_models=16))


def _lira_online(view: MembershipView) -> MembershipAnswer:
    return lira_attack.attack(view, LiraParams(shadow_models=16, mode="online"))


def _rmia(view: MembershipView) -> MembershipAnswer:
    return rmia_attack.attack(view, RmiaParams(shadow_models=16))


def _loss(view: MembershipView) -> MembershipAnswer:
    return loss_attack.attack(view, LossThresholdParams(false_positive_rate=RATE))


def _random(view: MembershipView) -> MembershipAnswer:
    with isolated("check", "random-score"):
        return random_attack.attack(view, NoParams())


def _game(*, shift: float) -> Planted:
    return planted(rows=2000, shadow_models=16, shift=shift, difficulty=3.0, seed=1)


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


def _online_lira_meets_the_closed_form() -> None:
    game = planted(rows=4000, shadow_models=32, shift=0.0, spread=3.0, seed=3)
    params = LiraParams(shadow_models=32, mode="online", variance="shared")
    found = area(game, lambda view: lira_attack.attack(view, params)).estimate
    # The ratio rises with the distance from 0: the AUC is the probability that |N(0, 9)| exceeds |N(0, 1)|.
    exact = 2 / math.pi * math.atan(3)
    # Four standard errors; what 16 models of each kind do not know of the means costs .01.
    within("AUC", found, exact - 0.038, exact + 0.028)


def _scores_are_the_definition(mode: Literal["online", "offline"]) -> None:
    view = planted(rows=40, shadow_models=4, shift=1.0, difficulty=2.0, population=30, seed=9).view
    found = rmia_attack.attack(view, RmiaParams(shadow_models=4, mode=mode, gamma=1.5, a=0.3)).score.tolist()
    ratios_x = _ratios(view.observed, view.lab.candidates, view.y, view.lab.members, mode)
    nobody = torch.zeros(4, 30, dtype=torch.bool)
    ratios_z = _ratios(view.observed_population, view.lab.population, view.population_y, nobody, mode)
    for score, x in zip(found, ratios_x, strict=True):
        exact = sum(x / z >= 1.5 for z in ratios_z) / len(ratios_z)
        within("a score", score, exact - 1e-12, exact + 1e-12)


def _ratios(observed: Tensor, shadow: Tensor, y: Tensor, members: Tensor, mode: str) -> list[float]:
    """Return Pr(row | victim) / Pr(row) of each row, row by row: 2312.03262, with a = 0.3 offline."""
    found = []
    for row, label in enumerate(y.tolist()):
        said = shadow[:, row, label].double().exp()
        inside, outside = (said[kind].tolist() for kind in (members[:, row], ~members[:, row]))
        without = sum(outside) / len(outside)
        online = (sum(inside) / len(inside) + without) / 2 if inside else without
        known = online if mode == "online" else (1.3 * without + 0.7) / 2
        found.append(math.exp(observed[row, label].double()) / known)
    return found


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
