"""Observers are told of a run; none of them can stop it, or another."""

import pytest

from amulet_core import hooks

RECORDS = """
SEEN = []

@hookimpl
def amulet_progress(label, done):
    SEEN.append((done, label))

@hookimpl
def amulet_run_finished(results):
    SEEN.append(results["cells"])
"""


def loaded_module(registry, name):
    plugin = next(plugin for plugin in registry.plugins if plugin.found.name == name)
    return plugin.hooks.get_plugin(name)


def test_every_observer_is_called_with_the_arguments_it_asks_for(packages):
    packages.add("one", RECORDS)
    packages.add("two", RECORDS)
    registry = packages.discover()
    assert registry.notify("amulet_progress", {"done": 1, "total": 2, "label": "fit"}) == ()
    assert registry.notify("amulet_run_finished", {"results": {"cells": 7}}) == ()
    assert [loaded_module(registry, name).SEEN for name in ("one", "two")] == [[(1, "fit"), 7]] * 2


@pytest.mark.parametrize("order", [("abc", "xyz"), ("xyz", "abc")])
def test_a_failing_observer_is_one_warning_and_stops_nobody_whatever_the_order(packages, order):
    failing, recording = order
    packages.add(failing, "@hookimpl\ndef amulet_progress(): raise SystemExit('enough')")
    packages.add(recording, RECORDS)
    registry = packages.discover()
    assert registry.notify("amulet_progress", {"done": 1, "total": 2, "label": "fit"}) == (
        f"plugin {failing} (amulet-plugin-{failing} 1.0): its amulet_progress failed and was ignored: "
        "SystemExit: enough.",
    )
    assert loaded_module(registry, recording).SEEN == [(1, "fit")]


def test_an_interrupt_inside_an_observer_interrupts(packages):
    packages.add("xyz", "@hookimpl\ndef amulet_progress(): raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        packages.discover().notify("amulet_progress", {"done": 1, "total": 2, "label": "fit"})


def test_a_plugin_may_observe_without_contributing_components(packages):
    packages.add("xyz", RECORDS)
    registry = packages.discover()
    assert registry.warnings == ()
    assert registry.list() == ()


def test_only_observer_hooks_are_broadcast(packages):
    with pytest.raises(
        ValueError, match="amulet_components is not an observer hook; the observer hooks are amulet_run"
    ):
        packages.discover().notify("amulet_components", {})


def test_every_hook_is_one_documented_sentence():
    for name in ("amulet_components", *hooks.OBSERVERS):
        document = getattr(hooks, name).__doc__
        assert document.endswith(".")
        assert "\n" not in document
