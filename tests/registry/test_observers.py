"""Plugins may observe runs; what they are told, and how they are kept apart, stands in tests/run."""

from amulet_core import hooks


def test_a_plugin_may_observe_without_contributing_components(packages):
    packages.add("xyz", "@hookimpl\ndef amulet_progress(label, done): pass")
    registry = packages.discover()
    assert registry.warnings == ()
    assert registry.list() == ()


def test_the_documentation_of_a_hook_begins_with_one_sentence():
    for name in ("amulet_components", *hooks.OBSERVERS):
        first, *rest = getattr(hooks, name).__doc__.splitlines()
        assert first.endswith(".")
        assert not rest or not rest[0]
