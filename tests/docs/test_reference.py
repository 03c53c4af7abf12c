"""The reference of the site: made from the code, whole, and in words that a stranger can read."""

import inspect
import re
from functools import cache
from importlib import import_module

import pytest
import yaml
from fenced import ROOT
from reference import components, contracts, examples, facts, interface, matrix, reference_pages
from reference.markdown import default_words, limit_words, place, plain, sentence, table, type_words
from reference.refusals import refusals
from reference.sources import fields_of, signature_of

import amulet_core as amulet
from amulet_core import hooks
from amulet_core.commands.describing import details
from amulet_core.components import Component, Dataset, Defense, NoParams, Params
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.loading import HOOKS
from amulet_core.games.artifacts import Artifact, Shaped
from amulet_core.games.table import GAMES
from amulet_core.performing.ground import load_data
from amulet_core.planning.facts import facts_of
from amulet_core.planning.plan import plan
from amulet_core.testing import component_checks
from amulet_core.vocabulary import KINDS

REGISTRY = amulet.discover(select="")
ENTRIES = [pytest.param(entry, id=f"{entry.component.kind} {entry.component.name}") for entry in REGISTRY.entries]
SHIPPED = {"adult", "digits"}
"""The data sets on which the configs shown are planned; the others may be a download away."""


@cache
def pages():
    return {page.path: page for page in reference_pages(REGISTRY, ROOT)}


def text(path):
    return pages()[f"reference/{path}.md"].text


def page_of(entry):
    return text(f"{entry.component.kind}/{entry.component.name}")


def prose(markdown):
    """Return what a page says outside of code."""
    return re.sub(r"`[^`]*`", "", re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL))


def test_every_component_has_a_page_and_no_other_thing_has():
    kinds = {path for path in pages() if path.split("/")[1] in KINDS and not path.endswith("index.md")}
    assert kinds == {f"reference/{e.component.kind}/{e.component.name}.md" for e in REGISTRY.entries}


def test_every_kind_that_there_is_lists_its_components():
    for kind in {entry.component.kind for entry in REGISTRY.entries}:
        linked = re.findall(r"^\| \[`([\w-]+)`\]", text(f"{kind}/index"), re.MULTILINE)
        assert sorted(linked) == sorted(entry.component.name for entry in REGISTRY.list(kind))


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_page_of_a_component_says_all_that_amulet_show_says(entry):
    page, told = page_of(entry), details(entry)
    words = [told["id"], told["distribution"], told["version"], told["target"], told["component_version"]]
    words += [*told["requires"], *told["produces"], *told.get("stages", {}).values()]
    words += [told[key] for key in ("sok", "verify", "rebuild", "access") if told.get(key)]
    words += [plain(told[key]) for key in ("summary", "threat", "licence") if told.get(key)]
    words += [plain(one["title"]) for one in told["references"]] + [plain(one["where"]) for one in told["references"]]
    words += [sentence(plain(one["description"])) for one in told["parameters"]]
    words += [f"`{one['name']}` — " for one in told["parameters"]]
    words += [sentence(plain(one["summary"])) for one in told.get("measures", [])]
    words += [facts._FLAGS[flag] for flag in facts._FLAGS if told.get(flag) is True]
    words += [text for flag, text in facts._FLAGS_NOT_SET.items() if told.get(flag) is False]
    assert [word for word in words if word not in page] == []


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_config_on_the_page_of_a_component_uses_it_and_can_be_planned(entry):
    config = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page_of(entry), re.DOTALL)[1])
    request = resolve(config, REGISTRY)
    assert entry.id in {use.id for use in (*request.uses, request.executor)}
    if request.dataset.entry.component.name in SHIPPED:
        cells = plan(request, known(request)).cells
        own = [cell for cell in cells if cell.attack == entry.id] or [cell for cell in cells if cell.row != "none"]
        assert any(not cell.skipped for cell in own), {cell.skipped for cell in own}


@cache
def loaded(dataset):
    return facts_of(load_data(resolve({"dataset": yaml.safe_load(dataset), "risks": ["utility"]}, REGISTRY)))


def known(request):
    """Return the facts of a request's data set, which is loaded once."""
    return loaded(yaml.safe_dump(request.dataset.canonical()))


def test_every_page_is_prose_that_strangers_can_read():
    strange = re.compile(r"\bNone\b|<class|<function|object at 0x|Undefined|\bnan\b|typing\.|(?<!\\)\bFinal\b")
    of_python = ("reference/api/", "reference/descriptors", "reference/games/", "reference/hooks")
    shown = {path: page.text for path, page in pages().items() if not path.startswith(of_python)}
    found = {path: sorted(set(strange.findall(prose(text)))) for path, text in shown.items()}
    assert {path: words for path, words in found.items() if words} == {}


def test_no_page_has_an_empty_cell_or_an_empty_definition():
    empty = re.compile(r"^\|.*\| *\|.*$|^: *$|^:   \.$", re.MULTILINE)
    assert {path: empty.findall(page.text) for path, page in pages().items() if empty.search(page.text)} == {}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_the_signature_that_its_source_has(hook):
    source = inspect.getsource(getattr(hooks, hook))
    (declared,) = re.findall(r"^(def .*:)(?:  # .*)?$", source, re.MULTILINE)
    shown = text("hooks").partition(f"### {hook}\n")[2].partition("\n### ")[0]
    assert f"```python\n@hookimpl\n{declared} ...\n```" in shown
    first = inspect.getdoc(getattr(hooks, hook)).partition("\n")[0]
    assert first.replace("``", "`") in shown


def test_the_page_of_the_hooks_has_no_others():
    assert re.findall(r"^### (\w+)$", text("hooks"), re.MULTILINE) == list(HOOKS)


@pytest.mark.parametrize("descriptor", [Component, *contracts._KINDS, *contracts._VALUES], ids=lambda one: one.__name__)
def test_every_field_of_a_descriptor_is_described(descriptor):
    shown = re.split(r"^##+ ", text("descriptors"), flags=re.MULTILINE)
    (own,) = [part for part in shown if part.partition("\n")[0] == descriptor.__name__]
    inherited = set().union(*(getattr(base, "model_fields", {}) for base in descriptor.__mro__[1:]))
    expected = [name for name in descriptor.model_fields if name not in inherited]
    assert re.findall(r"^`(\w+)` — ", own, re.MULTILINE) == expected


@pytest.mark.parametrize("descriptor", [Component, *contracts._KINDS, *contracts._VALUES], ids=lambda one: one.__name__)
def test_every_field_of_a_descriptor_has_words_of_its_own(descriptor):
    told = {field.name: field.text for field in fields_of(descriptor)}
    exempt = {"model_config"} if descriptor in (Component, Params) else {"kind"}
    assert [name for name, words in told.items() if name not in exempt and not words.endswith(".")] == []


@pytest.mark.parametrize("game", GAMES.values(), ids=lambda game: game.risk)
def test_the_page_of_a_game_has_its_threat_model_and_every_field_of_what_passes(game):
    page, module = text(f"games/{game.risk}"), import_module(game.module)
    for name in game.threat.model_fields:
        assert f"`{name}` — " in page
    passed = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Artifact)]
    for artifact in {*passed} - {Artifact}:
        shown = page.partition(f"### {artifact.__name__}\n")[2].partition("\n### ")[0]
        assert re.findall(r"^\| `(\w+)` \|", shown, re.MULTILINE) == list(artifact.model_fields)
        for name, field in artifact.model_fields.items():
            for mark in [one for one in field.metadata if isinstance(one, Shaped)]:
                sizes = ", ".join("..." if size is ... else str(size) for size in mark.sizes)
                assert f"| `{name}` | `{str(mark.dtype).removeprefix('torch.')} [{sizes}]" in shown


def test_the_conformance_page_has_every_check_with_its_reason():
    page = text("conformance")
    for entry in REGISTRY.entries[::7]:
        for check in component_checks(entry):
            assert f"| {plain(check.name)} | {plain(check.why)} |" in page


def test_the_api_has_a_page_for_each_module_that_a_plugin_may_use_and_every_name_that_the_package_exports():
    listed = interface.modules(ROOT)
    assert len(listed) > 15
    for module in listed:
        page = interface._ELSEWHERE.get(module, f"{interface._path(module).removeprefix('reference/api/')}")
        assert f"`{module}`]({page})" in text("api/index") or module == "amulet_core"
    named = re.findall(r"^\| \[`(\w+)`\]", text("api/index"), re.MULTILINE)
    assert named == sorted(set(amulet.__all__) - {"__version__"})


TYPES = {
    "integer": "whole number",
    "number | null": "number or nothing",
    '"ce" | "margin"': "`ce` or `margin`",
    '"a" | "b" | "c"': "`a`, `b` or `c`",
    "list of string": "list of texts",
    'list of "a" | "b"': "list of `a` or `b`",
    '"," | "\t"': "`,` or `\\t`",
    "object": "mapping",
}


@pytest.mark.parametrize(("given", "words"), TYPES.items(), ids=TYPES)
def test_types_are_said_in_words(given, words):
    assert type_words(given) == words


LIMITS = [
    ({}, ""),
    ({"minimum": 1, "maximum": 9}, "from 1 to 9"),
    ({"exclusiveMinimum": 0, "maximum": 9}, "above 0, at most 9"),
    ({"minimum": 2, "maximum": 8, "multipleOf": 2}, "from 2 to 8, a multiple of 2"),
    ({"minLength": 1, "maxLength": 80}, "not empty, at most 80 characters"),
    ({"maxItems": 3}, "at most 3 items"),
]


@pytest.mark.parametrize(("given", "words"), LIMITS)
def test_limits_are_said_in_words(given, words):
    assert limit_words(given) == words


DEFAULTS = [
    ({"required": True}, "required"),
    ({"required": False, "default": None}, "by default nothing"),
    ({"required": False, "default": ""}, "by default empty"),
    ({"required": False, "default": []}, "by default none"),
    ({"required": False, "default": True}, "by default `true`"),
    ({"required": False, "default": 0}, "by default `0`"),
    ({"required": False, "default": "ce"}, "by default `ce`"),
]


@pytest.mark.parametrize(("given", "words"), DEFAULTS)
def test_defaults_are_said_in_words(given, words):
    assert default_words(given) == words


def test_texts_of_others_are_shown_as_they_are():
    assert plain("a*b <c> [d] max_grad_norm  |x|") == r"a\*b &lt;c&gt; \[d\] `max_grad_norm` \|x\|"


def test_bars_in_the_code_of_a_cell_stay_as_they_are():
    assert table(("a",), [("`int | None` | x",)]).splitlines()[2] == r"| `int | None` \| x |"


PLACES = {
    "arXiv:1706.06083": "[arXiv:1706.06083](<https://arxiv.org/abs/1706.06083>)",
    "doi:10.1/(a)1:8<2::B>3": "[doi:10.1/(a)1:8&lt;2::B&gt;3](<https://doi.org/10.1/(a)1:8%3C2::B%3E3>)",
    "https://x.org/a": "[https://x.org/a](<https://x.org/a>)",
    "A book, 2001": "A book, 2001",
}


@pytest.mark.parametrize(("where", "shown"), PLACES.items(), ids=PLACES)
def test_a_paper_is_linked_where_it_has_an_address(where, shown):
    assert place(where) == shown


def defense(applicable, **more):
    return Defense(
        name="x",
        summary="A defense made for a test.",
        risk="evasion",
        target="math:sqrt",
        stages={"data": "math:sqrt"},
        params=NoParams,
        applicable=applicable,
        **more,
    )


REFUSALS = [
    (lambda _, schema: [], (), []),
    (lambda _, schema: ["no"], (), ["data: no"]),
    (lambda _, schema: ["no"] * (schema.modality == "image"), (), ["images: no"]),
    (lambda _, schema: ["no"] * (not schema.sensitive), (), ["data with no sensitive attribute: no"]),
    (lambda _, schema: ["no"] * (len(schema.classes) > 2), (), ["data with more than two classes: no"]),
    (
        lambda _, schema: ["no"] * (schema.modality == "image" and not schema.sensitive),
        (),
        ["images with no sensitive attribute: no"],
    ),
    (lambda _, schema: ["no"] * (schema.modality == "image"), ("tabular",), []),
    (
        lambda _, schema: ["no"] * ((len(schema.classes) > 2) is not bool(schema.sensitive)),
        ("tabular",),
        [
            "tables with more than two classes and no sensitive attribute; tables with two classes and sensitive attributes: no"
        ],
    ),
]


@pytest.mark.parametrize(("applicable", "modality", "told"), REFUSALS)
def test_what_a_component_refuses_is_said_of_the_smallest_sort_of_data_that_holds_it(applicable, modality, told):
    assert refusals(defense(applicable, **({"modality": modality} if modality else {}))) == told


def test_a_number_that_yaml_would_take_for_a_text_is_written_out():
    assert yaml.safe_load(examples._flow({"delta": 1e-5})) == {"delta": 1e-5}


def test_a_signature_is_that_of_the_definition():
    def example(a: "int", *, b: str = "x") -> "list[int]":
        """Return nothing."""

    assert signature_of(example) == 'def example(a: "int", *, b: str="x") -> "list[int]":'


def test_fields_have_the_docstring_below_them_and_no_other():
    told = {field.name: (field.annotation, field.default, field.text) for field in fields_of(Dataset)}
    assert told["licence"] == ("str", "Field(min_length=2)", "Under which terms the data may be used.")
    assert told["kind"] == ('Literal["dataset"]', "'dataset'", "")


def test_every_kind_of_component_has_a_title():
    assert set(components.KINDS_SHOWN) == set(KINDS)


def test_the_start_page_has_the_matrix_of_the_readme(readme):
    block = next(block for block in readme.blocks("text") if block.mark == "matrix")
    rows = [line.split("|")[1:-1] for line in matrix.quickstart_table(ROOT).splitlines()[2:]]
    assert [row[0].strip() for row in rows] == re.findall(
        r"^([a-z][\w+ -]*?)  +", block.text.split("---\n")[1].split("\n\n")[0], re.MULTILINE
    )
    changes = re.findall(r"[+−]\d\.\d{3}(?= *[▲▼=?]|\s*$)", re.sub(r"\[.*?\]", "", block.text), re.MULTILINE)
    assert [change for row in rows for change in re.findall(r"[+−]\d\.\d{3}", "".join(row))] == changes
    risks, utility = ["".join(row[1:4]) for row in rows], [row[4] for row in rows]
    assert sum(row.count("risk down") for row in risks) == block.text.split("---\n")[1].split("\n\n")[0].count("▼") - 1
    assert sum("utility down" in cell and "risk-up" in cell for cell in utility) == 1


def test_a_readme_without_the_matrix_is_an_error(tmp_path):
    (tmp_path / "README.md").write_text("# AMULET\n")
    with pytest.raises(
        ValueError,
        match=r"^the README has no matrix of the quickstart with the columns Evasion, Membership, Discriminatory, Utility$",
    ):
        matrix.quickstart_table(tmp_path)
