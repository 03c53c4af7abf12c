"""Plugins are found in the metadata of whatever is installed, as the import system sees it."""

import pkgutil
import sys

import pytest

import amulet_core
from amulet_core.discovery.registry import discover

BODY = "@hookimpl\ndef amulet_components(): return [attack('a')]"


def plugins_called(name):
    return [plugin for plugin in discover(select="made-up,other").plugins if plugin.found.name == name]


def test_an_installed_package_is_found(packages):
    packages.add("made-up", BODY, version="3.2.1")
    (plugin,) = plugins_called("made-up")
    assert plugin.found.whose == "made-up (amulet-plugin-made-up 3.2.1)"
    assert [component.name for component in plugin.components] == ["a"]


def test_a_package_that_stands_on_the_path_twice_is_no_rival_of_itself(packages, tmp_path, monkeypatch):
    packages.add("made-up", BODY, version="2.0")
    older = type(packages)(tmp_path / "older")
    older.folder.mkdir()
    older.add("made-up", "raise AssertionError('shadowed')", version="1.0")
    monkeypatch.setattr("sys.path", [*sys.path, str(older.folder)])
    (plugin,) = plugins_called("made-up")
    assert plugin.found.version == "2.0"


def test_a_damaged_package_that_is_no_plugin_is_not_our_business(packages):
    packages.add("made-up", BODY)
    packages.add("x", "", distribution="stranger", group="console_scripts")
    (packages.folder / "stranger-1.0.dist-info" / "entry_points.txt").write_text("[console_scripts]\nno equals sign\n")
    assert discover(select="made-up").warnings == ()


def test_a_plugin_whose_entry_points_cannot_be_read_is_named_and_hides_nobody_else(packages):
    packages.add("made-up", BODY)
    packages.add("other", BODY)
    (packages.folder / "amulet_plugin_other-1.0.dist-info" / "entry_points.txt").write_text("[amulet.v1]\nother\n")
    registry = discover(select="made-up")
    (warning,) = registry.warnings
    assert warning.startswith(
        "plugin amulet-plugin-other (amulet-plugin-other 1.0) is broken: its entry_points.txt cannot be read: "
    )
    assert registry.find("attack", "made-up/a").plugin == "made-up"


def test_a_left_over_folder_without_metadata_is_broken_for_want_of_its_module(packages):
    module = packages.add("made-up", BODY)
    (packages.folder / "amulet_plugin_made_up-1.0.dist-info" / "METADATA").unlink()
    (packages.folder / f"{module}.py").unlink()
    assert discover(select="made-up").warnings == (
        f"plugin made-up (unknown unknown) is broken: ModuleNotFoundError: No module named '{module}'. "
        "Update, repair or uninstall unknown.",
    )


@pytest.mark.parametrize("name", [name for name in amulet_core.__all__ if name not in {"run", "__version__"}])
def test_every_public_name_is_there(name):
    assert getattr(amulet_core, name) is not None
    assert name in dir(amulet_core)


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(
        AttributeError, match=r"^module 'amulet_core' has no attribute 'discovers'; it offers __version__, "
    ):
        amulet_core.discovers  # noqa: B018  # reading it is the test


def test_no_module_has_a_public_name_which_it_would_replace_once_it_is_imported():
    modules = {module.name for module in pkgutil.iter_modules(amulet_core.__path__)}
    assert modules.isdisjoint(amulet_core.__all__)
