import ast
import re
from pathlib import Path

import amulet_core
import pytest
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import discover
from amulet_core.errors import RequestError

import amulet_plugin_explanations
from amulet_plugin_explanations.catalogue import COMPONENTS

PACKAGE = Path(amulet_plugin_explanations.__file__).parent
README = (Path(__file__).parents[1] / "README.md").read_text()
CONTRIBUTING = Path(__file__).parents[3] / "CONTRIBUTING.md"


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL).group(1)


def first_column(text):
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def imports():
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)


def test_the_registry_offers_the_catalogue_and_nothing_is_wrong_with_it():
    registry = discover(select="explanations")
    offered = [entry.id for entry in registry.entries if entry.plugin == "explanations"]
    assert sorted(offered) == sorted(f"explanations/{component.name}" for component in COMPONENTS)
    assert not registry.warnings


def test_the_readme_lists_every_component():
    assert first_column(section("Components")) == [component.name for component in COMPONENTS]


def test_the_plugin_uses_what_the_readme_names_of_the_core_and_nothing_private():
    used = {name for name in imports() if name.startswith("amulet_core")}
    assert not [name for name in used if any(part.startswith("_") for part in name.split("."))]
    assert {name.rpartition(".")[0] for name in used} == set(first_column(section("What it uses of AMULET")))
    own = {name.rpartition(".")[2] for name in used if name.count(".") == 1}
    assert own <= set(amulet_core.__all__)


@pytest.mark.skipif(not CONTRIBUTING.exists(), reason="the list is in the repository of the framework")
def test_the_plugin_uses_only_the_modules_that_plugins_may_use():
    text = CONTRIBUTING.read_text().partition("\n## Plugin API\n")[2].partition("\n## ")[0]
    allowed = set(first_column(text))
    used = {name.rpartition(".")[0] for name in imports() if name.startswith("amulet_core")}
    assert "amulet_core.explanations" in allowed & used
    assert {module for module in used if not {module, module.rpartition(".games.")[0] + ".games"} & allowed} == set()


def test_deep_lift_is_refused_where_it_has_no_rule_for_the_layers():
    config = {
        "dataset": "digits",
        "model": "vgg",
        "defenses": ["explanations/deep-lift"],
        "risks": ["evasion"],
    }
    with pytest.raises(RequestError) as error:
        resolve(config, discover())
    assert error.value.problems == (
        "defenses.0 (deep-lift): explanations/deep-lift needs layer-chain, which neither builtin/vgg nor a defense "
        "before it in the chain makes (made so far: features)",
    )


@pytest.mark.parametrize(
    ("defense", "problem"),
    [
        (
            "exponentiated-gradient",
            "explanations/deep-lift needs layer-chain, and the models that builtin/exponentiated-gradient makes have "
            "none",
        ),
        *(
            (
                defense,
                f"explanations/deep-lift: it has no rule for what {defense} puts around the layers of a model: leave "
                "one of them out",
            )
            for defense in ("threshold-optimizer", "randomized-smoothing")
        ),
    ],
)
def test_deep_lift_is_refused_beside_what_its_contributions_would_not_add_up_for(defense, problem):
    with pytest.raises(RequestError) as error:
        resolve(beside_deep_lift(defense), discover())
    assert error.value.problems == (f"defenses.0 ({defense} + deep-lift): {problem}",)


def test_deep_lift_may_stand_behind_an_affine_layer():
    resolve(beside_deep_lift("correlation-remover"), discover())


def beside_deep_lift(defense):
    return {
        "dataset": "compas",
        "model": "logistic",
        "defenses": [[defense, "explanations/deep-lift"]],
        "risks": ["utility"],
    }
