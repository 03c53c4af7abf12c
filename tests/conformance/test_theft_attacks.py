"""Attacks on model ownership under the kit: honest ones pass, and each misbehaviour is found out by one check."""

import descriptors
import pytest
import torch

from amulet_core.testing import component_checks, robbed
from amulet_core.testing.static import static_checks


def attack(function, **more):
    fields = {"risk": "unauthorized-model-ownership", "access": "probabilities", "target": f"robbers:{function}"}
    return descriptors.attack(function.replace("_", "-"), **fields | more)


def control(function):
    return attack(function, access="none", control=True)


STATIC = {check.name for check in static_checks("it", attack("honest"))}
RULES = "it hands back a finite model of the victim's architecture"
ASKS = "it asks its victim only through its view"
POWER = "its model agrees with a victim of strange habits"
CHANCE = "its model agrees with a victim of strange habits no more than chance"
NO_RULE = "its model agrees with a victim that follows no rule no more than chance"
ANSWER = "a TheftAnswer whose model view.architecture() could have built, with finite weights"
BUILD = "build the model with view.architecture(), and train or set its weights"

MUTANTS = {
    "greedy": (
        "it runs on the toy tasks",
        "on the toy table, a network it raised BudgetSpentError: 240 queries were asked for, and 200 of 200 are left",
        "a result with the default parameters",
        "mend what is raised, or let applicable() say why it cannot work on such data",
    ),
    "peeping": (
        ASKS,
        "on the toy table, a network 240 rows went past the view to the victim's model",
        "0",
        "ask view.model.ask only",
    ),
    "tongue_tied": (
        RULES,
        "on the toy table, a network: ValueError: it returned Network, expected a TheftAnswer",
        ANSWER,
        BUILD,
    ),
    "foreign": (
        RULES,
        "on the toy table, a network: ValueError: its model has other weights than the architecture: 1.bias [2]",
        ANSWER,
        BUILD,
    ),
    "broken": (
        RULES,
        "on the toy table, a network: ValueError: the stolen model has weights that are not finite (first: head.bias)",
        ANSWER,
        BUILD,
    ),
    "meddling": (
        "it leaves what it is given alone",
        "on the toy table, a network it changed x of the view",
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "vandal": (
        "it leaves its victim alone",
        "on the toy table, a network it changed parameter hidden.weight of the victim's copy in the view",
        "no change",
        "attack a copy (copy.deepcopy), and put back modes, requires_grad and grad",
    ),
    "seeding": (
        "it never seeds the global generators",
        "under two keys the generator of torch ended in the same state",
        "two states, as the keys differ",
        "do not seed; simply draw from the global generators, or make a generator of your own from a draw",
    ),
}


def test_an_honest_thief_and_an_honest_control_pass(failures):
    checks = component_checks(attack("honest"))
    assert failures(checks) == {}
    assert {check.name for check in checks} - STATIC >= {RULES, ASKS, POWER, NO_RULE}
    checks = component_checks(control("independent"))
    assert failures(checks) == {}
    assert {check.name for check in checks} - STATIC >= {RULES, ASKS, CHANCE, NO_RULE}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fails_exactly_one_check_which_says_what_and_how_to_mend_it(name, failures):
    check, found, expected, fix = MUTANTS[name]
    assert failures(component_checks(attack(name))) == {
        check: f"found: {found}. Expected: {expected}. To fix it: {fix}."
    }


def test_draws_that_nobody_can_repeat_are_found_out(failures):
    failed = failures(component_checks(attack("forgetful")))
    assert list(failed) == ["the same key gives the same bits"]
    assert failed["the same key gives the same bits"].startswith(
        "found: on the toy table, a network two runs under one key differ in parameter hidden.weight of model of the "
    )


def test_a_thief_who_does_not_use_the_answers_is_found_out(failures):
    failed = failures(component_checks(attack("powerless")))
    assert list(failed) == [POWER]
    assert failed[POWER].startswith("found: on the toy table, a network it agrees with its victim on 0.")
    assert failed[POWER].endswith(
        " and 200 queries are answered. To fix it: train on what the victim answers, not on the true labels, and ask "
        "as often as the budget allows."
    )


def test_a_control_who_knows_its_victim_is_found_out(failures):
    failed = failures(component_checks(control("knowing")))
    assert list(failed) == [CHANCE]
    assert failed[CHANCE].endswith(
        " as nothing can be known of it. To fix it: see that nothing but the view's own values enters the model."
    )


def test_agreement_with_a_victim_that_should_follow_no_rule_is_found_out(failures, monkeypatch):
    class Ruled(robbed.Hash):
        def forward(self, x):
            flat = self.normalise(x).flatten(-self._axes)
            bright = flat[:, :16].mean(1, keepdim=True) > 0.5
            return 8.0 * torch.cat([bright, ~bright, torch.zeros(len(x), self._classes - 2)], 1)

    monkeypatch.setattr(robbed, "Hash", Ruled)
    failed = failures(component_checks(attack("honest")))
    assert list(failed) == [NO_RULE]


def test_an_attack_that_needs_labels_alone_meets_every_oracle():
    (check,) = [one for one in component_checks(attack("honest", access="labels")) if one.name == POWER]
    note = check.examine()
    for oracle in ("probabilities", "top-k", "labels"):
        assert f"the toy table, a network, {oracle} " in note
