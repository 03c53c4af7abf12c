"""What the documents point to exists: files, modules, commands; and the games that they describe are those of the code."""

import ast
import os
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import mkdocs_hooks
import pytest
from fenced import ROOT, documents

from amulet_core.hooks import OBSERVERS

GAMES_PLAYED = {
    "evasion": "Evasion",
    "poisoning": "Poisoning",
    "theft": "Theft",
    "verification": "Verification",
    "membership": "Membership",
    "audit": "Audit",
    "attribute": "Attribute",
    "distribution": "Distribution",
    "reconstruction": "Reconstruction",
    "behavior": "Behavior",
}


def test_every_link_to_a_file_leads_to_one(document):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.text)
    generated = {ROOT / "docs" / page.path for page in mkdocs_hooks._pages()}
    targets = {link: document.path.parent / link for link in links}
    assert [
        link for link, to in targets.items() if not to.exists() and Path(os.path.normpath(to)) not in generated
    ] == []


def test_every_module_named_in_backticks_exists(document):
    names = set(re.findall(r"`(amulet_(?:core|plugins_builtin)(?:\.\w+)+)`", document.text))
    assert [name for name in sorted(names) if not _exists(name)] == []


def _exists(name):
    """Tell whether a dotted name is a module, or something in one."""
    parent, _, last = name.rpartition(".")
    if find_spec(parent) is None:
        return False
    return (
        find_spec(name) is not None if _is_package(parent) and find_spec(name) else hasattr(import_module(parent), last)
    )


def _is_package(name):
    return find_spec(name).submodule_search_locations is not None


def _core_modules(source):
    """Yield the modules of the core that a source text imports."""
    for node in ast.walk(ast.parse(source)):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name.split(".")[0] == "amulet_core")


def test_what_plugins_use_of_the_core_is_what_they_may_use(contributing):
    allowed = {name.strip("`") for name in contributing.table("module | what for")}
    packages = sorted((contributing.path.parent / "plugins").glob("*/amulet_plugin_*/*.py"))
    sources = [path.read_text(encoding="utf-8") for path in packages]
    shown = [block for document in documents() for block in document.files("python")]
    sources += [block.text for block in shown]
    used = {name for source in sources for name in _core_modules(source)}
    assert packages
    assert len(shown) > 5
    assert len(used) > 5
    assert {name for name in used if not {name, re.sub(r"^(amulet_core\.games)\.\w+$", r"\1", name)} & allowed} == set()


def test_what_stands_at_the_top_of_the_core_is_what_plugins_may_use_and_what_a_user_calls(contributing):
    listed = {name.strip("`") for name in contributing.table("module | what for")}
    top = {f"amulet_core.{path.stem}" for path in (contributing.path.parent / "amulet_core").glob("*.py")}
    assert top - listed == {"amulet_core.__init__", "amulet_core.api"}


def test_every_make_target_named_is_in_the_makefile(document):
    targets = set(re.findall(r"`make ([a-z-]+)`", document.text))
    makefile = (ROOT / "Makefile").read_text()
    assert [target for target in sorted(targets) if f"\n{target}:" not in makefile] == []


@pytest.mark.parametrize("module", GAMES_PLAYED)
def test_the_signatures_of_the_games_played_are_those_of_the_code(architecture, module):
    game = import_module(f"amulet_core.games.{module}")
    text = "\n".join(block.text for block in architecture.blocks("text"))
    signatures = dict(re.findall(r"^(\w+)\(\n(.*?)^\)$", text, re.MULTILINE | re.DOTALL))
    artifacts = [name for name in vars(game) if name.startswith(GAMES_PLAYED[module]) or name == "Lab"]
    artifacts = [name for name in artifacts if getattr(game, name).__module__ == game.__name__]
    assert artifacts
    for name in artifacts:
        fields = re.findall(r"^  (\w+),", signatures[name], re.MULTILINE)
        assert fields == list(getattr(game, name).model_fields), name


def test_the_hooks_named_are_those_that_there_are(architecture):
    assert set(re.findall(r"`(amulet_[a-z_]+)`", architecture.text)) >= set(OBSERVERS)
