"""Models that release explanations beside predictions, and who reads them. Light: captum comes in when it is used."""

from collections.abc import Iterator

from amulet_core import Component, hookimpl

from amulet_plugin_explanations import catalogue


@hookimpl
def amulet_components() -> Iterator[Component]:
    """Yield the explaining defenses and the attacks on what they release."""
    yield from catalogue.COMPONENTS
