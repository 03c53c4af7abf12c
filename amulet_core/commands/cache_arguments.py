"""The arguments of ``amulet cache``. Nothing is imported that the other commands would have to wait for."""

import argparse


def add_cache(cache: argparse.ArgumentParser) -> None:
    """Add the actions of ``amulet cache`` to its parser."""
    actions = cache.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)

    def action(name: str, meaning: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=meaning, description=meaning)

    info = action("info", "Say how much is in the cache, how old it is, and where.")
    prune = action("prune", "Remove what was not used for long. Runs may go on: what they miss they compute again.")
    prune.add_argument("--older-than", metavar="AGE", help="what was not used for 12h, 30d or 2w (hours, days, weeks)")
    prune.add_argument(
        "--max-size", metavar="SIZE", help="what was unused for longest, until the rest fits into 500MB, 5GB or 1TB"
    )
    prune.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    verify = action("verify", "Compare every entry with its checksum; exit code 1 if a damaged one stays.")
    verify.add_argument("--remove", action="store_true", help="remove what is damaged, and leftovers of killed runs")
    for parser in (info, prune, verify):
        parser.add_argument("--json", action="store_true", help="print a JSON object")
