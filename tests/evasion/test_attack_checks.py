"""The checks that the attacks ship: each of them catches what it is there for."""

from functools import partial

import pytest

from amulet_core.games.evasion import EvasionAnswer
from amulet_plugins_builtin.catalogue.evasion_attacks import ApgdParams, AutoAttackParams, DeepFoolParams, SquareParams
from amulet_plugins_builtin.evasion import apgd, attack_checks, autoattack, checks, deepfool, losses, square
from amulet_plugins_builtin.evasion.losses import targeted_dlr


def nothing(view):
    return EvasionAnswer(x=view.x.expand(len(view.epsilons), *view.x.shape).clone())


def too_far(view):
    return square.attack(view.model_copy(update={"epsilons": tuple(3 * e for e in view.epsilons)}), SquareParams())


def against_the_prediction(view):
    return square.attack(view.model_copy(update={"y": view.model.labels(view.x)}), SquareParams())


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("attack", "text"),
    [
        (partial(apgd.attack, params=ApgdParams()), "that a third of the budget can fool are, expected above"),
        (too_far, "that no input within the budget fools, expected 0"),
    ],
)
def test_an_attack_that_masks_stop_or_that_goes_too_far_is_caught(norm, attack, text):
    with pytest.raises(AssertionError, match=text):
        attack_checks.needs_no_gradients(attack, norm=norm)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("attack", "text"),
    [
        (nothing, "0 of 100 rows are fooled"),
        (
            partial(deepfool.attack, params=DeepFoolParams(overshoot=0.1)),
            "times the smallest that fools, expected 1.02",
        ),
        (partial(apgd.attack, params=ApgdParams()), "times the smallest that fools, expected 1.02"),
    ],
)
def test_a_change_that_is_not_the_smallest_is_caught(norm, attack, text):
    with pytest.raises(AssertionError, match=text):
        attack_checks.needs_no_more(attack, norm=norm, ratio=1.0201)


def test_an_attack_that_keeps_silent_about_masks_is_caught():
    def silent(view):
        return autoattack.attack(view, AutoAttackParams(queries=100)).model_copy(update={"warnings": ()})

    with pytest.raises(AssertionError, match=r"^the warnings are \[\], expected of zero gradients and random search$"):
        attack_checks.warns_of_masks(silent)


def test_an_attack_that_warns_of_everything_is_caught():
    def loud(view):
        return autoattack.attack(view, AutoAttackParams(queries=100)).model_copy(
            update={"warnings": ("masked gradients: a", "masked gradients: b")}
        )

    with pytest.raises(AssertionError, match=r"^the warnings of a model that hides nothing are "):
        attack_checks.warns_of_masks(loud)


def test_an_attack_on_the_predicted_label_is_caught():
    with pytest.raises(AssertionError, match=r"the attack repaired \d+ of 100 misclassified rows, expected 0$"):
        checks.keeps_mistakes(against_the_prediction)


def reversed_slope(logits, y, target):
    return -targeted_dlr(logits, y, target)


def broken(*given, **more):
    raise ZeroDivisionError("no squares")


@pytest.mark.parametrize(
    ("part", "mutant", "checks", "word", "error"),
    [
        ("losses.targeted_dlr", reversed_slope, "apgd", "behind", "0 of 50 rows reach the class behind the decoy"),
        (
            "losses.targeted_dlr",
            reversed_slope,
            "autoattack",
            "behind",
            "0 of 50 rows reach the class behind the decoy",
        ),
        ("losses.targeted_dlr", losses.ce, "autoattack", "behind", "0 of 50 rows reach the class behind the decoy"),
        ("losses.targeted_dlr", reversed_slope, "apgd", "targeted-dlr fools", "images that can be fooled are not"),
        ("apgd._checked", lambda state, stretch: state, "apgd", "small region", "0 of 40 rows reach the small region"),
        ("square.square_blocks", broken, "square", "six classes", "no squares"),
        (
            "deepfool.likeliest",
            lambda scores, y, count: scores.argsort(1)[:, :1],
            "deepfool",
            "six",
            "can be fooled are not",
        ),
    ],
)
def test_a_mutant_is_caught_where_there_are_many_classes_or_a_long_way(monkeypatch, part, mutant, checks, word, error):
    monkeypatch.setattr(f"amulet_plugins_builtin.evasion.{part}", mutant)
    made = getattr(attack_checks, f"{checks}_checks")()
    (check, *_) = [check for check in made if word in check.name]
    with pytest.raises((AssertionError, ZeroDivisionError), match=error):
        check.run()
