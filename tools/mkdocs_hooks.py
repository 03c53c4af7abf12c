"""What the site has beside the files in docs/: the reference, and documents of the project that stand elsewhere.

MkDocs calls these functions while it builds. Links to files outside of docs/ lead to their copies in the site.
"""

import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference import reference_pages
from reference.markdown import Page as ReferencePage
from reference.matrix import MARK, quickstart_table

import amulet_core

ROOT: Final = Path(__file__).parents[1]
REFERENCE: Final = "reference/"
"""What stands in the navigation where the pages of the reference go."""
EXAMPLES: Final = "examples.md"
_FOLDERS: Final = {".": "guide.md", "examples": EXAMPLES}
"""The pages that stand for folders of the project."""
_LINK: Final = re.compile(r"(\]\()(?!https?://|#|mailto:)([^)#\s]+)([^)]*\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the reference into the navigation."""
    config.nav = [_filled(item) for item in config.nav or []]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of the reference, and the documents from elsewhere."""
    for page in _pages():
        files.append(File.generated(config, page.path, content=page.text))
    for source, target in copies().items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    files.append(File.generated(config, EXAMPLES, content=_examples()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - the hook's arguments
    """Lead links to files outside of docs/ to their copies, and put the matrix where a page has its mark."""
    if MARK in markdown:
        markdown = markdown.replace(MARK, quickstart_table(ROOT))
    return relinked(markdown, page.file.src_uri)


def copies() -> dict[str, str]:
    """Return the documents that the site copies: their paths in the project, and in the site's sources."""
    packages = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/README.md"))
    return {
        "README.md": "guide.md",
        "LICENSE": "LICENSE.txt",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
        **{f"plugins/{name}/README.md": f"plugins/packages/{name}.md" for name in packages},
        **{f"examples/{path.name}": f"examples/{path.name}" for path in sorted((ROOT / "examples").glob("*.yaml"))},
    }


def relinked(markdown: str, page: str) -> str:
    """Return a page's text with its links leading to where the files are in the site; unknown ones stay as they are."""
    known = copies()
    home = {target: source for source, target in known.items()}.get(page, f"docs/{page}")

    def led(match: re.Match[str]) -> str:
        before, path, after = match.groups()
        source = posixpath.normpath(posixpath.join(posixpath.dirname(home), path))
        inside = _inside(source, known)
        return f"{before}{posixpath.relpath(inside, posixpath.dirname(page) or '.') if inside else path}{after}"

    return _LINK.sub(led, markdown)


def _inside(source: str, known: dict[str, str]) -> str:
    """Return where a file of the project is in the site, or nothing."""
    if source.startswith("docs/"):
        return source.removeprefix("docs/")
    return known.get(source) or known.get(f"{source}/README.md") or _FOLDERS.get(source, "")


def _examples() -> str:
    parts = ["# Examples", "Configs to start from: `amulet run NAME.yaml`."]
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        parts += [f"## {path.stem}", f'```yaml title="{path.name}"\n{path.read_text(encoding="utf-8")}```']
    return "\n\n".join(parts) + "\n"


@cache
def _pages() -> tuple[ReferencePage, ...]:
    return reference_pages(amulet_core.discover(select=""), ROOT)


def _filled(item: Any) -> Any:
    """Return an item of the navigation, with the pages of the reference in the place of their folder."""
    if isinstance(item, dict) and REFERENCE in item.values():
        return {next(iter(item)): _nested(_pages())}
    return item


def _nested(pages: tuple[ReferencePage, ...]) -> list[Any]:
    sections: list[Any] = []
    for page in pages:
        place = sections
        for title in page.section:
            place = _section(place, title)
        place.append({page.title: page.path})
    return sections


def _section(place: list[Any], title: str) -> list[Any]:
    for item in place:
        if title in item and isinstance(item[title], list):
            found: list[Any] = item[title]
            return found
    place.append({title: []})
    return _section(place, title)
