"""Attacks that misbehave: each fails exactly one check of the conformance kit, which says what and how to mend it."""

import mutants
import pytest
from descriptors import attack, membership

from amulet_core.testing import component_checks
from amulet_core.testing.findings import ConformanceError, NotCheckedError
from amulet_core.testing.static import static_checks

WELL_BEHAVED = (
    attack("honest"),
    attack("linf_only"),
    membership("by_loss"),
    membership("guessing", control=True),
)
STATIC = {check.name for check in static_checks("it", WELL_BEHAVED[0])}

MUTANTS = {
    "raises": (
        attack("crashing"),
        "it runs on the toy tasks",
        "on the toy table, linf it raised RuntimeError: no luck",
        "a result with the default parameters",
        "mend what is raised, or let applicable() say why it cannot work on such data",
    ),
    "refuses every norm": (
        attack("refusing"),
        "it runs on the toy tasks",
        (
            "it refused the toy table, linf (ValueError: no attack in the norm linf); the toy table, l2 "
            "(ValueError: no attack in the norm l2); the toy images, linf (ValueError: no attack in the norm "
            "linf); the toy images, l2 (ValueError: no attack in the norm l2)"
        ),
        "that it works with one of them at least",
        "refuse with a ValueError only what the algorithm cannot do",
    ),
    "works on no toy task": (
        attack("honest", applicable=mutants.never_applicable),
        "it runs on the toy tasks",
        (
            "it works on no toy task (the toy table: made/honest: the moon is full; the toy images: made/honest: "
            "the moon is full)"
        ),
        "that it works on one of them at least",
        "widen modality and applicable() to all data that the algorithm can work on",
    ),
    "returns a tensor": (
        attack("bare_tensor"),
        "it answers what its game asks for",
        "on the toy table, linf it returned Tensor",
        "EvasionAnswer of the view's shape",
        "return amulet_core.games.evasion.EvasionAnswer, in the order of the view's rows",
    ),
    "answers one budget of two": (
        attack("last_budget_only"),
        "it answers what its game asks for",
        "on the toy table, linf it returned x [1, 40, 25], not [budgets, n, ...] = [2, 40, 25]",
        "EvasionAnswer of the view's shape",
        "return amulet_core.games.evasion.EvasionAnswer, in the order of the view's rows",
    ),
    "gives too few scores": (
        membership("too_few_scores"),
        "it answers what its game asks for",
        "on the toy table it returned 599 scores, not one for each of the 600 candidates",
        "MembershipAnswer of the view's shape",
        "return amulet_core.games.membership.MembershipAnswer, in the order of the view's rows",
    ),
    "triples the budget": (
        attack("over_budget"),
        "it keeps to its budgets",
        (
            "on the toy table, linf: ValueError: the answer breaks the rules of the game: 40 rows lie up to 0.03 "
            "away, the budget is 0.01 (linf); 40 rows lie up to 0.15 away, the budget is 0.05 (linf)"
        ),
        "changed rows within every budget of the view",
        "end with amulet_core.feasible.project, under the view's norm and each of its epsilons",
    ),
    "changes an immutable feature": (
        attack("immutable_changed"),
        "it keeps to its budgets",
        (
            "on the toy table, linf: ValueError: the answer breaks the rules of the game: 40 rows lie up to 0.494"
            " away, the budget is 0.01 (linf); 35 rows lie up to 0.494 away, the budget is 0.05 (linf)"
        ),
        "changed rows within every budget of the view",
        "end with amulet_core.feasible.project, under the view's norm and each of its epsilons",
    ),
    "asks past the oracle": (
        attack("past_the_oracle", access="probabilities"),
        "it asks its victim only through its view",
        "on the toy table, linf 40 rows went through the model, and the view counted 0",
        "equal numbers",
        "ask view.model only (labels, probabilities, log_probabilities)",
    ),
    "asks past the view": (
        attack("past_the_view"),
        "it asks its victim only through its view",
        "on the toy table, linf 40 rows went through the victim itself",
        "0",
        "ask view.model only (labels, probabilities, log_probabilities)",
    ),
    "does nothing": (
        attack("idle"),
        "it beats chance on a planted vulnerable victim",
        "on the toy table, linf its share of fooled rows is 0.00, that of a blind answer 0.00",
        "at least 0.15, as the victim is wide open",
        (
            "see that it climbs the loss of the true label and spends the whole budget, for every norm and epsilon, and "
            "that its default parameters give it time enough"
        ),
    ),
    "guesses members": (
        membership("guessing"),
        "it beats chance on a planted vulnerable victim",
        "on the toy table its AUC is 0.48, that of a blind answer 0.54",
        "at least 0.69, as the victim is wide open",
        (
            "see that members score higher, not lower, and each score stands at its own candidate's place, and that its "
            "default parameters give it time enough"
        ),
    ),
    "takes members for others": (
        membership("turned_round"),
        "it beats chance on a planted vulnerable victim",
        "on the toy table its AUC is 0.03, that of a blind answer 0.54",
        "at least 0.69, as the victim is wide open",
        (
            "see that members score higher, not lower, and each score stands at its own candidate's place, and that its "
            "default parameters give it time enough"
        ),
    ),
    "is a control that climbs": (
        attack("honest", control=True),
        "it finds nothing on a planted vulnerable victim",
        "on the toy table, linf its share of fooled rows on the vulnerable victim is 1.00",
        "0 within 0.1, as a control knows nothing",
        "see that nothing but the view's own values enters the answer, and that none of them is changed",
    ),
    "is a control that reads losses": (
        membership("by_loss", control=True),
        "it finds nothing on a planted vulnerable victim",
        "on the toy table its AUC on the vulnerable victim is 0.97",
        "0.5 within 0.11, as a control knows nothing",
        "see that nothing but the view's own values enters the answer, and that none of them is changed",
    ),
    "steals the truth": (
        membership("thief"),
        "it finds nothing on a planted safe victim",
        "on the toy table its AUC on the safe victim is 1.00",
        "0.5 within 0.11, as nothing can be found there",
        "see that nothing but the view's own values enters the answer, and that none of them is changed",
    ),
    "halves the weights": (
        attack("weights_changed"),
        "it leaves its victim alone",
        "on the toy table, linf it changed parameter head.weight of the victim's copy in the view",
        "no change",
        "attack a copy (copy.deepcopy), and put back modes, requires_grad and grad",
    ),
    "leaves train mode": (
        attack("train_mode_left"),
        "it leaves its victim alone",
        (
            "on the toy table, linf it changed the mode of the victim's copy in the view, the mode of normalise "
            "of the victim's copy in the view, the mode of head of the victim's copy in the view"
        ),
        "no change",
        "attack a copy (copy.deepcopy), and put back modes, requires_grad and grad",
    ),
    "leaves gradients": (
        attack("gradients_left"),
        "it leaves its victim alone",
        (
            "on the toy table, linf it changed requires_grad of parameter head.weight of the victim's copy in the"
            " view, grad of parameter head.weight of the victim's copy in the view, requires_grad of parameter "
            "head.bias of the victim's copy in the view and 1 more"
        ),
        "no change",
        "attack a copy (copy.deepcopy), and put back modes, requires_grad and grad",
    ),
    "changes x": (
        attack("x_changed"),
        "it leaves what it is given alone",
        "on the toy table, linf it changed x of the view",
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "changes the default dtype": (
        attack("dtype_changed"),
        "it leaves global settings alone",
        "on the toy table, linf it changed the default dtype (torch.float32, then torch.float64)",
        "no change",
        "pass dtype, device and the like to the calls that need them, or restore the setting in a finally",
    ),
    "seeds torch": (
        attack("torch_seeded"),
        "it never seeds the global generators",
        "under two keys the generator of torch ended in the same state",
        "two states, as the keys differ",
        "do not seed; simply draw from the global generators, or make a generator of your own from a draw",
    ),
    "seeds numpy": (
        attack("numpy_seeded"),
        "it never seeds the global generators",
        "under two keys the generator of numpy ended in the same state",
        "two states, as the keys differ",
        "do not seed; simply draw from the global generators, or make a generator of your own from a draw",
    ),
    "seeds random": (
        attack("python_seeded"),
        "it never seeds the global generators",
        "under two keys the generator of random ended in the same state",
        "two states, as the keys differ",
        "do not seed; simply draw from the global generators, or make a generator of your own from a draw",
    ),
    "draws from the system": (
        attack("never_the_same"),
        "the same key gives the same bits",
        "on the toy images, linf two runs under one key differ in x of the result",
        "equal bits",
        "draw from the global generators of torch, numpy and random only, and keep nothing between calls",
    ),
}


def names(entry):
    return {check.name for check in component_checks(entry)}


@pytest.mark.parametrize(("entry", "check", "found", "expected", "fix"), MUTANTS.values(), ids=MUTANTS)
def test_an_attack_that_misbehaves_in_one_way_fails_exactly_one_check(failures, entry, check, found, expected, fix):
    assert failures(component_checks(entry)) == {check: f"found: {found}. Expected: {expected}. To fix it: {fix}."}


@pytest.mark.parametrize(
    "entry", [attack("honest"), attack("honest", control=True), membership("by_loss")], ids=lambda entry: entry.id
)
def test_every_check_of_an_attack_has_a_mutant_that_fails_it(entry):
    assert names(entry) - STATIC <= {check for _, check, *_ in MUTANTS.values()}


@pytest.mark.parametrize("entry", WELL_BEHAVED, ids=lambda entry: entry.id)
def test_an_attack_that_behaves_conforms(failures, entry):
    assert failures(component_checks(entry)) == {}


def run_of(entry):
    return next(check for check in component_checks(entry) if check.name == "it runs on the toy tasks")


def test_an_attack_whose_code_cannot_be_loaded_is_reported_by_its_target_alone(failures):
    entry = attack("absent")
    assert set(failures(component_checks(entry))) == {"its targets can be called as documented"}
    with pytest.raises(NotCheckedError) as reason:
        run_of(entry).run()
    assert str(reason.value) == ('not checked, because "its targets can be called as documented" fails')


def test_an_attack_that_cannot_say_whether_it_applies_works_on_no_toy():
    with pytest.raises(ConformanceError) as failure:
        run_of(attack("honest", applicable=mutants.applicable_raising)).run()
    why = (
        "made/honest: its applicable() failed: AttributeError: 'DataSchema' object has no attribute 'colour'. "
        "Update or report amulet-plugin-made."
    )
    assert str(failure.value) == (
        f"found: it works on no toy task (the toy table: {why}; the toy images: {why}). Expected: that it works on one of "
        "them at least. To fix it: widen modality and applicable() to all data that the algorithm can work on."
    )
