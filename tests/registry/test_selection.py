"""AMULET_PLUGINS decides which plugins are imported, before any is."""

import sys

import pytest

from amulet_core.discovery.plugins import DisabledPlugin
from amulet_core.errors import RequestError

BODY = "@hookimpl\ndef amulet_components(): return [attack('a')]"


@pytest.fixture
def three(packages):
    packages.add("builtin", BODY, distribution="amulet-framework")
    modules = {name: packages.add(name, BODY) for name in ("one", "two")}
    return packages, modules


@pytest.mark.parametrize(
    ("selection", "loaded"),
    [
        (None, ["builtin", "one", "two"]),
        ("", ["builtin"]),
        (" , ", ["builtin"]),
        ("one", ["builtin", "one"]),
        (" two ,one", ["builtin", "one", "two"]),
        ("builtin", ["builtin"]),
    ],
)
@pytest.mark.parametrize("by", ["environment", "argument"])
def test_only_what_is_selected_is_imported(three, monkeypatch, selection, loaded, by):
    packages, modules = three
    if by == "environment" and selection is not None:
        monkeypatch.setenv("AMULET_PLUGINS", selection)
        selection = None
    registry = packages.discover(select=selection)
    assert [entry.plugin for entry in registry.list()] == loaded
    assert {name for name, module in modules.items() if module in sys.modules} == {*loaded} - {"builtin"}
    assert registry.warnings == ()


def test_a_disabled_plugin_is_provably_not_imported(packages, healthy):
    module = packages.add("xyz", "raise SystemExit('imported')")
    registry = packages.discover(select="healthy")
    assert module not in sys.modules
    (disabled,) = (plugin for plugin in registry.plugins if isinstance(plugin, DisabledPlugin))
    assert (disabled.found.name, disabled.reason) == ("xyz", "AMULET_PLUGINS does not name it")
    healthy(registry)


def test_referring_to_a_disabled_plugin_says_how_to_enable_it(three):
    packages, _ = three
    with pytest.raises(RequestError) as error:
        packages.discover(select="one").find("attack", "two/a")
    assert str(error.value) == (
        'attack "two/a": plugin two (amulet-plugin-two 1.0) is disabled: AMULET_PLUGINS does not name it. '
        "Add two to AMULET_PLUGINS."
    )


MISSING = 'AMULET_PLUGINS names "onee", which is not installed; did you mean "one"? Installed: builtin, one, two.'


def test_a_selected_plugin_that_is_not_installed_is_a_warning(three):
    packages, _ = three
    assert packages.discover(select="onee,two").warnings == (MISSING,)


def test_a_selected_plugin_that_is_not_installed_is_fatal_when_strict(three):
    packages, _ = three
    with pytest.raises(RequestError) as error:
        packages.discover(select="onee,two", strict=True)
    assert str(error.value) == MISSING
