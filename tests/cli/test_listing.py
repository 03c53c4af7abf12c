"""What ``amulet list``, ``show`` and ``plugins`` print, as text and as JSON."""

import functools
import json
import re

import pytest

from amulet_core.commands import cli
from amulet_core.commands.describing import details
from amulet_core.commands.listing import show_text
from amulet_core.components import Defense, Model
from amulet_core.discovery.entries import Entry
from amulet_core.discovery.registry import discover

BUILTIN = """
from typing import Literal
from pydantic import Field
from amulet_core.components import Dataset, Defense, Measure, Metric, Params, Reference

class Settings(Params):
    steps: int = Field(default=10, ge=1, le=1000, description="how many steps to take")
    norm: Literal["linf", "l2"] = Field(default="linf", description="what measures a change")
    rate: float | None = Field(default=None, gt=0, lt=1, description="how far to go; the default depends on the budget")
    layers: tuple[int, ...] = Field(min_length=1, description="the widths of the layers")

PAPER = Reference(title="A paper about attacks", where="arXiv:1234.56789")

@hookimpl
def amulet_components():
    yield attack("pgd", params=Settings, threat="It sees the labels only.", references=(PAPER,),
                 summary="A first attack with a summary so long that it has to be broken into two lines at 80 columns")
    yield attack("nothing", control=True, access="none", requires=("x",), produces=("y",))
    yield Defense(name="guard", summary="A defense made for a test", target="math:sqrt", risk="evasion",
                  stages={"data": "math:sqrt", "model": "math:cos"}, randomised=True)
    yield Dataset(name="rows", summary="A data set made for a test", target="math:sqrt", licence="CC0-1.0")
    yield Metric(name="curve", summary="A metric made for a test", target="math:sqrt", risk="evasion",
                 measures=(Measure(name="area", summary="the area below it", better="higher"),))
"""

LIST = """\
dataset
  rows         A data set made for a test

defense: evasion
  guard        A defense made for a test

attack: evasion
  nothing      An attack made for a test
  pgd          A first attack with a summary so long that it has to be broken
               into two lines at 80 columns
  xyz/stumble  An attack made for a test

metric: evasion
  curve        A metric made for a test
"""

SHOW = """\
builtin/pgd  (attack, evasion)
A first attack with a summary so long that it has to be broken into two lines at
80 columns

  its version   1
  target        math:sqrt
  modality      tabular; image
  references    A paper about attacks (arXiv:1234.56789)
  access        labels
  threat model  It sees the labels only.
  provided by   amulet-framework 1.0

parameters
  steps: integer, default 10; >= 1, <= 1000
      how many steps to take
  norm: "linf" | "l2", default linf
      what measures a change
  rate: number | null, default None; > 0, < 1
      how far to go; the default depends on the budget
  layers: list of integer, required; items >= 1
      the widths of the layers
"""


@pytest.fixture
def amulet(packages, monkeypatch, capsys):
    """Run the command on two healthy and two unusable plugins; return its exit code and what it printed."""
    packages.add("builtin", BUILTIN, distribution="amulet-framework")
    packages.add("xyz", "print('hello')\n@hookimpl\ndef amulet_components(): return [attack('stumble')]", version="2.5")
    packages.add("bad", "raise OSError('disk on fire')")
    packages.add("off", "raise SystemExit('imported')")
    monkeypatch.setenv("AMULET_PLUGINS", "xyz,bad")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(cli, "discover", functools.partial(discover, entry_points=packages.entry_points()))

    def run(*arguments):
        code = cli.main(arguments)
        return code, *capsys.readouterr()

    return run


WARNING = (
    "warning: plugin bad (amulet-plugin-bad 1.0) is broken: OSError: disk on fire. "
    "Update, repair or uninstall amulet-plugin-bad.\n"
)


def test_list_groups_by_kind_and_risk_and_aligns(amulet):
    assert amulet("list") == (0, LIST, f"hello\n{WARNING}")


def test_show_tells_everything_about_a_component(amulet):
    assert amulet("show", "pgd")[:2] == (0, SHOW)


CLIPPED = {
    "a usual defense": ({}, {}),
    "one whose gradients cannot be clipped": ({"clippable": False}, {"clippable": "no"}),
    "one that asks about several inputs": ({"stacks_inputs": True}, {"stacks inputs": "yes"}),
}


@pytest.mark.parametrize(("fields", "shown"), CLIPPED.values(), ids=CLIPPED)
def test_show_tells_what_a_private_chain_must_know(fields, shown):
    made = Defense(
        name="made",
        summary="Made for a test.",
        target="math:sqrt",
        risk="evasion",
        stages={"training": "math:sqrt"},
        **fields,
    )
    text = show_text(details(Entry(made, plugin="made", distribution="amulet-plugin-made", version="1.0")), width=80)
    facts = dict(re.findall(r"^  (clippable|stacks inputs) +(.*)$", text, re.MULTILINE))
    assert facts == shown


@pytest.mark.parametrize(("fields", "shown"), [({}, []), ({"clippable": False}, ["no"])])
def test_show_tells_of_a_model_that_its_rows_cannot_be_clipped(fields, shown):
    made = Model(name="made", summary="Made for a test.", target="math:sqrt", **fields)
    text = show_text(details(Entry(made, plugin="made", distribution="amulet-plugin-made", version="1.0")), width=80)
    assert re.findall(r"^  clippable +(.*)$", text, re.MULTILINE) == shown


def test_plugins_tells_the_state_of_each(amulet):
    code, out, _ = amulet("plugins")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "  bad  amulet-plugin-bad 1.0     broken: OSError: disk on fire"
    assert lines[1].startswith("  builtin  amulet-framework 1.0  loaded: 5 components in 0.")
    assert lines[2] == "  off  amulet-plugin-off 1.0     disabled: AMULET_PLUGINS does not name it"
    assert lines[3].startswith("  xyz  amulet-plugin-xyz 2.5     loaded: 1 components in 0.")


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ([], ["builtin/rows", "builtin/guard", "builtin/nothing", "builtin/pgd", "xyz/stumble", "builtin/curve"]),
        (["attack"], ["builtin/nothing", "builtin/pgd", "xyz/stumble"]),
        (["--risk", "evasion", "metric"], ["builtin/curve"]),
        (["--risk", "utility"], []),
    ],
)
def test_list_as_json_is_a_list_of_objects(amulet, arguments, ids):
    code, out, _ = amulet("list", "--json", *arguments)
    records = json.loads(out)
    assert code == 0
    assert [record["id"] for record in records] == ids
    assert all({"id", "kind", "risk", "summary", "distribution", "version"} <= record.keys() for record in records)


def test_a_listed_component_names_who_provides_it(amulet):
    _, out, _ = amulet("list", "--json")
    assert json.loads(out)[4] == {
        "id": "xyz/stumble",
        "kind": "attack",
        "risk": "evasion",
        "summary": "An attack made for a test",
        "distribution": "amulet-plugin-xyz",
        "version": "2.5",
        "name": "stumble",
        "plugin": "xyz",
    }


def test_show_as_json_describes_each_parameter(amulet):
    _, out, _ = amulet("show", "builtin/pgd", "--json")
    (record,) = json.loads(out)
    assert record["parameters"] == [
        {
            "name": "steps",
            "type": "integer",
            "default": 10,
            "required": False,
            "limits": {"minimum": 1, "maximum": 1000},
            "description": "how many steps to take",
        },
        {
            "name": "norm",
            "type": '"linf" | "l2"',
            "default": "linf",
            "required": False,
            "limits": {},
            "description": "what measures a change",
        },
        {
            "name": "rate",
            "type": "number | null",
            "default": None,
            "required": False,
            "limits": {"exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0},
            "description": "how far to go; the default depends on the budget",
        },
        {
            "name": "layers",
            "type": "list of integer",
            "required": True,
            "limits": {"minItems": 1},
            "description": "the widths of the layers",
        },
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nothing", {"access": "none", "control": True, "requires": ["x"], "produces": ["y"], "threat": ""}),
        ("guard", {"stages": {"data": "math:sqrt", "model": "math:cos"}, "randomised": True, "sok": None}),
        ("rows", {"licence": "CC0-1.0", "risk": None, "parameters": []}),
        ("curve", {"measures": [{"name": "area", "summary": "the area below it", "better": "higher"}]}),
        ("pgd", {"references": [{"title": "A paper about attacks", "where": "arXiv:1234.56789"}]}),
    ],
)
def test_show_as_json_has_what_is_particular_to_a_kind(amulet, name, expected):
    _, out, _ = amulet("show", name, "--json")
    (record,) = json.loads(out)
    assert {key: record[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nothing", "  control      yes"),
        ("guard", "  stages       data: math:sqrt; model: math:cos"),
        ("rows", "no parameters"),
        ("curve", "  measures     area (higher is better for the defender): the area below it"),
    ],
)
def test_show_tells_what_is_particular_to_a_kind(amulet, name, line):
    assert line in amulet("show", name)[1].splitlines()


def test_plugins_as_json_tells_causes_and_components(amulet):
    _, out, _ = amulet("plugins", "--json")
    records = {record["id"]: record for record in json.loads(out)}
    assert [(name, record["state"]) for name, record in records.items()] == [
        ("bad", "broken"),
        ("builtin", "loaded"),
        ("off", "disabled"),
        ("xyz", "loaded"),
    ]
    assert records["bad"]["cause"] == "OSError: disk on fire"
    assert "disk on fire" in records["bad"]["traceback"]
    assert records["off"]["cause"] == "AMULET_PLUGINS does not name it"
    assert records["xyz"]["components"] == ["attack xyz/stumble"]
    common = {"id", "kind", "risk", "summary", "distribution", "version"}
    assert all(common <= record.keys() for record in records.values())


def test_a_narrowed_list_may_be_empty(amulet):
    assert amulet("list", "--risk", "utility")[:2] == (0, "no components\n")


WRONG = {
    "unknown component": (
        ["show", "pdg"],
        'error: unknown component "pdg"; did you mean "pgd"? Plugins that are not loaded and may have it: '
        "bad (broken: OSError: disk on fire), off (disabled). To see all: amulet list\n",
    ),
    "disabled plugin": (
        ["show", "off/pgd"],
        'error: component "off/pgd": plugin off (amulet-plugin-off 1.0) is disabled: AMULET_PLUGINS does not name it. '
        "Add off to AMULET_PLUGINS.\n",
    ),
    "two mistakes": (
        ["list", "atack", "--risk", "evasoin"],
        'error: unknown kind "atack"; did you mean "attack"? '
        "There are: dataset, model, defense, attack, metric, reporter, executor.\n"
        'error: unknown risk "evasoin"; did you mean "evasion"? There are: evasion, poisoning, '
        "unauthorized-model-ownership, membership-inference, attribute-inference, distribution-inference, "
        "data-reconstruction, discriminatory-behavior, ownership-verification, privacy-audit, utility.\n",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_told_without_a_traceback_and_ends_with_2(amulet, arguments, message):
    code, out, err = amulet(*arguments)
    assert (code, out) == (2, "")
    assert err == f"hello\n{WARNING}{message}"


@pytest.mark.parametrize("arguments", [["--strict", "list"], ["list", "--strict"], ["run", "x.yaml", "--strict"]])
def test_strict_makes_a_broken_plugin_fatal_for_every_command(amulet, arguments):
    code, out, err = amulet(*arguments)
    assert (code, out) == (2, "")
    assert err == f"hello\n{WARNING.replace('warning', 'error')}"
