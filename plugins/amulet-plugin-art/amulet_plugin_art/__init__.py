"""Attacks and defenses of the Adversarial Robustness Toolbox. Light: the toolbox is imported when one is used."""

from collections.abc import Iterator

from amulet_core import Component, hookimpl

from amulet_plugin_art import attacks, defenses


@hookimpl
def amulet_components() -> Iterator[Component]:
    """Yield a descriptor for every attack and every defense."""
    yield from attacks.COMPONENTS
    yield from defenses.COMPONENTS
