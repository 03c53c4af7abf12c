"""The conformance kit as a plugin's author calls it."""

import subprocess
import sys

import mutants
import pytest
import torch
from descriptors import attack, metric
from pluggy import PluginManager

from amulet_core.discovery.plugins import BrokenPlugin, FoundPlugin, LoadedPlugin
from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError
from amulet_core.testing import component_checks, plugin_checks, shipped_checks
from amulet_core.testing.checking import run_checks
from amulet_core.testing.findings import (
    ConformanceError,
    ConformanceWarning,
    NotCheckedError,
    conformance,
    expected_to_fail,
)

IDLE = "idle: it beats chance on a planted vulnerable victim"


def registry(*entries, target="math", broken=()):
    def found(name, target):
        return FoundPlugin(name=name, distribution=f"amulet-plugin-{name}", version="1.0", target=target, api="1")

    components = tuple(entry.component for entry in entries)
    loaded = LoadedPlugin(found("made", target), components, seconds=0.0, hooks=PluginManager("amulet"))
    damaged = tuple(BrokenPlugin(found(name, "gone"), "ImportError: no such module") for name in broken)
    return Registry((loaded, *damaged), entries, ())


def test_every_component_is_checked_and_the_plugin_as_a_whole():
    checks = plugin_checks("made", registry=registry(attack("honest"), metric("shares")))
    assert [check.component for check in checks[:2]] == ["made", "honest"]
    assert {check.component for check in checks} == {"made", "honest", "shares"}
    assert len(checks) == 1 + sum(len(component_checks(entry)) for entry in (attack("honest"), metric("shares")))
    assert len({str(check) for check in checks}) == len(checks)


def test_the_checks_that_a_component_ships_are_among_them(failures):
    entries = attack("honest", checks="mutants:own_checks"), metric("shares")
    checks = plugin_checks("made", registry=registry(*entries))
    shipped = [
        check
        for check in checks
        if str(check) not in map(str, plugin_checks("made", registry=registry(attack("honest"), metric("shares"))))
    ]
    assert [str(check) for check in shipped] == [
        "honest: two and two are four",
        "honest: one is one",
        "honest: the disk works",
    ]
    assert failures(shipped[:2]) == {"two and two are four": "2 + 2 is 5, expected 4"}
    with pytest.raises(OSError, match=r"^disk on fire$"):
        shipped[2].run()


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("broken_own_checks", "ImportError: no module of checks"),
        ("texts_for_checks", "TypeError: mutants:texts_for_checks gave str, not amulet_core.checks.Check"),
    ],
)
def test_shipped_checks_that_cannot_be_made_are_one_that_fails(failures, target, found):
    checks = plugin_checks("made", registry=registry(attack("honest", checks=f"mutants:{target}")))
    assert failures(checks[-1:]) == {
        "the checks that it ships can be made": f"found: {found}. Expected: a function without arguments that returns a "
        "tuple of amulet_core.checks.Check. To fix it: mend what is raised, or what checks= names."
    }


def drawn(make):
    mutants.DRAWN.clear()
    for check in make():
        check.run()
    return list(mutants.DRAWN)


def test_a_shipped_check_draws_the_same_bits_wherever_it_is_run_and_leaves_the_generators_alone(capsys):
    def all_of_them():
        return registry(attack("honest", checks="mutants:drawing_checks"))

    torch.manual_seed(1)
    first = drawn(lambda: plugin_checks("made", registry=all_of_them())[-2:])
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = drawn(lambda: shipped_checks(all_of_them().entries[0]))
    assert torch.equal(torch.get_rng_state(), before)
    mutants.DRAWN.clear()
    run_checks("honest", all_of_them())
    assert first == second == mutants.DRAWN
    assert first[0][0] == first[1][0]
    assert all(one != other for one, other in zip(first[0][1:], first[1][1:], strict=True))  # each check has its own


def test_a_check_is_called_by_its_component_and_its_name():
    assert IDLE in {str(check) for check in plugin_checks("made", registry=registry(attack("idle")))}


def test_components_of_one_name_are_told_apart_by_their_kinds():
    entries = attack("shares"), metric("shares")
    assert {check.component for check in plugin_checks("made", registry=registry(*entries))} == {
        "made",
        "attack shares",
        "metric shares",
    }


def test_an_expected_failure_passes_with_its_reason():
    found = plugin_checks("made", registry=registry(attack("idle")), expected_failures={IDLE: "it waits"})
    check = next(check for check in found if str(check) == IDLE)
    check.run()
    assert check.examine() == "fails as expected: it waits"


def test_what_is_not_checked_is_no_failure_that_was_expected():
    def examine():
        raise NotCheckedError("not checked, because its rows are not there")

    unchecked = conformance("rows", name="they are there", why="nothing could be read", examine=examine)
    with pytest.raises(NotCheckedError, match="not there"):
        expected_to_fail(unchecked, "it waits").run()


def test_an_expected_failure_that_passes_is_a_failure():
    name = "honest: it has references"
    found = plugin_checks("made", registry=registry(attack("honest")), expected_failures={name: "no paper yet"})
    check = next(check for check in found if str(check) == name)
    with pytest.raises(AssertionError) as failure:
        check.run()
    assert str(failure.value) == (
        'found: "honest: it has references" passes. Expected: a failure (no paper yet). '
        "To fix it: remove it from expected_failures."
    )


def test_expected_failures_that_name_no_check_are_an_error_all_at_once():
    wrong = {"honest: it has reference": "a slip", "nobody": "a slip"}
    with pytest.raises(RequestError) as error:
        plugin_checks("made", registry=registry(attack("honest")), expected_failures=wrong)
    assert error.value.problems == (
        'expected_failures: there is no check "honest: it has reference"; did you mean "honest: it has references"?',
        'expected_failures: there is no check "nobody".',
    )


def test_a_plugin_that_is_not_installed_is_an_error():
    with pytest.raises(RequestError) as error:
        plugin_checks("maid", registry=registry(attack("honest")))
    assert str(error.value) == 'no plugin is called "maid"; did you mean "made"? Installed: made.'


def test_a_broken_plugin_is_an_error_with_its_cause():
    with pytest.raises(RequestError) as error:
        plugin_checks("torn", registry=registry(broken=("torn",)))
    assert str(error.value) == (
        "plugin torn (amulet-plugin-torn 1.0) is broken: ImportError: no such module. "
        "Update, repair or uninstall amulet-plugin-torn."
    )


@pytest.mark.parametrize(
    ("target", "found", "expected", "fix"),
    [
        (
            "mutants",
            "importing mutants imports numpy, torch",
            "nothing heavy",
            "keep descriptors and Params in light modules, and import the rest where targets are",
        ),
        (
            "nowhere_to_be_found",
            "importing nowhere_to_be_found in a fresh process failed: "
            "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
            "that it can be imported by itself",
            "see that its module needs nothing but amulet_core's light modules",
        ),
    ],
)
def test_a_plugin_that_imports_something_heavy_is_found_out(failures, target, found, expected, fix):
    checks = plugin_checks("made", registry=registry(target=target))
    failed = failures(checks)["importing the plugin imports nothing heavy"]
    expected_text = f"found: {found}. Expected: {expected}. To fix it: {fix}."
    assert failed == expected_text or failed.startswith(f"found: {found}, ")


def test_a_light_plugin_passes(failures):
    assert failures(plugin_checks("made", registry=registry(target="descriptors"))) == {}


def test_the_kit_needs_no_pytest():
    code = "import sys, amulet_core.testing, amulet_core.testing.checking; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_component_of_a_risk_without_a_game_gets_static_checks_only(failures):
    checks = component_checks(attack("honest", risk="distribution-inference"))
    assert len(checks) == 8
    assert failures(checks) == {}


def new_check(fails_from):
    def examine():
        raise ConformanceError(found="three legs", expected="four legs", fix="add one")

    return conformance("stool", name="it stands", why="it would fall", examine=examine, fails_from=fails_from)


def test_a_new_check_warns_until_the_version_from_which_on_it_fails():
    text = (
        "stool: it stands: found: three legs. Expected: four legs. To fix it: add one. "
        "It is a failure from amulet-framework 99.10 on."
    )
    with pytest.warns(ConformanceWarning) as warned:
        new_check("99.10").run()
    assert [str(one.message) for one in warned] == [text]


@pytest.mark.parametrize("fails_from", ["", "0.0", "0.1"])
def test_a_check_fails_from_its_version_on(fails_from):
    with pytest.raises(ConformanceError, match=r"^found: three legs\."):
        new_check(fails_from).run()


def test_a_failure_that_was_expected_of_a_new_check_is_no_surprise_while_it_only_warns():
    expected_to_fail(new_check("99.10"), "three are enough").run()
