"""The pages of the Python API: the modules that a program or a plugin may use, as CONTRIBUTING.md lists them."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reference.markdown import Page, table

import amulet_core

_SECTION: Final = ("Python API",)
_ELSEWHERE: Final = {
    "amulet_core.games": ("../games/index.md", "its types are on the pages of the games"),
    "amulet_core.components": ("../descriptors.md", "its types are on the page of the descriptors"),
    "amulet_core.hooks": ("../hooks.md", "its hooks are on a page of their own"),
}
"""Modules whose content other pages of the reference show, in words and without signatures."""


def modules(root: Path) -> dict[str, str]:
    """Return the modules that plugins may use, each with what it is for."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(amulet_core[\w.]*)` \| (.+?) \|$", text, re.MULTILINE)
    return dict(rows)


def interface_pages(root: Path) -> Iterator[Page]:
    """Yield the page of what ``amulet_core`` exports, and one for each module that plugins may use."""
    listed = modules(root)
    yield Page(path="reference/api/index.md", title="amulet_core", section=_SECTION, text=_exports(listed))
    for module, purpose in listed.items():
        if module not in {"amulet_core", *_ELSEWHERE}:
            text = f"# {module.removeprefix('amulet_core.')}\n\n{purpose[:1].upper()}{purpose[1:]}.\n\n::: {module}\n"
            yield Page(path=_path(module), title=module.removeprefix("amulet_core."), section=_SECTION, text=text)


def _path(module: str) -> str:
    return f"reference/api/{module.removeprefix('amulet_core.')}.md"


def _exports(listed: dict[str, str]) -> str:
    """Return the page of the package: its names, those of no other page in full, and the other modules."""
    homes = {name: f"amulet_core.{module}" for name, module in sorted(amulet_core._MODULE_OF.items())}
    rows = [(f"`{name}`", _first_line(name), _home(module, listed)) for name, module in homes.items()]
    own = [f"::: {module}.{name}" for name, module in homes.items() if module not in listed]
    others = [(_home(module, listed), purpose) for module, purpose in listed.items() if module != "amulet_core"]
    return "\n\n".join(
        [
            "# amulet_core",
            "What `import amulet_core as amulet` offers; importing it imports nothing heavy.",
            table(("name", "what it is", "where"), rows),
            "## Further modules",
            "A program or a plugin may use these and no others. Names with an underscore are no part of any.",
            table(("module", "what for"), others),
            "## In full",
            *own,
        ]
    )


def _first_line(name: str) -> str:
    value = getattr(amulet_core, name)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return "Marks a function as the implementation of a hook."
    return (inspect.getdoc(value) or "").partition("\n")[0].replace("``", "`")


def _home(module: str, listed: dict[str, str]) -> str:
    if module in _ELSEWHERE:
        return f"[`{module}`]({_ELSEWHERE[module][0]})"
    if module in listed:
        return f"[`{module}`]({_path(module).removeprefix('reference/api/')})"
    return "[below](#in-full)"

