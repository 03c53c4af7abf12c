"""The attacks of torchattacks as AMULET components. Light: torchattacks itself is imported when an attack is used."""

from collections.abc import Iterator

from amulet_core import Component, hookimpl

from amulet_plugin_torchattacks import catalogue


@hookimpl
def amulet_components() -> Iterator[Component]:
    """Yield a descriptor for every attack."""
    yield from catalogue.COMPONENTS
