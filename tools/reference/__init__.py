"""The reference of the site, made from descriptors, hooks and contracts: never written down, so it cannot drift."""

from collections.abc import Iterator
from pathlib import Path

from amulet_core.discovery.registry import Registry
from reference.components import component_pages
from reference.contracts import contract_pages
from reference.games import game_pages
from reference.interface import interface_pages
from reference.markdown import Page
from reference.settings import settings_page

__all__ = ["Page", "reference_pages"]


def reference_pages(registry: Registry, root: Path) -> tuple[Page, ...]:
    """Return all pages of the reference, in the order of the navigation; ``root`` is the project's folder."""
    return tuple(_pages(registry, root))


def _pages(registry: Registry, root: Path) -> Iterator[Page]:
    yield Page(path="reference/index.md", title="Overview", section=(), text=_OVERVIEW)
    yield from component_pages(registry)
    yield from game_pages(registry)
    yield settings_page()
    yield from contract_pages(registry)
    yield from interface_pages(root)


_OVERVIEW = """# Reference

These pages are made from the code whenever the site is built: from the descriptors of the components, the hooks, the
types of the games and the docstrings.

- **A component**, its parameters, limits, threat model and papers: [attacks](attack/index.md),
  [defenses](defense/index.md), [metrics](metric/index.md), [data sets](dataset/index.md), [models](model/index.md),
  [executors](executor/index.md)
- **What is played for a risk**, what a config may set of it, what an attack gets and gives: [games](games/index.md)
- **The keys of a config**: [config](config.md)
- **The hooks of a plugin**, with their exact signatures: [hooks](hooks.md)
- **The fields of a descriptor**: [descriptors](descriptors.md)
- **The checks that every component of a plugin must pass**, and why: [conformance kit](conformance.md)
- **Functions and types that programs and plugins may use**: [Python API](api/index.md)

In a terminal, `amulet list` and `amulet show NAME` tell the same of the components that are installed, those of plugins
included, and `amulet schema` prints the JSON Schema of a config.
"""
