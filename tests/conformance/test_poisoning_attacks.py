"""Poisoning attacks under the conformance kit: an honest one passes, and each misbehaviour is found out by one check."""

import re

import descriptors
import pytest

from amulet_core.testing import component_checks
from amulet_core.testing.static import static_checks


def attack(function):
    more = {"risk": "poisoning", "access": "training-data", "target": f"poisoners:{function}"}
    return descriptors.attack(function, **more)


STATIC = {check.name for check in static_checks("it", attack("honest"))}
RULES = "it keeps to the rules of its game"
POWER = "a network trained on its rows answers the target more often, or errs more often"
PROJECT = "replace at most view.budget rows, and end with amulet_core.feasible.project under linf and an epsilon of 1"
ANSWER = "a PoisoningAnswer within the budget, of possible rows and possible triggered inputs"

MUTANTS = {
    "greedy": (
        RULES,
        "on the toy table, at rate 0: ValueError: the answer breaks the rules of the game: 60 rows are replaced, the "
        "budget is 0",
        ANSWER,
        PROJECT,
    ),
    "immodest": (
        RULES,
        "on the toy table, at rate 0.4: ValueError: the answer breaks the rules of the game: 161 rows are replaced, "
        "the budget is 160",
        ANSWER,
        PROJECT,
    ),
    "boundless": (
        RULES,
        "on the toy table, at rate 0.4: ValueError: the answer breaks the rules of the game: 400 triggered inputs "
        "leave the data's bounds",
        ANSWER,
        PROJECT,
    ),
    "tongue_tied": (
        RULES,
        "on the toy table, at rate 0.4: ValueError: it returned list, expected a PoisoningAnswer",
        ANSWER,
        PROJECT,
    ),
    "crashing": (
        "it runs on the toy tasks",
        "on the toy table it raised RuntimeError: no luck",
        "a result with the default parameters",
        "mend what is raised, or let applicable() say why it cannot work on such data",
    ),
    "meddling": (
        "it leaves what it is given alone",
        "on the toy table it changed x of the view",
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "seeding": (
        "it never seeds the global generators",
        "under two keys the generator of torch ended in the same state",
        "two states, as the keys differ",
        "do not seed; simply draw from the global generators, or make a generator of your own from a draw",
    ),
}


def test_an_honest_attack_passes(failures):
    checks = component_checks(attack("honest"))
    assert failures(checks) == {}
    assert {check.name for check in checks} - STATIC >= {RULES, POWER}


def test_flipping_labels_is_power_too(failures):
    assert failures(component_checks(attack("flipping"))) == {}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fails_exactly_one_check_which_says_what_and_how_to_mend_it(name, failures):
    check, found, expected, fix = MUTANTS[name]
    assert failures(component_checks(attack(name))) == {
        check: f"found: {found}. Expected: {expected}. To fix it: {fix}."
    }


FOUND = {
    "powerless": r"the attack succeeds on \d\.\d\d of the triggered inputs, on \d\.\d\d of them without the trigger, and "
    r"on \d\.\d\d if no row was replaced\. Expected: 0\.1 more than on either",
    "flipping_to_nothing": r"the success rate rises by 0\.00 and accuracy falls by 0\.00\. Expected: 0\.1 of either",
}
FOUND |= dict.fromkeys(("unmarked", "stealthy"), FOUND["powerless"])


@pytest.mark.parametrize("name", FOUND)
def test_an_attack_without_power_is_found_out(name, failures):
    failed = failures(component_checks(attack(name)))
    assert list(failed) == [POWER]
    assert re.fullmatch(
        rf"found: on the toy table, with {40 if name == 'flipping_to_nothing' else 20}% of the rows, {FOUND[name]}\. To fix it: see that replaced rows carry the "
        r"trigger and the target, and that triggered inputs carry the same trigger\.",
        failed[POWER],
    )
