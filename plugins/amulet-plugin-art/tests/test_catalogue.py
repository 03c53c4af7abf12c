import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amulet_core.discovery.registry import discover

import amulet_plugin_art
from amulet_plugin_art import attacks, defenses

PACKAGE = Path(amulet_plugin_art.__file__).parent
README = (Path(__file__).parents[1] / "README.md").read_text()
CONTRIBUTING = Path(__file__).parents[3] / "CONTRIBUTING.md"
COMPONENTS = (*attacks.COMPONENTS, *defenses.COMPONENTS)


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL).group(1)


def first_column(text):
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def test_the_registry_offers_the_catalogue_and_nothing_is_wrong_with_it():
    registry = discover(select="art")
    offered = [entry.id for entry in registry.entries if entry.plugin == "art"]
    assert sorted(offered) == sorted(f"art/{component.name}" for component in COMPONENTS)
    assert not registry.warnings


def test_listing_imports_neither_the_toolbox_nor_torch():
    code = "import sys, amulet_plugin_art; print({'art', 'torch', 'numpy'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


@pytest.mark.parametrize("component", attacks.COMPONENTS, ids=lambda component: component.name)
def test_the_readme_says_of_each_attack_what_its_descriptor_says(component):
    row = re.search(rf"^\| `{component.name}` .*$", section("Attacks"), re.MULTILINE).group()
    data = " and ".join(component.modality)
    where = component.references[0].where
    assert row == f"| `{component.name}` | {component.risk} | {component.access} | {data} | {where} |"


@pytest.mark.parametrize("component", defenses.COMPONENTS, ids=lambda component: component.name)
def test_the_readme_says_of_each_defense_what_its_descriptor_says(component):
    row = re.search(rf"^\| `{component.name}` .*$", section("Defenses"), re.MULTILINE).group()
    (stage,), data = component.stages, " and ".join(component.modality)
    where = component.references[0].where
    assert row == f"| `{component.name}` | {stage} | {component.risk} | {data} | {where} |"


def test_the_readme_lists_nothing_else():
    assert first_column(section("Attacks")) == [component.name for component in attacks.COMPONENTS]
    assert first_column(section("Defenses")) == [component.name for component in defenses.COMPONENTS]


def imported():
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("amulet_core"):
                yield node.module


def test_the_plugin_uses_what_the_readme_names_of_the_core():
    assert set(imported()) == set(first_column(section("What it uses of AMULET")))


@pytest.mark.skipif(not CONTRIBUTING.exists(), reason="the list is in the repository of the framework")
def test_the_plugin_uses_only_the_modules_that_plugins_may_use():
    text = CONTRIBUTING.read_text().partition("\n## Plugin API\n")[2].partition("\n## ")[0]
    allowed = set(first_column(text))
    assert {
        module for module in imported() if not {module, module.rpartition(".")[0]} & (allowed - {"amulet_core"})
    } <= {"amulet_core"}
