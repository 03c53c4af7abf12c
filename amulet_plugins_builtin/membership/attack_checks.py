"""The checks of the gap, entropy, confidence and quantile attacks: closed forms, and victims leaky and safe."""

import math
from typing import Literal

import torch
from scipy.stats import norm

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_plugins_builtin.catalogue.membership_attacks import (
    ConfidenceAdversarialParams,
    EntropyParams,
    QuantileParams,
)
from amulet_plugins_builtin.membership import confidence_adversarial as confidence_attack
from amulet_plugins_builtin.membership import entropy as entropy_attack
from amulet_plugins_builtin.membership import gap as gap_attack
from amulet_plugins_builtin.membership import quantile as quantile_attack
from amulet_plugins_builtin.membership.checks import beats_the_loss, equal_on_equal_models
from amulet_plugins_builtin.membership.expectations import (
    RATE,
    Scorer,
    area,
    chance,
    own_threshold,
    share_called,
    threshold_of,
    within,
)
from amulet_plugins_builtin.membership.planted import planted
from amulet_plugins_builtin.membership.planted_models import REACH, memoriser, slopes

_FIXED: tuple[Literal["shadow", "class", "population"], ...] = ("shadow", "class", "population")
_LEAK = "A leak of the truth into the scores would show here."
_SAFE = "Nothing is found on a planted safe victim."


def gap() -> tuple[Check, ...]:
    """Return the checks of the gap attack."""
    return (
        Check(
            "A nearest-neighbour memoriser of random labels over C classes gives AUC 1 - 1 / (2 C), for C = 2 and 10.",
            "Guessed labels look like members: another value means that labels or rows are mixed up.",
            _gap_has_the_known_auc,
        ),
        Check(_SAFE, _LEAK, lambda: chance(memoriser(rows=2000, classes=4, seed=3, knows_candidates=False), _gap)),
    )


def entropy() -> tuple[Check, ...]:
    """Return the checks of the entropy attack."""
    return (
        Check(
            "The modified entropy is that of the definition, in plain arithmetic.",
            "A sum over the wrong classes is no measure of being sure of the true label.",
            _entropy_is_the_definition,
        ),
        Check(
            "Each class has its own threshold: members are found where one class is easier than the other.",
            "One threshold for all classes calls the easy class members and the other one not.",
            _class_thresholds_tell_more,
        ),
        own_threshold(_entropy),
        Check(_SAFE, _LEAK, lambda: chance(planted(rows=2000, shadow_models=16, shift=0.0, seed=1), _entropy)),
        Check(
            "Models that all agree make every score equal.",
            "An order made of rounding errors would be no finding.",
            lambda: equal_on_equal_models(_entropy),
        ),
    )


def confidence_adversarial() -> tuple[Check, ...]:
    """Return the checks of the confidence attack."""
    return (
        Check(
            "Where members differ in slope alone, adversarial examples give the AUC of the closed form.",
            "A climb that stops short of the budget, or leaves it, misses it.",
            _adversarial_examples_meet_the_closed_form,
        ),
        Check(
            "There the confidence at the rows themselves finds nothing.",
            "Benign inputs that are changed on the way would be no benign inputs.",
            lambda: chance(slopes(rows=4000, shift=1.0, seed=3), _benign),
        ),
        Check(_SAFE, _LEAK, lambda: chance(slopes(rows=4000, shift=0.0, seed=4), _adversarial)),
        Check(
            "Of each class the share of others called members is the one that was asked for.",
            "Thresholds of another sign or class call nearly all rows of a class members, or none.",
            _class_thresholds_keep_the_rate,
        ),
        *(own_threshold(_benign_with(threshold), of=f", {threshold},") for threshold in _FIXED),
        Check(
            "No threshold is handed back for the oracle.",
            "One that is found on the candidates flatters the attack.",
            _the_oracle_hands_back_no_threshold,
        ),
    )


def quantile() -> tuple[Check, ...]:
    """Return the checks of the quantile attack."""
    return (
        Check(
            "Where a row tells how easy it is, the AUC is nearly that of knowing its ease.",
            "A quantile that is not told from the row leaves no more than the loss.",
            _the_quantile_takes_the_ease_off,
        ),
        Check(
            "It beats the loss there.",
            "A quantile that is the same for all rows is the loss attack.",
            lambda: beats_the_loss(_quantile),
        ),
        own_threshold(lambda view: quantile_attack.attack(view, QuantileParams(false_positive_rate=RATE))),
        Check(
            "Of rows that are no members it calls the share members that was asked for.",
            "The quantile of the opposite level is the same at the default rate of 1/2 alone.",
            _the_quantile_keeps_its_rate,
        ),
        Check(
            _SAFE,
            _LEAK,
            lambda: chance(planted(rows=2000, shadow_models=2, shift=0.0, difficulty=3.0, seed=1), _quantile),
        ),
    )


def _gap(view: MembershipView) -> MembershipAnswer:
    return gap_attack.attack(view, NoParams())


def _entropy(view: MembershipView) -> MembershipAnswer:
    return entropy_attack.attack(view, EntropyParams(shadow_models=16))


def _adversarial(view: MembershipView) -> MembershipAnswer:
    params = ConfidenceAdversarialParams(epsilon=REACH, threshold="oracle")
    return confidence_attack.attack(view, params)


def _benign(view: MembershipView) -> MembershipAnswer:
    return confidence_attack.attack(view, ConfidenceAdversarialParams(inputs="benign", threshold="oracle"))


def _benign_with(threshold: Literal["shadow", "class", "population"]) -> Scorer:
    params = ConfidenceAdversarialParams(inputs="benign", threshold=threshold, false_positive_rate=RATE)
    return lambda view: confidence_attack.attack(view, params)


def _quantile(view: MembershipView) -> MembershipAnswer:
    return quantile_attack.attack(view, QuantileParams())


def _gap_has_the_known_auc() -> None:
    for classes in (2, 10):
        found = area(memoriser(rows=4000, classes=classes, seed=classes), _gap).estimate
        exact, error = 1 - 1 / (2 * classes), math.sqrt(1 / classes * (1 - 1 / classes) / 2000) / 2
        within(f"the AUC over {classes} classes", found, exact - 4 * error, exact + 4 * error)


def _entropy_is_the_definition() -> None:
    draws = torch.Generator().manual_seed(1)
    p = torch.softmax(2 * torch.randn(50, 5, generator=draws, dtype=torch.float64), 1)
    y = torch.randint(0, 5, (50,), generator=draws)
    found = entropy_attack.log_modified_entropy(p.log(), y).exp().tolist()
    for row, label, value in zip(p.tolist(), y.tolist(), found, strict=True):
        exact = sum(-(1 - q) * math.log(q) if i == label else -q * math.log(1 - q) for i, q in enumerate(row))
        within("the modified entropy", value, exact * (1 - 1e-12), exact * (1 + 1e-12))


def _class_thresholds_tell_more() -> None:
    game = planted(rows=4000, shadow_models=16, shift=2.0, class_offset=5.0, seed=5)
    found = area(game, _entropy, level=0.999)
    alone = area(game, lambda view: MembershipAnswer(score=-entropy_attack.log_modified_entropy(view.observed, view.y)))
    if found.low <= alone.high:
        raise AssertionError(
            f"AUC {found.estimate:.4f} with class thresholds is not surely above {alone.estimate:.4f} without"
        )


def _adversarial_examples_meet_the_closed_form() -> None:
    exact = float(norm.cdf(1 / math.sqrt(2)))
    # Four standard errors of an AUC near .76 from 4,000 members and as many non-members.
    found = area(slopes(rows=8000, shift=1.0, seed=2), _adversarial).estimate
    within("AUC", found, exact - 0.021, exact + 0.021)


def _class_thresholds_keep_the_rate() -> None:
    rate, n = 0.1, 4000
    view = slopes(rows=n, shift=0.0, population=n, seed=6).view
    answer = confidence_attack.attack(view, ConfidenceAdversarialParams(epsilon=REACH, false_positive_rate=rate))
    called = answer.score >= threshold_of(answer)
    # Share and threshold come from about n / 2 rows each: four standard errors of their difference.
    error = 4 * (2 * rate * (1 - rate) / (n / 2)) ** 0.5
    for label in (0, 1):
        found = float(called[view.y == label].double().mean())
        within(f"the share of class {label}", found, rate - error, rate + error)


def _the_oracle_hands_back_no_threshold() -> None:
    found = _adversarial(slopes(rows=100, shift=1.0, seed=5).view).threshold
    if found is not None:
        raise AssertionError(f"the threshold {found} was handed back, expected none")


def _the_quantile_takes_the_ease_off() -> None:
    game = planted(rows=8000, shadow_models=2, shift=1.5, difficulty=3.0, population=8000, seed=6)
    exact = float(norm.cdf(1.5 / math.sqrt(2)))
    # Four standard errors below it and, for what the trees do not know of the ease, .02 more.
    within("AUC", area(game, _quantile).estimate, exact - 0.04, exact + 0.02)


def _the_quantile_keeps_its_rate() -> None:
    game = planted(rows=4000, shadow_models=2, shift=2.0, difficulty=3.0, population=4000, seed=8)
    answer = quantile_attack.attack(game.view, QuantileParams(false_positive_rate=0.1))
    # Trees of a few rows each know a row's own quantile about as well as a quarter of the rows would.
    share_called(answer, game, rate=0.1, own=1000)
