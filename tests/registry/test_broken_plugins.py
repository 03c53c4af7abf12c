"""A plugin that something is wrong with is named with its cause, contributes nothing, and harms nobody else."""

import sys

import pytest

from amulet_core.discovery.plugins import BrokenPlugin, LoadedPlugin
from amulet_core.errors import RequestError

HOOKS = (
    "amulet_components, amulet_run_started, amulet_cell_started, amulet_progress, amulet_cell_finished, "
    "amulet_run_finished"
)
DESCRIPTORS = "Dataset, Model, Defense, Attack, Metric, Reporter, Executor"
RISKS = (
    "evasion, poisoning, unauthorized-model-ownership, membership-inference, attribute-inference, "
    "distribution-inference, data-reconstruction, discriminatory-behavior, ownership-verification, privacy-audit, utility"
)

RISKS_THERE_ARE = (
    "There are: evasion, poisoning, unauthorized-model-ownership, membership-inference, attribute-inference, "
    "distribution-inference, data-reconstruction, discriminatory-behavior, ownership-verification, privacy-audit, utility."
)
BROKEN = {
    "import error": (
        "import a_library_that_nobody_has",
        "ModuleNotFoundError: No module named 'a_library_that_nobody_has'",
    ),
    "syntax error": ("x = = 1", "SyntaxError: invalid syntax (made_amulet_plugin_xyz_xyz.py, line 8)"),
    "exit at import": ("import sys; sys.exit('licence expired')", "SystemExit: licence expired"),
    "other base exception": ("raise GeneratorExit", "GeneratorExit"),
    "misspelt hook": (
        "@hookimpl\ndef amulet_component(): return [attack('a')]",
        f'it implements an unknown hook, amulet_component; did you mean "amulet_components"? The hooks are {HOOKS}',
    ),
    "misspelt hook beside a right one": (
        "@hookimpl\ndef amulet_components(): return [attack('a')]\n@hookimpl\ndef amulet_started(run): pass",
        'it implements an unknown hook, amulet_started; did you mean "amulet_run_started" or "amulet_cell_started"? '
        f"The hooks are {HOOKS}",
    ),
    "misspelt argument": (
        "@hookimpl\ndef amulet_progress(finished): pass",
        "PluginValidationError: Plugin 'xyz' for hook 'amulet_progress' hookimpl definition: "
        "amulet_progress(finished) Argument(s) {'finished'} are declared in the hookimpl but can not be found in the "
        "hookspec. Use the arguments that amulet_core.hooks specifies",
    ),
    "no hook": (
        "def amulet_components(): return [attack('a')]",
        "it implements no hook. Decorate a function called amulet_components with amulet_core.hookimpl",
    ),
    "wrapped hook": (
        "@hookimpl(wrapper=True)\ndef amulet_progress(done): return (yield)",
        "it wraps the hook amulet_progress. Hooks are implemented, never wrapped: drop the wrapper",
    ),
    "nothing returned": (
        "@hookimpl\ndef amulet_components(): attack('a')",
        "amulet_components returned None, expected an iterable of descriptors such as Attack(...)",
    ),
    "a number returned": (
        "@hookimpl\ndef amulet_components(): return 7",
        "amulet_components returned 7 (of type int), expected an iterable of descriptors such as Attack(...)",
    ),
    "a single descriptor returned": (
        "@hookimpl\ndef amulet_components(): return attack('a')",
        "amulet_components returned Attack(kind='attack', name='a', summary='An attack made f... (of type Attack), "
        "expected an iterable of descriptors such as Attack(...)",
    ),
    "a dict among the descriptors": (
        "@hookimpl\ndef amulet_components():\n    yield attack('a')\n    yield {'name': 'b'}",
        f"item 1 of amulet_components is {{'name': 'b'}} (of type dict), expected one of the descriptors {DESCRIPTORS}",
    ),
    "a class in place of its instance": (
        "@hookimpl\ndef amulet_components(): return [Attack]",
        "item 0 of amulet_components is <class 'amulet_core.components.Attack'> (of type ModelMetaclass), "
        f"expected one of the descriptors {DESCRIPTORS}",
    ),
    "invalid descriptor": (
        "@hookimpl\ndef amulet_components(): return [attack('Bad Name', access='god')]",
        "the descriptor Attack is wrong: name: String should match pattern '^[a-z0-9]+(-[a-z0-9]+)*$'; "
        "access: Input should be 'white-box', 'probabilities', 'labels', 'gradients', 'training-data' or 'none'",
    ),
    "unknown risk": (
        "@hookimpl\ndef amulet_components(): return [attack('a', risk='evasoin')]",
        'item 0 of amulet_components, the attack a, has the unknown risk "evasoin"; did you mean "evasion"? '
        f"{RISKS_THERE_ARE} A risk of your own is called plugin/name",
    ),
    "a risk by one of its words": (
        "@hookimpl\ndef amulet_components(): return [attack('a', risk='membership')]",
        'item 0 of amulet_components, the attack a, has the unknown risk "membership"; did you mean '
        f'"membership-inference"? {RISKS_THERE_ARE} A risk of your own is called plugin/name',
    ),
    "duplicate component": (
        "@hookimpl\ndef amulet_components(): return [attack('a'), attack('b'), attack('a')]",
        "item 2 of amulet_components is a second attack called a: rename one",
    ),
    "fails after its first component": (
        "@hookimpl\ndef amulet_components():\n    yield attack('a')\n    raise OSError('disk on fire')",
        "OSError: disk on fire",
    ),
}


@pytest.mark.parametrize(("body", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_named_with_its_cause_and_hides_nobody_else(packages, healthy, body, cause):
    packages.add("xyz", body)
    registry = packages.discover()
    warning = f"plugin xyz (amulet-plugin-xyz 1.0) is broken: {cause}. Update, repair or uninstall amulet-plugin-xyz."
    assert registry.warnings == (warning,)
    assert [plugin.cause for plugin in registry.plugins if isinstance(plugin, BrokenPlugin)] == [cause]
    assert [entry.id for entry in registry.list()] == ["healthy/nudge"]
    healthy(registry)


def test_a_broken_import_keeps_its_traceback(packages):
    packages.add("xyz", "raise OSError('disk on fire')")
    (plugin,) = packages.discover().plugins
    assert plugin.traceback.startswith("Traceback (most recent call last):")
    assert plugin.traceback.endswith("OSError: disk on fire\n")


def test_an_interrupt_while_a_plugin_is_imported_interrupts(packages):
    packages.add("xyz", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        packages.discover()


def test_referring_to_a_broken_plugin_names_its_cause(packages, healthy):
    packages.add("xyz", "raise OSError('disk on fire')")
    with pytest.raises(RequestError) as error:
        packages.discover().find("attack", "xyz/pgd")
    assert str(error.value) == (
        'attack "xyz/pgd": plugin xyz (amulet-plugin-xyz 1.0) is broken: OSError: disk on fire. '
        "Update, repair or uninstall amulet-plugin-xyz."
    )


def test_all_broken_plugins_are_fatal_at_once_when_strict(packages, healthy):
    packages.add("abc", "raise OSError('disk on fire')")
    packages.add("xyz", "import sys; sys.exit(3)")
    with pytest.raises(RequestError) as error:
        packages.discover(strict=True)
    assert str(error.value) == (
        "plugin abc (amulet-plugin-abc 1.0) is broken: OSError: disk on fire. "
        "Update, repair or uninstall amulet-plugin-abc.\n"
        "plugin xyz (amulet-plugin-xyz 1.0) is broken: SystemExit: 3. Update, repair or uninstall amulet-plugin-xyz."
    )


def test_a_slow_plugin_is_loaded_and_named_with_its_time(packages, healthy):
    packages.add("xyz", "import time; time.sleep(0.2)\n@hookimpl\ndef amulet_components(): return [attack('a')]")
    registry = packages.discover(slow_seconds=0.15)
    slow = next(plugin for plugin in registry.plugins if plugin.found.name == "xyz")
    assert isinstance(slow, LoadedPlugin)
    assert slow.seconds >= 0.2
    assert registry.warnings == ()
    assert registry.slow == (
        f"plugin xyz (amulet-plugin-xyz 1.0) took {slow.seconds:.2f} s to import, which slows every command. Its "
        "authors should import heavy libraries only where its targets are; AMULET_PLUGINS can leave it out.",
    )
    assert registry.find("attack", "a").plugin == "xyz"


def test_a_name_claimed_twice_is_nobodys(packages, healthy):
    one = packages.add("xyz", "raise AssertionError('imported')", distribution="first-xyz")
    two = packages.add("xyz", "raise AssertionError('imported')", distribution="second-xyz", version="2.0")
    registry = packages.discover()
    assert registry.warnings == (
        f'plugin xyz (first-xyz 1.0) is broken: the plugin name "xyz" is also claimed by second-xyz 2.0 ({two}). '
        "Update, repair or uninstall first-xyz.",
        f'plugin xyz (second-xyz 2.0) is broken: the plugin name "xyz" is also claimed by first-xyz 1.0 ({one}). '
        "Update, repair or uninstall second-xyz.",
    )
    healthy(registry)


def test_the_name_builtin_is_reserved_and_an_impostor_does_no_harm(packages):
    body = "@hookimpl\ndef amulet_components(): return [attack('pgd')]"
    packages.add("builtin", body, distribution="amulet_framework")
    packages.add("builtin", "raise AssertionError('imported')", distribution="amulet-framework-plus")
    registry = packages.discover()
    assert registry.warnings == (
        'plugin builtin (amulet-framework-plus 1.0) is broken: the plugin name "builtin" is reserved to '
        "amulet-framework. Update, repair or uninstall amulet-framework-plus.",
    )
    assert registry.find("attack", "pgd").distribution == "amulet_framework"


def test_a_plugin_made_for_another_api_is_recognised_without_importing_it(packages, healthy):
    module = packages.add("xyz", "raise AssertionError('imported')", group="amulet.v2")
    registry = packages.discover()
    assert registry.warnings == (
        "plugin xyz (amulet-plugin-xyz 1.0) is broken: made for API version 2, this is 1. "
        "Update, repair or uninstall amulet-plugin-xyz.",
    )
    assert module not in sys.modules
    healthy(registry)


def test_a_package_may_serve_two_api_versions_under_one_name(packages):
    module = packages.add("xyz", "@hookimpl\ndef amulet_components(): return [attack('a')]")
    with (packages.folder / "amulet_plugin_xyz-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write(f"[amulet.v2]\nxyz = {module}_for_v2\n")
    registry = packages.discover()
    assert [entry.id for entry in registry.list()] == ["xyz/a"]
    assert registry.warnings == ()


def test_a_plugin_name_that_no_config_could_write_is_refused(packages, healthy):
    packages.add("My!Plugin", "raise AssertionError('imported')", distribution="my-plugin")
    registry = packages.discover()
    assert registry.warnings == (
        'plugin My!Plugin (my-plugin 1.0) is broken: the plugin name "My!Plugin" must consist of lower case letters, '
        "digits and dashes. Update, repair or uninstall my-plugin.",
    )
    healthy(registry)


def test_discovering_twice_gives_the_same(packages, healthy):
    packages.add("xyz", "raise OSError('disk on fire')")
    first, second = packages.discover(), packages.discover()
    assert first.entries == second.entries
    assert first.warnings == second.warnings
    assert [plugin.found for plugin in first.plugins] == [plugin.found for plugin in second.plugins]
