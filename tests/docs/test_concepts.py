"""The pages say what the code says: games, access levels, verdicts, hooks, plugins; and their pictures stand alone."""

import re
from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from fenced import ROOT, Document

import amulet_core as amulet
from amulet_core.discovery.loading import HOOKS
from amulet_core.discovery.plugins import API, GROUP
from amulet_core.games.table import GAMES
from amulet_core.report.words import CONFLICT_LOOKS, LOOKS
from amulet_core.testing.findings import ConformanceWarning
from amulet_core.testing.static import _ARGUMENTS, _STAGE_ARGUMENTS
from amulet_core.vocabulary import KINDS, MINIMUM_SEEDS, STAGES, Access

PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def coded(names):
    return " ".join(f"`{name}`" for name in names)


def test_the_table_of_games_is_that_of_the_code(page):
    shown = page("concepts/games").rows("column | attacks by default | controls | primary value | better")
    assert shown == [
        (game.risk, coded(game.attacks), coded(game.controls), game.primary.label, game.primary.better)
        for game in GAMES.values()
    ]


def test_every_game_has_a_section_or_a_word_in_one(page):
    text = page("concepts/games").text.lower()
    assert [game.title for game in GAMES.values() if not re.search(rf"(## |\*\*){game.title.lower()}\b", text)] == []


def test_the_table_of_access_levels_is_that_of_the_code(page):
    assert [level.strip("`") for level in page("concepts/games").table("access | what the view offers")] == list(
        get_args(Access)
    )


def test_the_table_of_verdicts_is_that_of_the_report(page):
    assert page("concepts/verdicts").table("sign | verdict | when") == {
        look.sign: verdict for verdict, look in LOOKS.items()
    }
    assert f"fewer than {MINIMUM_SEEDS} paired seeds" in page("concepts/verdicts").text


def test_the_table_of_verdicts_on_chains_is_that_of_the_report(page):
    assert page("concepts/chains").table("sign | verdict | meaning") == {
        look.sign: look.word for look in CONFLICT_LOOKS.values()
    }


def test_the_stages_are_those_of_the_code_and_each_example_acts_there(page):
    rows = page("concepts/chains").rows("stage | what a defense does there | an example")
    assert [stage for stage, *_ in rows] == list(STAGES)
    registry = amulet.discover()
    for stage, _, example in rows:
        assert stage in registry.find("defense", example.strip("`")).component.stages


def test_the_hooks_are_those_of_the_code_and_so_are_the_arguments_of_targets(page):
    assert [name.strip("`") for name in page("plugins/index").table("hook | what it does")] == list(HOOKS)
    assert list(page("plugins/index").table("kind | target")) == list(KINDS)
    for kind, arguments in _ARGUMENTS.items():
        assert f"({', '.join(arguments)})" in page("plugins/index").table("kind | target")[kind]
    for name in ("plugins/index", "plugins/tutorial-defense"):
        for stage, arguments in _STAGE_ARGUMENTS.items():
            assert f"`{stage}({', '.join(arguments)})" in page(name).text


def test_every_plugin_of_the_project_is_in_the_catalogue(page):
    listed = {name.strip("`") for name in page("plugins/catalogue").table("package | what it adds")}
    folders = {path.name for path in (ROOT / "plugins").iterdir() if (path / "pyproject.toml").exists()}
    assert folders <= listed


def test_the_api_policy_says_what_the_code_does(page):
    text = page("plugins/api-policy").text
    assert f"`{ConformanceWarning.__name__}`" in text
    assert f"`{GROUP}{API}`" in text


def test_the_kinds_of_component_are_those_of_the_code(page):
    (meaning,) = (row[1] for row in page("concepts/index").rows("word | meaning") if row[0] == "component")
    assert meaning.endswith(": " + ", ".join(KINDS))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_readable_in_light_and_dark_and_refers_to_nothing_outside(path):
    text = path.read_text(encoding="utf-8")
    picture = ET.fromstring(text)  # our own file
    title = picture.find(f"{SVG}title")
    assert title is not None
    assert len(title.text) > 30
    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby") == title.get("id")
    assert picture.get("viewBox").startswith("0 0 480 ")
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert re.search(r"href|@import|url\(|<script|<image", text) is None


def test_every_picture_is_shown_with_words_for_those_who_cannot_see_it():
    shown = {}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+\.svg)\)", Document(path).text):
            shown[(path.parent / target).resolve()] = words
    assert set(shown) == set(PICTURES)
    assert all(len(words) > 15 for words in shown.values())
