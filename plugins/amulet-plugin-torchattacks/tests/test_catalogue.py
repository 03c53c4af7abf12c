import ast
import inspect
import re
from pathlib import Path

import amulet_core
import pytest
import torch
import torchattacks
from amulet_core.discovery.registry import discover

import amulet_plugin_torchattacks
from amulet_plugin_torchattacks import planted
from amulet_plugin_torchattacks.catalogue import COMPONENTS
from amulet_plugin_torchattacks.use import Settings

PACKAGE = Path(amulet_plugin_torchattacks.__file__).parent
README = (Path(__file__).parents[1] / "README.md").read_text()
CONTRIBUTING = Path(__file__).parents[3] / "CONTRIBUTING.md"

# What differs from torchattacks' defaults, and why it does, stands in the docstrings of the settings.
OTHER_DEFAULTS = {("SPSA", "lr"), ("SPSA", "nb_iter"), ("Square", "n_queries")}
# Unused by the attack itself, or of no consequence within the game: printing, memory, a guard against dividing by 0,
# a margin that the attack adds to the wrong logits.
NOT_OFFERED = {
    "PIFGSM": {"momentum", "prob"},
    "PIFGSMPP": {"momentum", "prob"},
    "EADEN": {"kappa"},
    "EADL1": {"kappa"},
    "PGDRS": {"batch_max"},
    "PGDRSL2": {"batch_max", "eps_for_division"},
    "PGDL2": {"eps_for_division"},
}
# With the error that playing it ends in, an AssertionError being that of the test itself.
LEFT_OUT = [
    ("VANILA", AssertionError),
    ("JSMA", IndexError),
    ("SparseFool", DeprecationWarning),
    ("OnePixel", AssertionError),
    ("Pixle", AssertionError),
    ("MultiAttack", AttributeError),
    ("LGV", TypeError),
]


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL).group(1)


def first_column(text):
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def test_the_registry_offers_the_catalogue_and_nothing_is_wrong_with_it():
    registry = discover(select="torchattacks")
    offered = [entry.id for entry in registry.entries if entry.plugin == "torchattacks"]
    assert sorted(offered) == sorted(f"torchattacks/{component.name}" for component in COMPONENTS)
    assert not registry.warnings


def test_the_readme_lists_exactly_what_is_registered():
    assert sorted(first_column(section("Attacks"))) == sorted(component.name for component in COMPONENTS)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_the_readme_says_of_each_attack_what_its_descriptor_says(component):
    norms = " or ".join({"linf": "linf", "l2": "L2"}[norm] for norm in component.params.use.norms)
    access = "none (control)" if component.control else component.access
    data = " and ".join(component.modality)
    row = re.search(rf"^\| `{component.name}` .*$", README, re.MULTILINE).group()
    assert row == f"| `{component.name}` | {norms} | {access} | {data} | {component.references[0].where} |"


def test_every_class_of_torchattacks_is_registered_or_left_out_with_a_reason():
    registered = {component.params.use.name for component in COMPONENTS}
    left_out = {name for name, _ in LEFT_OUT}
    assert not registered & left_out
    assert registered | left_out == set(torchattacks.__all__)
    assert sorted(first_column(section("Left out"))) == sorted(left_out)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(raises=error, strict=True, reason="see README, Left out"))
        for name, error in LEFT_OUT
    ],
)
def test_what_is_left_out_works_within_a_budget(name):
    victim = planted.image_victim()
    victim.register_parameter("somewhere", torch.nn.Parameter(torch.empty(0)))
    x = torch.rand(20, *planted.IMAGES.shape, generator=torch.Generator().manual_seed(1))
    y = victim(x).argmax(1)
    moved = getattr(torchattacks, name)(victim)(x.clone(), y)
    fooled = victim(moved).argmax(1) != y
    assert (fooled & ((moved - x).abs().flatten(1).amax(1) <= 0.1)).double().mean() > 0.1


def default_of(params, alias):
    return inspect.signature(getattr(torchattacks, params.use.name).__init__).parameters[alias].default


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_settings_are_those_of_torchattacks_with_its_defaults(component):
    params, use = component.params, component.params.use
    offered = dict(inspect.signature(getattr(torchattacks, use.name).__init__).parameters)
    taken = {"takes_norm": "norm", "takes_seed": "seed", "takes_classes": "n_classes"}
    told = {use.budget} | {argument for flag, argument in taken.items() if getattr(use, flag)}
    fields = {field.serialization_alias or name: name for name, field in params.model_fields.items()}
    silent = {"self", "model", "verbose"} | NOT_OFFERED.get(use.name, set())
    assert set(fields) | (told - {None}) == set(offered) - silent
    for alias, name in fields.items():
        default = default_of(params, alias)
        if name.startswith("relative_"):
            default /= default_of(params, use.budget)
        default = {"guassian": "gaussian"}.get(default, default)
        same = params.model_fields[name].default == pytest.approx(default)
        assert same != ((use.name, alias) in OTHER_DEFAULTS), (alias, default)


def imports():
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                yield from ((path.name, f"{node.module}.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((path.name, alias.name) for alias in node.names)


def test_the_plugin_uses_what_the_readme_names_of_the_core_and_nothing_private():
    used = {name for _, name in imports() if name.split(".")[0].startswith("amulet") and "plugin_torch" not in name}
    assert not [name for name in used if any(part.startswith("_") for part in name.split("."))]
    modules = {name.rpartition(".")[0] for name in used}
    assert not [module for module in modules if not module.startswith("amulet_core")]
    assert modules == set(first_column(section("What it uses of AMULET")))


@pytest.mark.skipif(not CONTRIBUTING.exists(), reason="the list is in the repository of the framework")
def test_the_plugin_uses_only_the_modules_that_plugins_may_use():
    text = CONTRIBUTING.read_text().partition("\n## Plugin API\n")[2].partition("\n## ")[0]
    allowed = set(first_column(text))
    used = {name.rpartition(".")[0] for _, name in imports() if name.startswith("amulet_core")}
    assert "amulet_core.components" in allowed & used
    assert {module for module in used if not {module, module.rpartition(".games.")[0] + ".games"} & allowed} == set()


def test_the_plugin_reaches_into_no_private_part_of_a_value():
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                own = isinstance(node.value, ast.Name) and node.value.id == "self"
                assert own or node.attr == "__init__", f"{path.name}:{node.lineno} {node.attr}"


def test_the_core_offers_each_public_name_that_the_plugin_imports_from_it():
    names = [
        name.rpartition(".")[2] for _, name in imports() if name.startswith("amulet_core.") and name.count(".") == 1
    ]
    assert names
    assert set(names) <= set(amulet_core.__all__)


def test_settings_of_another_plugin_or_a_misspelt_one_are_refused():
    with pytest.raises(ValueError, match="alpha"):
        next(component for component in COMPONENTS if component.name == "pgd").params(alpha=2 / 255)
    assert all(issubclass(component.params, Settings) for component in COMPONENTS)
