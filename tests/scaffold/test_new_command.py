"""``amulet new``: what it writes and says, and what it refuses with every reason at once."""

import errno
import os
from pathlib import Path

import pytest

from amulet_core.commands import cli
from amulet_core.configuration.reading import read

TOLD = """\
wrote amulet-plugin-tilt, an attack on evasion:
  .github/workflows/test.yml
  .gitignore
  LICENSE
  README.md
  amulet_plugin_tilt/__init__.py
  amulet_plugin_tilt/attack.py
  amulet_plugin_tilt/py.typed
  example.yaml
  pyproject.toml
  tests/test_conformance.py
next:
  pip install -e "./amulet-plugin-tilt[test]"
  amulet check tilt
  amulet run amulet-plugin-tilt/example.yaml
"""


@pytest.fixture
def new(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return cli.main(["new", *arguments]), *capsys.readouterr()

    return run


def test_it_says_which_files_it_wrote_and_what_comes_next(new, tmp_path):
    assert new("attack", "tilt") == (0, TOLD, "")
    written = {
        path.relative_to(tmp_path / "amulet-plugin-tilt").as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert written == {line.strip() for line in TOLD.partition("next:")[0].splitlines()[1:]}


@pytest.mark.parametrize(
    ("arguments", "title", "more"),
    [
        (("defense", "d", "--risk", "membership-inference"), "a defense against membership-inference", "checks"),
        (("metric", "m", "--risk", "utility"), "a metric of utility", "checks"),
        (("dataset", "s"), "a dataset", "checks"),
        (("model", "n"), "a model", "checks"),
        (("attack", "a", "--risk", "distribution-inference"), "an attack on distribution-inference", "checks"),
        (("attack", "b", "--risk", "membership-inference"), "an attack on membership-inference", "checks"),
    ],
)
def test_kinds_whose_behaviour_the_kit_cannot_know_come_with_known_answers(new, tmp_path, arguments, title, more):
    folder = tmp_path / "there" / "it is"
    code, out, err = new(*arguments, "--dir", str(folder))
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote {folder}, {title}:\n")
    assert f'  pip install -e "{folder}[test]"\n' in out
    assert f"  amulet run '{folder}/example.yaml'\n" in out
    assert (folder / f"amulet_plugin_{arguments[1]}" / f"{more}.py").is_file()
    assert [path.name for path in (folder / "tests").iterdir()] == ["test_conformance.py"]  # it asks for them, too


@pytest.mark.parametrize("name", ["no", "null", "true", "off", "123", "0x1f", "1e3", "2020-01-01", "none"])
def test_a_name_that_yaml_takes_for_something_else_is_a_name_all_the_same(new, tmp_path, name):
    assert new("attack", name)[0] == 0
    config = read(tmp_path / f"amulet-plugin-{name}" / "example.yaml")
    assert config["name"] == name
    assert config["risks"]["evasion"]["attacks"] == [f"{name}/{name}"]


@pytest.mark.parametrize("strict", [(), ("--strict",)])
def test_a_plugin_may_be_selected_before_it_is_written(new, monkeypatch, strict):
    monkeypatch.setenv("AMULET_PLUGINS", "tilt, absent")
    code, _, err = new("attack", "tilt", *strict)
    message = 'AMULET_PLUGINS names "absent", which is not installed'
    assert (code, "tilt" in err, message in err) == (2 if strict else 0, False, True)


def test_an_empty_folder_is_taken(new, tmp_path):
    (tmp_path / "empty").mkdir()
    assert new("model", "tilt", "--dir", "empty")[0] == 0


NAME = (
    "cannot be used. A name is lower-case letters and digits, in words joined by single hyphens, 40 characters at most: "
    "my-plugin, for example."
)
ATTACKED = (
    "evasion, poisoning, unauthorized-model-ownership, membership-inference, attribute-inference, "
    "distribution-inference, data-reconstruction."
)
PLAYED = f"{ATTACKED[:-1]}, discriminatory-behavior."
WRONG = {
    "everything": (
        ("atack", "amulet-plugin-My_Attack", "--dir", "full"),
        'unknown kind "atack"; did you mean "attack"? There are: attack, defense, metric, dataset, model.',
        'the name "amulet-plugin-My_Attack": leave out "amulet-plugin-", which the package gets by itself.',
        f'the name "amulet-plugin-My_Attack" {NAME}',
        "the folder full exists and is not empty: name another one with --dir.",
    ),
    "long": (("attack", "a" * 41), f'the name "{"a" * 41}" {NAME}'),
    "hyphens": (("attack", "a--b"), f'the name "a--b" {NAME}'),
    "path": (("attack", "../a"), f'the name "../a" {NAME}'),
    "builtin component": (
        ("defense", "pgd"),
        'the name "pgd" is that of the attack builtin/pgd: alone it would not mean yours. Choose another.',
    ),
    "undefended row": (
        ("defense", "none"),
        'the name "none" is the label of the undefended row of every matrix. Choose another.',
    ),
    "placebo row": (
        ("defense", "placebo"),
        'the name "placebo" is the label of the placebo row of every matrix. Choose another.',
    ),
    "installed plugin": (
        ("model", "made-up"),
        'the name "made-up" is that of the plugin made-up (amulet-plugin-made-up 1.0): of two plugins of one name neither '
        "is loaded. Choose another.",
    ),
    "installed component": (
        ("model", "nudge"),
        'the name "nudge" is that of the attack made-up/nudge: alone it would not mean yours. Choose another.',
    ),
    "unknown risk": (
        ("metric", "tilt", "--risk", "evasoin"),
        '--risk: unknown risk "evasoin"; did you mean "evasion"? There are: '
        f"{PLAYED[:-1]}, ownership-verification, privacy-audit, utility.",
    ),
    "one word of a risk": (
        ("attack", "tilt", "--risk", "membership"),
        f'--risk: unknown risk "membership"; did you mean "membership-inference"? There are: {ATTACKED}',
    ),
    "attack on nothing": (
        ("attack", "tilt", "--risk", "discriminatory-behavior"),
        "--risk discriminatory-behavior: there are no attacks on it, as it has no adversary: write a metric, or a defense. "
        f"There are: {ATTACKED}",
    ),
    "attack on verification": (
        ("attack", "tilt", "--risk", "ownership-verification"),
        "--risk ownership-verification: there are no attacks on it, as thieves play it, and the owner's verify: write an "
        f"attack on unauthorized-model-ownership. There are: {ATTACKED}",
    ),
    "attack on audits": (
        ("attack", "tilt", "--risk", "privacy-audit"),
        "--risk privacy-audit: there are no attacks on it, as attacks on membership-inference play it: write one of those. "
        f"There are: {ATTACKED}",
    ),
    "defense of utility": (
        ("defense", "tilt", "--risk", "utility"),
        f"--risk utility: a defense is against one of the eight risks. There are: {PLAYED}",
    ),
    "risk of a dataset": (
        ("dataset", "tilt", "--risk", "evasion"),
        "--risk evasion: a dataset is about no risk, every risk is measured with it. Leave --risk out.",
    ),
    "risk of a model": (
        ("model", "tilt", "--risk", "evasion"),
        "--risk evasion: a model is about no risk, every risk is measured with it. Leave --risk out.",
    ),
    "file": (
        ("model", "tilt", "--dir", "full/there"),
        "full/there exists and is no folder: name another one with --dir.",
    ),
    "below a file": (
        ("model", "tilt", "--dir", "full/there/below"),
        "the project cannot be written to full/there/below: Not a directory.",
    ),
}


@pytest.mark.parametrize(("arguments", "problems"), [(w[0], w[1:]) for w in WRONG.values()], ids=WRONG)
def test_a_wrong_request_writes_nothing_and_says_all_that_is_wrong(
    new, tmp_path, monkeypatch, packages, arguments, problems
):
    packages.add("made-up", "@hookimpl\ndef amulet_components(): return [attack('nudge')]")
    monkeypatch.setenv("AMULET_PLUGINS", "made-up")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "there").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert new(*arguments) == (2, "", "".join(f"error: {problem}\n" for problem in problems))
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in path.parts] == before


def test_a_folder_that_cannot_be_looked_into_is_said_to_be_so(new, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "shut").mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert new("model", "tilt", "--dir", "shut") == (
        2,
        "",
        "error: the folder shut cannot be read: Permission denied.\n",
    )
