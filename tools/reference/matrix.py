"""The quickstart's matrix on the start page, made from the one in the README, which a test compares with a run."""

import re
from pathlib import Path
from typing import Final

from reference.markdown import table

MARK: Final = "<!-- matrix of the quickstart -->"
COLUMNS: Final = ("Evasion", "Membership", "Discriminatory", "Utility")
"""How the README's columns begin, from left to right."""
_TITLES: Final = (
    "row",
    "evasion: robust accuracy",
    "membership inference: AUC",
    "discriminatory behavior: demographic parity difference",
    "utility: accuracy",
)
_SIGNS: Final = {"▲": "up", "▼": "down", "=": "no change", "?": "inconclusive"}


def quickstart_table(root: Path) -> str:
    """Return the matrix of the README as a table in Markdown.

    Raises:
        ValueError: if the README has no such matrix, or its columns are not those of the table.
    """
    _, found, rest = (root / "README.md").read_text(encoding="utf-8").partition("<!-- matrix -->\n```text\n")
    text = rest.partition("```")[0]
    head, ruled, body = text.partition("-" * 60)
    if not (found and ruled) or tuple(head.splitlines()[0].split()) != COLUMNS:
        raise ValueError(f"the README has no matrix of the quickstart with the columns {', '.join(COLUMNS)}")
    rows = [_row(line) for line in body.partition("\n\n")[0].splitlines() if re.match(r"[a-z]", line)]
    return table(_TITLES, rows)


def _row(line: str) -> list[str]:
    label, *cells = re.split(r"\s{2,}", line.strip())
    return [label, *(_cell(cell, last=index == len(cells) - 1) for index, cell in enumerate(cells))]


def _cell(cell: str, *, last: bool) -> str:
    sign, _, change = cell.rpartition(" ")
    if not sign:
        return change
    words = f"{'utility' if last else 'risk'} {_SIGNS[sign]}" if sign in "▲▼" else _SIGNS[sign]
    good = (sign == "▼") is not last
    shade = {True: "risk-down", False: "risk-up"}[good] if sign in "▲▼" else ""
    text = f"{sign} {change}<br>{words}"
    return f'<span class="{shade}">{text}</span>' if shade else text
