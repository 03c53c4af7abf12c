"""Every fenced block of the documents is run, resolved, parsed or compared by a test, or says above it why it is not."""

import os
import re
import shlex
import tomllib
from pathlib import Path

import importlib_metadata
import pytest
import yaml
from fenced import Block, Document, commands_of, documents
from walking import is_walked, walk

from amulet_core.commands.cli import _parser
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import discover

BASE = {"dataset": "adult", "risks": ["evasion"]}
"""What a part of a config is laid over, to be a whole one."""
PROGRAMS = {"amulet", "cd", "export", "make", "pip", "pytest", "python", "ray", "ruff", "twine"}
SIGNATURE = re.compile(r"^\w+\(\n", re.MULTILINE)

WALKED = [document for document in documents() if is_walked(document) and document.name.startswith("docs/")]
BLOCKS = [
    pytest.param(document, block, id=f"{document.name}-{number}")
    for document in documents()
    for number, block in enumerate(document.every_block, 1)
]


def use_of(document: Document, block: Block) -> str:
    """Return what a test does with a block, or nothing."""
    walked = document.name == "README.md" or is_walked(document)
    match block.language, block.mark:
        case _, mark if mark.startswith("not run: "):
            return "exempt"
        case "sh", "":
            return "parsed"
        case "yaml", "" | "part":
            return "resolved"
        case _, mark if walked and (block.file or mark in ("run", "matrix", "output", "output, other figures")):
            return "walked"
        case "text", "" if document.name == "docs/architecture.md" and SIGNATURE.search(block.text):
            return "compared with the code"
    return ""


def merged(base: dict, part: dict) -> dict:
    """Lay a part of a config over a whole one; where it names columns or a data set, these replace the others."""
    return {**base, **part}


@pytest.mark.parametrize(("document", "block"), BLOCKS)
def test_a_block_has_a_test_or_a_reason_to_have_none(document, block):
    assert use_of(document, block), f"nothing tests this block of {document.name}:\n{block.text}"


def test_no_fence_is_hidden_from_the_tests_by_its_indentation(document):
    assert [line for line in document.text.splitlines() if re.match(r"\s+(```|~~~)|~~~", line)] == []
    fences = [line for line in document.text.splitlines() if line.startswith("```")]
    assert len(fences) == 2 * len(document.every_block)


@pytest.mark.parametrize(("document", "block"), [one for one in BLOCKS if use_of(*one.values) == "resolved"])
def test_a_config_shown_resolves(document, block, packages, monkeypatch):
    shown = yaml.safe_load(block.text)
    request = resolve(merged(BASE, shown) if block.mark == "part" else shown, offered(document, packages, monkeypatch))
    assert request.risks, document.name


def offered(document, packages, monkeypatch):
    """Return the built-in components, and those of the package whose page it is."""
    if document.path.parent.parent.name == "plugins":
        project = tomllib.loads((document.path.parent / "pyproject.toml").read_text())["project"]
        ((name, module),) = project["entry-points"]["amulet.v1"].items()
        monkeypatch.syspath_prepend(document.path.parent)
        packages.add(name, f"from {module} import amulet_components")
    own = importlib_metadata.entry_points(group="amulet.v1", name="builtin")
    return discover(entry_points=[*packages.entry_points(), *own])


@pytest.mark.parametrize(("document", "block"), [one for one in BLOCKS if one.values[1].language == "sh"])
def test_a_command_shown_is_one_that_there_is(document, block):
    for line in commands_of(block):
        words = shlex.split(line)
        program = re.sub(r"^\w+/bin/", "", words[0])
        assert program in PROGRAMS, f"{document.name}: {line}"
        if program == "amulet":
            _parser().parse_args(words[1:])


@pytest.mark.parametrize(("document", "block"), [one for one in BLOCKS if "-m venv" in one.values[1].text])
def test_what_is_to_run_in_a_fresh_environment_is_run_in_it(document, block):
    made, *after = commands_of(block)
    name = made.removeprefix("python -m venv ")
    assert after, document.name
    assert [line for line in after if not line.startswith(f"{name}/bin/")] == []


CLAIM = "Every file and command below is run by AMULET's own tests"


def test_a_page_that_says_that_all_is_run_runs_all_or_says_what_not(document):
    shown = [block.mark for block in document.blocks("sh") + document.blocks("python")]
    if CLAIM not in " ".join(document.text.split()):
        return
    assert [mark for mark in shown if mark != "run" and not mark.startswith(("file: ", "not run: "))] == []
    assert any(mark.startswith("not run: ") for mark in shown) == (
        f"{CLAIM}, but for " in " ".join(document.text.split())
    )


def test_some_pages_say_that_all_is_run():
    claiming = [one.name for one in documents() if CLAIM in " ".join(one.text.split())]
    assert claiming == ["docs/plugins/tutorial-attack.md", "docs/plugins/tutorial-defense.md"]


@pytest.mark.parametrize("document", WALKED, ids=lambda document: document.name)
def test_a_page_does_what_it_says(document, tmp_path: Path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    walked = walk(document, home, dict(os.environ))
    assert walked.said or walked.names, document.name
