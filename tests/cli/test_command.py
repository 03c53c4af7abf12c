"""The command itself: it stays light until heavy work is asked for, and its exit codes tell what happened."""

import os
import subprocess
import sys

import pytest

from amulet_core import __version__
from amulet_core.commands import cli
from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError

NOTHING = Registry((), (), ())
PROBE = """
import sys
from amulet_core.commands.cli import main
try:
    code = main({arguments!r})
except SystemExit as end:
    code = end.code
heavy = "fairlearn jinja2 numpy opacus pandas rich scipy sklearn torch torchvision yaml".split()
print(code, sorted(set(heavy) & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--json"],
        ["show", "pgd"],
        ["show", "pgd", "--json"],
        ["plugins"],
        ["plugins", "--json"],
        ["conjecture", "dp-sgd", "evasion"],
        ["conjecture", "dp-sgd", "evasion", "--json"],
        ["new", "attack", "made-up"],
        ["--help"],
        ["run", "--help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_what_runs_nothing_imports_nothing_heavy(arguments, tmp_path):
    environment = os.environ | {"AMULET_PLUGINS": ""}
    command = [sys.executable, "-c", PROBE.format(arguments=arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=tmp_path)
    assert done.stderr == "0 []\n"
    assert done.stdout


def test_the_installed_command_lists_the_builtin_components():
    done = subprocess.run(
        [sys.executable, "-m", "amulet_core.commands.cli", "list"], capture_output=True, text=True, check=True
    )
    assert "attack: evasion\n  apgd " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        (
            ["run", "a.yaml", "--out", "there", "--set", "seeds=[1]", "--set", "data.rows=9"],
            "run_config",
            (("a.yaml",), {"out": "there", "overrides": ["seeds=[1]", "data.rows=9"], "registry": NOTHING}),
        ),
        (["run", "a.yaml"], "run_config", (("a.yaml",), {"out": None, "overrides": [], "registry": NOTHING})),
        (["quickstart", "--out", "there"], "quickstart", ((), {"out": "there", "registry": NOTHING})),
        (["report", "there"], "report", (("there",), {})),
        (["check", "pgd"], "check", (("pgd", NOTHING), {})),
    ],
    ids=str,
)
def test_a_command_passes_its_arguments_on_and_returns_the_exit_code(monkeypatch, arguments, name, expected):
    from amulet_core import api

    calls = []
    monkeypatch.setattr(cli, "discover", lambda **_: NOTHING)
    monkeypatch.setattr(api, name, lambda *given, **named: calls.append((given, named)) or 1)
    assert cli.main(arguments) == 1
    assert calls == [expected]


def test_all_problems_of_a_request_are_printed_and_nothing_else(monkeypatch, capsys):
    from amulet_core import api

    def refuse(path, *, out, overrides, registry):
        raise RequestError("first problem", "second problem")

    monkeypatch.setattr(api, "run_config", refuse)
    assert cli.main(["run", "a.yaml"]) == 2
    assert capsys.readouterr() == ("", "error: first problem\nerror: second problem\n")


@pytest.mark.parametrize("arguments", [["run", "a.yaml"], ["quickstart"], ["report", "there"], ["check", "pgd"]])
def test_what_plugins_print_and_what_is_wrong_with_them_goes_to_the_error_stream(
    monkeypatch, capsys, packages, arguments
):
    from amulet_core import api

    packages.add("loud", "print('hello')\n\n@hookimpl\ndef amulet_components(): return []")
    packages.add("torn", "raise OSError('disk on fire')")
    for name in ("run_config", "quickstart", "report", "check"):
        monkeypatch.setattr(api, name, lambda *_, **__: sys.stdout.write("worked\n") and 0)
    monkeypatch.setattr(cli, "discover", packages.discover)
    assert cli.main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out == "worked\n"
    assert shown.err == (
        "hello\nwarning: plugin torn (amulet-plugin-torn 1.0) is broken: OSError: disk on fire. "
        "Update, repair or uninstall amulet-plugin-torn.\n"
    )
    assert cli.main(["--strict", *arguments]) == 2
    assert capsys.readouterr().out == ""


def test_what_is_wrong_with_the_plugin_to_be_checked_is_said_once(monkeypatch, capsys, packages):
    packages.add("cracked", "raise OSError('disk on fire')")
    packages.add("torn", "raise OSError('disk on fire')")
    monkeypatch.setattr(cli, "discover", packages.discover)
    assert cli.main(["check", "torn"]) == 2
    assert capsys.readouterr().err == (
        "warning: plugin cracked (amulet-plugin-cracked 1.0) is broken: OSError: disk on fire. "
        "Update, repair or uninstall amulet-plugin-cracked.\n"
        "error: plugin torn (amulet-plugin-torn 1.0) is broken: OSError: disk on fire. "
        "Update, repair or uninstall amulet-plugin-torn.\n"
    )


def test_no_command_is_a_wrong_request(capsys):
    assert cli.main([]) == 2
    assert capsys.readouterr().err == "error: no command given; see: amulet --help\n"


def test_an_unknown_option_is_a_wrong_request(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["list", "--jsn"])
    assert end.value.code == 2
    assert "unrecognized arguments: --jsn" in capsys.readouterr().err


def test_the_version_is_that_of_the_distribution(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"amulet {__version__}\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} -m amulet_core.commands.cli list --json | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[", "")
