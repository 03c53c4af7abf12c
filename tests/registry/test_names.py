"""What a name in a config means, and what is said of one that means nothing."""

import pytest

from amulet_core.errors import RequestError

PGD = "@hookimpl\ndef amulet_components(): return [attack('pgd'), attack('square')]"
OTHER_PGD = "@hookimpl\ndef amulet_components(): return [attack('pgd'), attack('only-here', risk='one/odd')]"
METRIC = """
from amulet_core.components import Measure, Metric
MEASURE = Measure(name="value", summary="a value", better="higher")

@hookimpl
def amulet_components():
    yield Metric(name="curve", summary="A metric made for a test", target="math:sqrt", risk="evasion",
                 measures=(MEASURE,))
    yield attack("curve")
"""


@pytest.fixture
def registry(packages):
    packages.add("builtin", PGD, distribution="amulet-framework")
    packages.add("one", OTHER_PGD)
    packages.add("two", "@hookimpl\ndef amulet_components(): return [attack('twice')]")
    packages.add("alpha", "@hookimpl\ndef amulet_components(): return [attack('twice')]")
    packages.add("four", METRIC)
    packages.add("five", "raise OSError('disk on fire')")
    return packages.discover(select="one,two,alpha,four,five")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pgd", "builtin/pgd"),
        ("builtin/pgd", "builtin/pgd"),
        ("one/pgd", "one/pgd"),
        ("only-here", "one/only-here"),
        ("two/twice", "two/twice"),
    ],
)
def test_a_name_means_the_builtin_then_the_only_provider(registry, name, found):
    assert registry.find("attack", name).id == found


UNKNOWN = {
    "misspelt": (
        "attack",
        "sqare",
        'unknown attack "sqare"; did you mean "square"? Plugins that are not loaded and may have it: '
        "five (broken: OSError: disk on fire). To see all: amulet list attack",
    ),
    "of another kind": (
        "defense",
        "pgd",
        'unknown defense "pgd". There is one of the kind attack. Plugins that are not loaded and may have it: '
        "five (broken: OSError: disk on fire). To see all: amulet list defense",
    ),
    "ambiguous": (
        "attack",
        "twice",
        'attack "twice" is provided more than once: write alpha/twice or two/twice.',
    ),
    "of several kinds": (
        None,
        "curve",
        'component "curve" is provided more than once: give its kind, attack or metric.',
    ),
    "misspelt after its plugin": (
        "attack",
        "builtin/sqare",
        'unknown attack "builtin/sqare"; did you mean "builtin/square"? To see all: amulet list attack',
    ),
    "of a plugin that is not installed": (
        "attack",
        "buildin/pgd",
        'attack "buildin/pgd": no plugin is called "buildin"; did you mean "builtin"? '
        "Installed: alpha, builtin, five, four, one, two.",
    ),
    "of any kind": (
        None,
        "nothing-like-it",
        'unknown component "nothing-like-it". Plugins that are not loaded and may have it: '
        "five (broken: OSError: disk on fire). To see all: amulet list",
    ),
    "of no kind": (
        "atack",
        "pgd",
        'unknown kind "atack"; did you mean "attack"? '
        "There are: dataset, model, defense, attack, metric, reporter, executor.",
    ),
}


@pytest.mark.parametrize(("kind", "name", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_name_that_means_nothing_or_too_much_is_explained(registry, kind, name, message):
    with pytest.raises(RequestError) as error:
        registry.find(kind, name)
    assert str(error.value) == message


def test_a_bare_name_never_silently_means_another_plugin_while_the_builtin_one_is_broken(packages):
    packages.add("builtin", "raise OSError('disk on fire')", distribution="amulet-framework")
    packages.add("one", OTHER_PGD)
    with pytest.raises(RequestError) as error:
        packages.discover().find("attack", "pgd")
    assert str(error.value) == (
        'attack "pgd": plugin builtin (amulet-framework 1.0) is broken: OSError: disk on fire. '
        "Update, repair or uninstall amulet-framework."
    )
    assert packages.discover().find("attack", "one/pgd").plugin == "one"


def test_a_wrong_kind_and_a_wrong_risk_are_told_at_once(registry):
    with pytest.raises(RequestError) as error:
        registry.list("metrics", "evasoin")
    assert error.value.problems == (
        'unknown kind "metrics"; did you mean "metric"? '
        "There are: dataset, model, defense, attack, metric, reporter, executor.",
        'unknown risk "evasoin"; did you mean "evasion"? There are: evasion, poisoning, unauthorized-model-ownership, '
        "membership-inference, attribute-inference, distribution-inference, data-reconstruction, "
        "discriminatory-behavior, ownership-verification, privacy-audit, utility, one/odd.",
    )


def test_components_are_listed_by_kind_then_risk_then_builtin_first_then_name(registry):
    assert [(entry.component.kind, entry.risk, entry.id) for entry in registry.list()] == [
        ("attack", "evasion", "builtin/pgd"),
        ("attack", "evasion", "builtin/square"),
        ("attack", "evasion", "alpha/twice"),
        ("attack", "evasion", "four/curve"),
        ("attack", "evasion", "one/pgd"),
        ("attack", "evasion", "two/twice"),
        ("attack", "one/odd", "one/only-here"),
        ("metric", "evasion", "four/curve"),
    ]


@pytest.mark.parametrize(
    ("kind", "risk", "found"),
    [
        ("metric", None, ["four/curve"]),
        (None, "one/odd", ["one/only-here"]),
        ("metric", "one/odd", []),
        ("dataset", None, []),
    ],
)
def test_kind_and_risk_narrow_the_list(registry, kind, risk, found):
    assert [entry.id for entry in registry.list(kind, risk)] == found


LOADING = {
    "missing library": (
        "absent:run",
        "absent:run cannot be loaded: ModuleNotFoundError: No module named 'absent'",
    ),
    "missing function": (
        "math:no_such",
        "math:no_such cannot be loaded: AttributeError: module 'math' has no attribute 'no_such'",
    ),
    "exit at import": ("made_exit:run", "made_exit:run cannot be loaded: SystemExit: no licence"),
}


@pytest.mark.parametrize(("target", "cause"), LOADING.values(), ids=LOADING)
def test_a_target_that_cannot_be_loaded_names_component_plugin_and_cause(packages, target, cause):
    packages.add("xyz", f"@hookimpl\ndef amulet_components(): return [attack('a', target='{target}')]")
    (packages.folder / "made_exit.py").write_text("raise SystemExit('no licence')")
    entry = packages.discover().find("attack", "a")
    with pytest.raises(RequestError) as error:
        entry.load()
    assert str(error.value) == (
        f"attack xyz/a: {cause}. Install what it needs, or update or uninstall amulet-plugin-xyz 1.0."
    )


def test_a_target_is_imported_only_when_it_is_loaded(packages):
    packages.add("xyz", "@hookimpl\ndef amulet_components(): return [attack('a', target='made_heavy:run')]")
    (packages.folder / "made_heavy.py").write_text("def run(): return 42\ndef verify(): return 43")
    entry = packages.discover().find("attack", "a")
    assert entry.load()() == 42
    assert entry.load("made_heavy:verify")() == 43
