"""The command ``amulet``: reading the request, and the exit code; what listing does not need is imported later.

Exit codes: 0 fine, 1 some cell or check failed or a damaged cache entry stays, 2 nothing was run because the request
was wrong.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence

from amulet_core.commands.cache_arguments import add_cache
from amulet_core.discovery.plugins import SELECTION, BrokenPlugin, DisabledPlugin, trouble
from amulet_core.discovery.registry import Registry, discover
from amulet_core.errors import RequestError, UnwrittenError
from amulet_core.vocabulary import KINDS, RISKS


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for, and return the exit code."""
    try:
        return _command(_parser().parse_args(argv))
    except RequestError as error:
        print(*(f"error: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return 1 if isinstance(error, UnwrittenError) else 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough (``amulet list | head``)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _command(arguments: argparse.Namespace) -> int:
    if arguments.version:
        from amulet_core import __version__

        print(f"amulet {__version__}")
        return 0
    if arguments.command is None:
        raise RequestError("no command given; see: amulet --help")
    if arguments.command == "cache":
        from amulet_core.commands.caching import run_cache

        return run_cache(arguments)
    # Of a broken plugin that is to be checked, the error tells: not twice.
    about = arguments.name if arguments.command == "check" else ""
    registry = _registry(strict=arguments.strict, select=_selected(arguments), about=about)
    if arguments.command in ("list", "show", "plugins", "schema", "conjecture"):
        return _answer(arguments, registry)
    if arguments.command == "new":
        from amulet_core.scaffold.command import new_plugin

        given = {"risk": arguments.risk, "folder": arguments.dir}
        return _print(new_plugin(arguments.kind, arguments.name, **given, registry=registry))
    return _work(arguments, registry)


def _selected(arguments: argparse.Namespace) -> str | None:
    """Return what is selected, but for a plugin that is only now to be made: it cannot be installed yet."""
    selection = os.environ.get(SELECTION)
    if selection is None or arguments.command != "new":
        return selection
    return ",".join(name for name in selection.split(",") if name.strip() != arguments.name)


def _registry(*, strict: bool, select: str | None, about: str) -> Registry:
    """Discover the plugins, and warn of those in trouble, but not of the one that the command is ``about``.

    Whatever they print while they are imported must not spoil our output.
    """
    with contextlib.redirect_stdout(sys.stderr):
        registry = discover(select=select, strict=strict)
    meant = (one for one in registry.plugins if one.found.name == about)
    told = {trouble(one) for one in meant if isinstance(one, BrokenPlugin | DisabledPlugin)}
    for warning in (one for one in (*registry.warnings, *registry.slow) if one not in told):
        print(f"warning: {warning}", file=sys.stderr)
    return registry


def _answer(arguments: argparse.Namespace, registry: Registry) -> int:
    from amulet_core.commands import describing, listing

    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    match arguments.command:
        case "schema":
            from amulet_core.configuration.json_schema import json_schema

            return _print_json(json_schema(registry))
        case "list":
            records = [describing.summary(entry) for entry in registry.list(arguments.kind, arguments.risk)]
            text = listing.list_text(records, width=width) or "no components"
        case "show":
            records = [describing.details(entry) for entry in [registry.find(arguments.kind, arguments.name)]]
            text = listing.show_text(records[0], width=width)
        case "conjecture":
            from amulet_core.commands import conjecturing

            records = [conjecturing.conjectured(arguments.defense, arguments.risk, registry)]
            text = conjecturing.conjecture_text(records[0], width=width)
        case _:
            records = [describing.plugin_record(plugin) for plugin in registry.plugins]
            text = listing.plugins_text(records, width=width) or "no plugins"
    return _print_json(records) if arguments.json else _print(text)


def _print(text: str) -> int:
    print(text, flush=True)
    return 0


def _print_json(value: object) -> int:
    return _print(json.dumps(value, indent=2, ensure_ascii=False))


def _work(arguments: argparse.Namespace, registry: Registry) -> int:
    """Run a command that needs the heavy libraries; they are imported only now."""
    if arguments.command == "run" and arguments.dry_run:
        from amulet_core.commands.dry_run import dry_run

        return dry_run(arguments.config, out=arguments.out, overrides=arguments.overrides, registry=registry)
    from amulet_core import api

    match arguments.command:
        case "run":
            return api.run_config(arguments.config, out=arguments.out, overrides=arguments.overrides, registry=registry)
        case "quickstart":
            return api.quickstart(out=arguments.out, registry=registry)
        case "report":
            return api.report(arguments.directory)
        case _:
            return api.check(arguments.name, registry)


def _parser() -> argparse.ArgumentParser:
    """Build the parser; ``--strict`` may stand before or after the command."""
    strict = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    _add_strict(strict)
    parser = argparse.ArgumentParser(
        prog="amulet", description="Measure what a defense of an ML model does to every risk it was not designed for."
    )
    _add_strict(parser)
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, meaning: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=meaning, description=meaning, parents=[strict])

    _add_questions(command)
    _add_work(command)
    add_cache(command("cache", "Look after the cache: what runs computed, and can use again."))
    return parser


def _add_strict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="treat a broken or missing plugin as an error")


def _add_questions(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    listing = command("list", "List the components that are installed.")
    listing.add_argument("kind", nargs="?", metavar="KIND", help=", ".join(KINDS))
    listing.add_argument("--risk", metavar="RISK", help="only the components of one risk")
    show = command("show", "Show everything about one component: parameters, threat model, references, provider.")
    show.add_argument("name", metavar="NAME", help="its name, or plugin/name")
    show.add_argument("--kind", metavar="KIND", help="its kind, where several kinds have the name")
    plugins = command("plugins", "List the plugins that are installed, and what is wrong with them.")
    conjecture = command("conjecture", "Say what is published, or can be conjectured, of a defense and a risk.")
    conjecture.add_argument("defense", metavar="DEFENSE", help="a defense, or a row of the published tables")
    conjecture.add_argument("risk", metavar="RISK", help=", ".join(RISKS))
    for parser in (listing, show, plugins, conjecture):
        parser.add_argument("--json", action="store_true", help="print a JSON list of objects")
    command("schema", "Print the JSON Schema of a config, made from the plugins that are installed.")


def _add_work(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    run = command("run", "Run a config; a run that was interrupted goes on where it stopped.")
    run.add_argument("config", metavar="CONFIG", help="a YAML or TOML file, or the folder of an earlier run")
    run.add_argument("--dry-run", action="store_true", help="say what would be done and how long it may take")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="PATH=VALUE",
        help="replace a value of the config, such as seeds=3; may be repeated",
    )
    quickstart = command("quickstart", "Measure three defenses against three risks on the Adult census data.")
    for parser in (run, quickstart):
        parser.add_argument("--out", metavar="DIR", help="where the results go")
    report = command("report", "Write the report of a run again, from its results.")
    report.add_argument("directory", metavar="DIR", help="the folder of the run")
    new = command(
        "new", "Write the package of a new plugin: a working example, its tests, and a matrix that measures it."
    )
    new.add_argument("kind", metavar="KIND", help="attack, defense, metric, dataset or model")
    new.add_argument("name", metavar="NAME", help="the plugin's name, and that of its component")
    new.add_argument("--risk", metavar="RISK", help="of an attack, a defense or a metric; evasion if absent")
    new.add_argument("--dir", metavar="DIR", help="the folder to write, amulet-plugin-NAME if absent")
    check = command("check", "Run the conformance, known-answer and power checks of a component or of a whole plugin.")
    check.add_argument("name", metavar="NAME", help="a component (its name, or plugin/name), or a plugin")


if __name__ == "__main__":
    sys.exit(main())
