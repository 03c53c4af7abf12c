"""The command ``amulet``: reading the request, and the exit code; what listing does not need is imported later.

Exit codes: 0 fine, 1 some cell failed, 2 nothing was run because the request was wrong.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from amulet_core.errors import RequestError
from amulet_core.registry import Registry, discover


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for, and return the exit code."""
    try:
        return _command(_parser().parse_args(argv))
    except RequestError as error:
        print(*(f"error: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return 2
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
    match arguments.command:
        case "list" | "show" | "plugins" | "schema":
            return _answer(arguments, _registry(strict=arguments.strict))
        case None:
            raise RequestError("no command given; see: amulet --help")
    if arguments.strict:
        _registry(strict=True)
    return _work(arguments)


def _registry(*, strict: bool) -> Registry:
    """Discover the plugins; whatever they print while they are imported must not spoil our output."""
    with contextlib.redirect_stdout(sys.stderr):
        registry = discover(strict=strict)
    for warning in registry.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return registry


def _answer(arguments: argparse.Namespace, registry: Registry) -> int:
    from amulet_core import describing, listing

    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    match arguments.command:
        case "schema":
            from amulet_core.config import json_schema

            return _print_json(json_schema(registry))
        case "list":
            records = [describing.summary(entry) for entry in registry.list(arguments.kind, arguments.risk)]
            text = listing.list_text(records, width=width) or "no components"
        case "show":
            records = [describing.details(entry) for entry in _named(registry, arguments)]
            text = listing.show_text(records[0], width=width)
        case _:
            records = [describing.plugin_record(plugin) for plugin in registry.plugins]
            text = listing.plugins_text(records, width=width) or "no plugins"
    return _print_json(records) if arguments.json else _print(text)
