"""What the README shows works: its config, its Python, its commands, its plugin, and its lists of what there is."""

import re
import shlex
import sys
import tomllib

import pytest
import yaml

import amulet_core as amulet
from amulet_core.api import QUICKSTART
from amulet_core.commands.cli import _parser
from amulet_core.configuration.reading import overridden, read, resolve
from amulet_core.games.table import GAMES
from amulet_core.report.words import CONFLICT_LOOKS, LOOKS
from amulet_core.vocabulary import RISKS


def files(readme):
    return {block.file: block.text for language in ("yaml", "toml", "python") for block in readme.blocks(language)}


def test_the_config_resolves_against_the_built_in_components(readme):
    (block,) = readme.files("yaml")
    request = resolve(yaml.safe_load(block.text), amulet.discover())
    assert [row.label for row in request.rows] == [
        *("none", "placebo", "reweighing", "adversarial-debiasing", "adversarial-training", "fair and robust")
    ]


@pytest.mark.parametrize(("place", "name"), [(0, "quickstart"), (1, "fairness")])
def test_a_matrix_shown_has_the_rows_and_the_threat_models_of_its_config(readme, place, name):
    (own,) = readme.files("yaml")
    config = read(QUICKSTART) if name == "quickstart" else yaml.safe_load(own.text)
    request = resolve(config, amulet.discover())
    shown = readme.blocks("text")[place].text
    assert [line.split("  ")[0] for line in shown.partition("\n\n")[0].splitlines() if re.match(r"\S.*\d", line)] == [
        row.label for row in request.rows
    ]
    threat = next(risk.threat for risk in request.risks if risk.game.risk == "evasion")
    assert f" at ε {threat.epsilon:g}, {threat.norm} " in shown


def test_every_amulet_command_shown_is_one_that_the_parser_takes(readme):
    shown = [shlex.split(line)[1:] for line in readme.commands() if line.startswith("amulet ")]
    assert {arguments[0] for arguments in shown} == {"quickstart", "run", "cache", "new", "check"}
    (block,) = readme.files("yaml")
    for arguments in shown:
        parsed = _parser().parse_args(arguments)
        for override in getattr(parsed, "overrides", ()):
            resolve(overridden(yaml.safe_load(block.text), override), amulet.discover())


def test_every_make_target_shown_is_in_the_makefile(readme):
    targets = {line.split()[1] for line in readme.commands() if line.startswith("make ")}
    makefile = (readme.path.parent / "Makefile").read_text()
    assert targets == {"quickstart", "test"}
    assert all(f"\n{target}:" in makefile for target in targets)


def test_the_table_of_commands_lists_every_command_with_its_options(readme):
    (choices,) = [action.choices for action in _parser()._actions if action.dest == "command"]
    shown = {line.strip("`").split()[1]: line for line in readme.table("command | what it does")}
    assert set(shown) == set(choices)
    for name, parser in choices.items():
        options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
        assert set(re.findall(r"--[\w-]+", shown[name])) == options - {"--help", "--strict"}, name


def test_the_table_of_components_lists_every_built_in_one(readme):
    shown = {
        kind: re.findall(r"`([^`]+)`", names) for kind, names in readme.table("kind | built-in components").items()
    }
    installed = {}
    for entry in amulet.discover().list():
        installed.setdefault(entry.component.kind, []).append(entry.component.name)
    assert {kind: sorted(names) for kind, names in shown.items()} == {
        kind: sorted(names) for kind, names in installed.items()
    }


def test_the_readme_says_which_risks_are_not_played(readme):
    text = " ".join(readme.text.split())
    missing = [risk.replace("-", " ") for risk in RISKS if risk not in GAMES]
    assert ("There is no game yet" in text) == bool(missing)
    if missing:
        assert f"There is no game yet for {' and '.join(filter(None, (', '.join(missing[:-1]), missing[-1])))}:" in text


def test_the_table_of_verdicts_lists_every_verdict_with_its_sign(readme):
    assert readme.table("sign | verdict | meaning") == {look.sign: verdict for verdict, look in LOOKS.items()}


def test_the_table_of_columns_says_of_every_game_what_its_verdicts_are_about(readme):
    shown = readme.rows("column | its value | better | margin")
    played = [(game.risk, *primary(game)) for game in GAMES.values()]
    assert shown == [tuple(str(part) for part in row) for row in played]


def primary(game):
    return game.primary.label, game.primary.better, game.primary.margin


def test_the_table_of_chains_lists_every_verdict_on_a_chain_with_its_sign(readme):
    assert readme.table("sign | of a chain and a member | meaning") == {
        look.sign: look.word for look in CONFLICT_LOOKS.values()
    }


def test_the_python_shown_runs(readme, tmp_path, monkeypatch):
    (block,) = [block for block in readme.blocks("python") if block.mark == "run"]
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block.text, "README.md", "exec"), names)
    assert names["pgd"].id == "builtin/pgd"
    assert list(names["results"].matrix().index) == ["none", "placebo", "adversarial-training"]
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.fixture
def example(readme, tmp_path, monkeypatch):
    """Install the README's plugin: its files on the import path, beside the metadata that its pyproject.toml asks for."""
    shown = files(readme)
    project = tomllib.loads(shown["pyproject.toml"])["project"]
    for name, text in shown.items():
        if name.startswith("amulet_plugin_example/") or name == "test_conformance.py":
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    )
    (metadata / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AMULET_PLUGINS", "example")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    yield shown
    for name in [name for name in sys.modules if name.startswith("amulet_plugin_example")]:
        del sys.modules[name]


def test_the_plugin_shown_is_found_and_its_attack_does_more_than_noise(example):
    entry = amulet.discover(strict=True).find("attack", "sign-step")
    assert (entry.id, entry.distribution, entry.version) == ("example/sign-step", "amulet-plugin-example", "1.0")
    results = amulet.run(
        {
            "dataset": "digits",
            "training": {"epochs": 5},
            "data": {"train": 200, "val": 10, "test": 200, "aux": 10},
            "risks": {"evasion": {"attacks": ["pgd", "example/sign-step"]}},
            "seeds": 1,
        }
    )
    assert {cell.status for cell in results.cells} == {"ok"}
    robust = results.frame.query("row == 'none' and value == 'robust_accuracy'").set_index("attack").estimate
    assert robust["builtin/pgd"] <= robust["example/sign-step"] < robust["builtin/random-noise"] - 0.05


def test_the_plugin_shown_passes_the_conformance_test_shown(example):
    names = {}
    exec(compile(example["test_conformance.py"], "README.md", "exec"), names)
    (mark,) = names["test_conformance"].pytestmark
    checks = mark.args[1]
    assert len(checks) > 10
    for check in checks:
        names["test_conformance"](check)
