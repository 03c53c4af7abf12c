"""Descriptors that say too little or what is not so: each fails exactly one static check."""

import descriptors
import mutants
import pytest
from descriptors import attack, defense, metric

from amulet_core.testing import component_checks
from amulet_core.testing.findings import NotCheckedError
from amulet_core.testing.static import static_checks

MUTANTS = {
    "a summary that is no sentence": (
        attack("honest", summary="made for a test"),
        "its summary is a sentence",
        '"made for a test"',
        "a sentence",
        "begin with a capital and end with a full stop",
    ),
    "no references": (
        attack("honest", references=()),
        "it has references",
        "no reference",
        "one at least",
        'give references=(Reference(title="...", where="arXiv:..."),)',
    ),
    "a parameter without description": (
        attack("honest", params=descriptors.Undescribed),
        "every parameter is described, and every number has limits",
        "no description of steps and no limits of count",
        "a description of each parameter, and limits of each number",
        (
            'write Field(default, gt=0, le=1, description="..."), or say in the description which default stands '
            "for no limit"
        ),
    ),
    "a number without limits": (
        attack("honest", params=descriptors.Limitless),
        "every parameter is described, and every number has limits",
        "no limits of rate",
        "a description of each parameter, and limits of each number",
        (
            'write Field(default, gt=0, le=1, description="..."), or say in the description which default stands '
            "for no limit"
        ),
    ),
    "a parameter without default": (
        attack("honest", params=descriptors.Required),
        "its default parameters are valid and survive JSON",
        "steps: Field required",
        "default parameters that JSON can hold",
        "give every parameter a default that obeys its own limits, of types that JSON has",
    ),
    "a default that JSON changes": (
        attack("honest", params=descriptors.Unlike),
        "its default parameters are valid and survive JSON",
        "Unlike(order=(1, 2)) comes back from JSON as Unlike(order=[1, 2])",
        "the same parameters",
        "give every parameter a default that obeys its own limits, of types that JSON has",
    ),
    "no such function": (
        attack("absent"),
        "its targets can be called as documented",
        ("mutants:absent cannot be loaded: AttributeError: module 'mutants' has no attribute 'absent'"),
        "a function of (view, params)",
        "see that the target names a module, and a function in it",
    ),
    "a function of three": (
        attack("takes_three"),
        "its targets can be called as documented",
        "mutants:takes_three has the signature (view, params, extra): missing a required argument: 'extra'",
        "a function of (view, params)",
        "take these arguments, by position and no others",
    ),
    "a target that is a number": (
        attack("NO_FUNCTION"),
        "its targets can be called as documented",
        "mutants:NO_FUNCTION is 3, which cannot be called",
        "a function of (view, params)",
        "take these arguments, by position and no others",
    ),
    "checks that are not there": (
        attack("honest", checks="mutants:no_checks"),
        "its targets can be called as documented",
        ("mutants:no_checks cannot be loaded: AttributeError: module 'mutants' has no attribute 'no_checks'"),
        "a function of ()",
        'see that the target names a module, and a function in it (perhaps "own_checks")',
    ),
    "a stage of another signature": (
        defense("training", "smoothed"),
        "its targets can be called as documented",
        "mutant_defenses:smoothed has the signature (probabilities, params): too many positional arguments",
        "a function of (training, params, context)",
        "take these arguments, by position and no others",
    ),
    "reasons as a text": (
        attack("honest", applicable=mutants.applicable_as_text),
        "what it says of data is light and of the right type",
        "applicable() on the toy table returned 'never'",
        "a list of str",
        "return an empty one where there is nothing to say",
    ),
    "reasons that raise": (
        attack("honest", applicable=mutants.applicable_raising),
        "what it says of data is light and of the right type",
        "applicable() on the toy table raised AttributeError: 'DataSchema' object has no attribute 'colour'",
        "a list of str",
        "return an empty one where there is nothing to say",
    ),
    "reasons against a run as a text": (
        attack("honest", impossible=mutants.impossible_as_text),
        "what it says of data is light and of the right type",
        "impossible() on the toy table returned 'never'",
        "a list of str",
        "return an empty one where there is nothing to say",
    ),
    "reasons against a run that raise": (
        attack("honest", impossible=mutants.impossible_raising),
        "what it says of data is light and of the right type",
        "impossible() on the toy table raised AttributeError: 'EvasionThreat' object has no attribute 'rate'",
        "a list of str",
        "return an empty one where there is nothing to say",
    ),
    "what a defense cannot stand as a text": (
        defense("inference", "released", outmatched=mutants.impossible_as_text),
        "what it says of data is light and of the right type",
        "outmatched() on the toy table returned 'never'",
        "a list of str",
        "return an empty one where there is nothing to say",
    ),
    "needs as a list": (
        attack("honest", needs=mutants.needs_as_list),
        "what it says of data is light and of the right type",
        "needs() on the toy table returned []",
        "a tuple of LabRequest",
        "return an empty one where there is nothing to say",
    ),
    "a misspelt risk": (
        attack("honest", risk="evasoin"),
        "its risk is a known one",
        'the risk "evasoin"',
        "a risk of the framework, or plugin/name",
        "see amulet list --help for the risks, or write your plugin's name before the slash",
    ),
    "no threat model": (
        attack("honest", threat=""),
        "it states its threat model",
        "no threat model",
        "the adversary's goal, knowledge and capability in a sentence or two",
        'give threat="..."',
    ),
    "a value declared twice": (
        metric("shares", measures=descriptors.MEASURES + descriptors.MEASURES[:1]),
        "its values have names of their own",
        "robust is declared more than once",
        "each name once",
        "rename one",
    ),
}


def names(entry):
    return {check.name for check in static_checks("it", entry)}


@pytest.mark.parametrize(("entry", "check", "found", "expected", "fix"), MUTANTS.values(), ids=MUTANTS)
def test_a_descriptor_that_misbehaves_in_one_way_fails_exactly_one_check(failures, entry, check, found, expected, fix):
    assert failures(static_checks("it", entry)) == {check: f"found: {found}. Expected: {expected}. To fix it: {fix}."}


@pytest.mark.parametrize(
    "entry", [attack("honest"), metric("shares"), defense("data", "data_kept")], ids=lambda e: e.id
)
def test_every_static_check_has_a_mutant_that_fails_it(entry):
    assert names(entry) <= {check for _, check, *_ in MUTANTS.values()}


def test_a_component_without_default_parameters_is_not_run_and_says_so():
    checks = {check.name: check for check in component_checks(attack("honest", params=descriptors.Required))}
    assert checks.keys() == names(attack("honest"))
    with pytest.raises(NotCheckedError) as reason:
        checks["what it says of data is light and of the right type"].run()
    assert str(reason.value) == 'not checked, because "its default parameters are valid and survive JSON" fails'
