"""The pages of the Python API: the modules that a program or a plugin may use, as CONTRIBUTING.md lists them."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import amulet_core
from reference.markdown import Page, docstring, table

_SECTION: Final = ("Python API",)
COMPONENTS: Final = "amulet_core.components"
_ELSEWHERE: Final = {
    "amulet_core.games": "../games/index.md",
    COMPONENTS: "../descriptors.md",
    "amulet_core.hooks": "../hooks.md",
}
"""Modules that have pages of another kind."""


def modules(root: Path) -> dict[str, str]:
    """Return the modules that plugins may use, each with what it is for."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(amulet_core[\w.]*)` \| (.+?) \|$", text, re.MULTILINE)
    return dict(rows)


def interface_pages(root: Path) -> Iterator[Page]:
    """Yield the page of what ``amulet_core`` exports, and one for each module that plugins may use."""
    listed = modules(root)
    yield Page(path="reference/api/index.md", title="amulet_core", section=_SECTION, text=_exports(listed))
    for module in listed:
        if module not in {"amulet_core", *_ELSEWHERE}:
            text = (
                f"# {module}\n\n::: {module}\n    options: {{show_root_heading: false, show_root_toc_entry: false}}\n"
            )
            yield Page(path=_path(module), title=module.removeprefix("amulet_core."), section=_SECTION, text=text)


def _path(module: str) -> str:
    return f"reference/api/{module.removeprefix('amulet_core.')}.md"


def _exports(listed: dict[str, str]) -> str:
    """Return the page of the package: its names, those of no other page in full, and the other modules."""
    homes = {name: f"amulet_core.{module}" for name, module in sorted(amulet_core._MODULE_OF.items())}
    rows = [(_linked(name, module, listed), _first_line(name)) for name, module in homes.items()]
    own = [f"::: {module}.{name}" for name, module in homes.items() if module not in listed]
    others = [
        (f"[`{module}`]({_place(module)})", purpose) for module, purpose in listed.items() if module != "amulet_core"
    ]
    parts = [
        "# amulet_core",
        "What `import amulet_core as amulet` offers; importing it imports nothing heavy.",
        table(("name", "what it is"), rows),
        "## Further modules",
        "A program or a plugin may use these and no others. Names with an underscore are no part of any.",
        table(("module", "what for"), others),
        "## In full",
        *own,
    ]
    return "\n\n".join(parts) + "\n"


def _first_line(name: str) -> str:
    value = getattr(amulet_core, name)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return "Marks a function as the implementation of a hook."
    return docstring(inspect.getdoc(value)).partition("\n")[0]


def _linked(name: str, module: str, listed: dict[str, str]) -> str:
    """Return a name as a link to where it is described: its own anchor, or the page on which it stands."""
    if module not in listed:
        return f"[`{name}`](#{module}.{name})"
    return f"[`{name}`]({_place(module)}{f'#{name.lower()}' if module == COMPONENTS and name != 'NoParams' else ''})"


def _place(module: str) -> str:
    """Return the page of a module, seen from the page of the package."""
    return _ELSEWHERE.get(module) or _path(module).removeprefix("reference/api/")
