"""``amulet check``: what it prints, and its exit codes."""

from unittest import SkipTest

import pytest
from descriptors import attack, metric
from pluggy import PluginManager

from amulet_core.commands import cli
from amulet_core.discovery.plugins import BrokenPlugin, FoundPlugin, LoadedPlugin
from amulet_core.discovery.registry import Registry, discover
from amulet_core.errors import RequestError
from amulet_core.testing import component_checks
from amulet_core.testing.checking import run_checks

HONEST = """\
attack made/honest (amulet-plugin-made 1.0)
  ok          its summary is a sentence
  ok          it has references
  ok          every parameter is described, and every number has limits
  ok          its default parameters are valid and survive JSON
  ok          its targets can be called as documented
  ok          what it says of data is light and of the right type
  ok          its risk is a known one
  ok          it states its threat model
  ok          it runs on the toy tasks
  ok          it answers what its game asks for
  ok          it keeps to its budgets
  ok          it asks its victim only through its view
  ok          it beats chance on a planted vulnerable victim
              share of fooled rows: the toy table, linf 1.00; the toy table, l2 1.00; the toy images, linf
              1.00; the toy images, l2 1.00
  ok          it finds nothing on a planted safe victim
  ok          it leaves its victim alone
  ok          it leaves what it is given alone
  ok          it leaves global settings alone
  ok          it never seeds the global generators
  ok          the same key gives the same bits
19 checks: 19 ok
"""

TOO_SHORT = """\
  ok          it runs on the toy tasks
  FAILED      it answers what its game asks for
              found:    on the toy table, linf it returned x [1, 40, 25], not [budgets, n, ...] = [2, 40, 25]
              expected: EvasionAnswer of the view's shape
              fix:      return amulet_core.games.evasion.EvasionAnswer, in the order of the view's rows
              why:      what is no answer cannot be scored
  not checked it keeps to its budgets
              because "it answers what its game asks for" fails
"""

OWN = """\
  FAILED      two and two are four
              found:    2 + 2 is 5, expected 4
              why:      sums would be wrong
  ok          one is one
  FAILED      the disk works
              found:    OSError: disk on fire
              why:      nothing could be read
22 checks: 20 ok, 2 failed
"""


def found(name):
    return FoundPlugin(name=name, distribution=f"amulet-plugin-{name}", version="1.0", target="descriptors", api="1")


def registry(*entries):
    made = LoadedPlugin(
        found("made"), tuple(entry.component for entry in entries), seconds=0.0, hooks=PluginManager("amulet")
    )
    return Registry((made, BrokenPlugin(found("torn"), "OSError: disk on fire")), entries, ())


@pytest.fixture
def installed(monkeypatch):
    def install(*entries):
        monkeypatch.setattr(cli, "discover", lambda **_: registry(*entries))

    return install


@pytest.mark.parametrize("name", ["honest", "made/honest"])
def test_a_component_that_conforms_is_told_so(capsys, name):
    assert run_checks(name, registry(attack("honest"))) == 0
    assert capsys.readouterr().out == HONEST


def test_a_plugin_is_checked_with_all_its_components(capsys):
    assert run_checks("made", registry(attack("honest"), metric("shares"))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "plugin made (amulet-plugin-made 1.0)",
        "  ok          importing the plugin imports nothing heavy",
    ]
    assert [line for line in lines if not line.startswith(" ")] == [
        "plugin made (amulet-plugin-made 1.0)",
        "attack made/honest (amulet-plugin-made 1.0)",
        "metric made/shares (amulet-plugin-made 1.0)",
        "35 checks: 35 ok",
    ]


def test_a_failed_check_says_what_was_found_and_expected_how_to_mend_it_and_why_it_matters(capsys):
    assert run_checks("last-budget-only", registry(attack("last_budget_only"))) == 1
    out = capsys.readouterr().out
    assert TOO_SHORT in out
    assert out.endswith("19 checks: 14 ok, 1 failed, 4 not checked\n")


CRASHED = """\
  FAILED      it runs on the toy tasks
              found:    on the toy table, linf it raised RuntimeError: no luck
              expected: a result with the default parameters
              fix:      mend what is raised, or let applicable() say why it cannot work on such data
              why:      a component that does not run here will fail all its cells
  not checked it answers what its game asks for
              because "it runs on the toy tasks" fails
  not checked it keeps to its budgets
  not checked it asks its victim only through its view
  not checked it beats chance on a planted vulnerable victim
  not checked it finds nothing on a planted safe victim
  not checked it leaves its victim alone
  not checked it leaves what it is given alone
  not checked it leaves global settings alone
  not checked it never seeds the global generators
  not checked the same key gives the same bits
19 checks: 8 ok, 1 failed, 10 not checked
"""


def test_of_several_checks_that_one_failure_prevents_the_first_says_so(capsys):
    assert run_checks("crashing", registry(attack("crashing"))) == 1
    assert capsys.readouterr().out.endswith(CRASHED)


def test_the_checks_that_a_component_ships_are_run_too(capsys):
    assert run_checks("honest", registry(attack("honest", checks="mutants:own_checks"))) == 1
    assert capsys.readouterr().out.endswith(OWN)


LEFT_OUT = """\
  not checked a disk turns
              the disk is elsewhere
  not checked a disk stops
              no disk here
  FAILED      it stays
              found:    SystemExit: 3
              why:      the checks after it would be lost
22 checks: 19 ok, 1 failed, 2 not checked
"""


def test_a_shipped_check_that_skips_is_not_checked_and_one_that_exits_has_failed(capsys):
    assert run_checks("honest", registry(attack("honest", checks="mutants:checks_left_out"))) == 1
    assert capsys.readouterr().out.endswith(LEFT_OUT)


def test_a_new_check_warns_and_says_when_it_will_fail(capsys):
    assert run_checks("honest", registry(attack("honest", checks="mutants:checks_to_come"))) == 0
    assert capsys.readouterr().out.endswith(
        "  warning     it stands\n"
        "              later:    a failure from amulet-framework 99.10 on\n"
        "              found:    three legs\n"
        "              expected: four legs\n"
        "              fix:      add one\n"
        "              why:      it would fall\n"
        "20 checks: 19 ok, 1 warning\n"
    )


def test_shipped_checks_that_cannot_be_made_are_a_failure(capsys):
    assert run_checks("honest", registry(attack("honest", checks="mutants:broken_own_checks"))) == 1
    assert capsys.readouterr().out.endswith(
        "  FAILED      the checks that it ships can be made\n"
        "              found:    ImportError: no module of checks\n"
        "              expected: a function without arguments that returns a tuple of amulet_core.checks.Check\n"
        "              fix:      mend what is raised, or what checks= names\n"
        "              why:      checks that nobody can run prove nothing\n"
        "20 checks: 19 ok, 1 failed\n"
    )


def test_all_components_of_a_name_are_checked_whatever_their_kinds(capsys):
    run_checks("shares", registry(attack("shares"), metric("shares")))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("(amulet-plugin-made 1.0)")] == [
        "attack made/shares (amulet-plugin-made 1.0)",
        "metric made/shares (amulet-plugin-made 1.0)",
    ]


UNKNOWN = {
    "honset": (
        'unknown component "honset"; did you mean "honest"? Plugins that are not loaded and may have it: torn (broken: '
        "OSError: disk on fire). To see all: amulet list",
        'There is no plugin "honset" either.',
    ),
    "maid": (
        'unknown component "maid". Plugins that are not loaded and may have it: torn (broken: OSError: disk on fire). '
        "To see all: amulet list",
        'There is no plugin "maid" either; did you mean "made"?',
    ),
    "made/honset": ('unknown component "made/honset"; did you mean "made/honest"? To see all: amulet list',),
    "torn": (
        "plugin torn (amulet-plugin-torn 1.0) is broken: OSError: disk on fire. "
        "Update, repair or uninstall amulet-plugin-torn.",
    ),
}


@pytest.mark.parametrize(("name", "problems"), UNKNOWN.items(), ids=UNKNOWN)
def test_an_unknown_name_is_a_wrong_request(name, problems):
    with pytest.raises(RequestError) as error:
        run_checks(name, registry(attack("honest")))
    assert error.value.problems == problems


@pytest.mark.parametrize(("name", "code"), [("honest", 0), ("idle", 1), ("honset", 2)])
def test_the_exit_code_tells_what_came_of_it(installed, capsys, name, code):
    installed(attack("honest"), attack("idle"))
    assert cli.main(["check", name]) == code
    errors = capsys.readouterr().err
    assert errors.startswith('error: unknown component "honset"') if code == 2 else errors == ""


ABSENT = """\
  not checked it runs on the toy tasks
              because its rows are not there: FileNotFoundError: mnist: the variable AMULET_DATA is not set:
              set it to the folder that holds mnist.npz, or install 'amulet-framework[images]' and set the
              parameter download to true
  not checked it leaves global settings alone
"""


def test_what_needs_rows_that_are_not_there_is_not_checked_and_said_to_be_so(capsys, monkeypatch):
    monkeypatch.delenv("AMULET_DATA", raising=False)
    assert run_checks("mnist", discover(select="")) == 0
    out = capsys.readouterr().out
    assert ABSENT in out
    assert out.endswith("\n14 checks: 8 ok, 6 not checked\n")


def test_the_tests_of_a_package_skip_what_is_not_checked(monkeypatch):
    monkeypatch.delenv("AMULET_DATA", raising=False)
    skipped = []
    for check in component_checks(discover(select="").find("dataset", "mnist")):
        try:
            check.run()
        except SkipTest as reason:
            skipped.append(str(reason))
    assert len(skipped) == 6
    assert all(reason.startswith("not checked, because its rows are not there: ") for reason in skipped)
