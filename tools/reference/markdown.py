"""Pieces of Markdown, and the words that reference pages use for types, defaults, limits and places of papers."""

import inspect
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Page:
    """A page: its path in the site's sources, its title and section in the navigation, and its Markdown."""

    path: str
    title: str
    section: tuple[str, ...]
    text: str


TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
}
"""JSON's words for types, as readers say them."""

_PLURALS: Final = {"string": "texts", "integer": "whole numbers", "number": "numbers", "list": "lists"}
_IDENTIFIER: Final = re.compile(r"(?<![\w./:-])((?:[A-Za-z]+_)+[A-Za-z]+(?:\(\))?)(?![\w/:-])")
_LIMITS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches `{}`",
}


def plain(text: str) -> str:
    """Return a text that is no Markdown (a summary, a title) as Markdown; names with underscores are code."""
    parts = _IDENTIFIER.split(" ".join(text.split()))
    return "".join(f"`{part}`" if index % 2 else _escaped(part) for index, part in enumerate(parts))


def _escaped(text: str) -> str:
    escaped = re.sub(r"([\\`*_\[\]|])", r"\\\1", text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def docstring(text: str | None) -> str:
    """Return a docstring as Markdown: its code in single backticks."""
    return inspect.cleandoc(text or "").replace("``", "`")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Escape the bars of a cell that are neither code nor escaped already."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if index % 2 else re.sub(r"(?<!\\)[|]", r"\|", part) for index, part in enumerate(parts))


def entry(term: str, facts: Sequence[str], text: str) -> str:
    """Return an item of a list of definitions: a term, what is short, and what it means."""
    meaning = "\n\n    ".join([part.replace("\n", "\n    ") for part in text.split("\n\n") if part])
    return f"`{term}` — {', '.join(facts)}\n:   {meaning}\n" if facts else f"`{term}`\n:   {meaning}\n"


def type_words(kind: str) -> str:
    """Return the type of a parameter (``amulet_core.commands.describing``) in words."""
    if kind.startswith("list of "):
        items = kind.removeprefix("list of ")
        return f"list of {_PLURALS.get(items) or type_words(items)}"
    options = [_choice(one) if one.startswith('"') else TYPES.get(one, one) for one in kind.split(" | ")]
    options = ["nothing" if one == "null" else one for one in options]
    return " or ".join(filter(None, [", ".join(options[:-1]), options[-1]]))


def _choice(quoted: str) -> str:
    return "`" + quoted[1:-1].replace("\t", "\\t") + "`"


def default_words(record: dict[str, Any]) -> str:
    """Return what a parameter is where a config does not say."""
    if record["required"]:
        return "required"
    default = record["default"]
    if default in (None, "", [], {}):
        return "by default " + {"None": "nothing", "": "empty", "[]": "none", "{}": "none"}[str(default)]
    return f"by default `{default if isinstance(default, str) else json.dumps(default)}`"


def limit_words(limits: dict[str, Any]) -> str:
    """Return the limits of a value in words, or nothing."""
    given, first = dict(limits), list[str]()
    if {"minimum", "maximum"} <= given.keys():
        first.append(f"from {given.pop('minimum')} to {given.pop('maximum')}")
    if given.get("minLength") == 1:
        first.append("not empty")
        del given["minLength"]
    return ", ".join([*first, *(_LIMITS[limit].format(bound) for limit, bound in given.items())])


def parameter(record: dict[str, Any]) -> str:
    """Return a parameter (``amulet_core.commands.describing.parameters``) as an item of a list of definitions."""
    facts = [type_words(record["type"]), limit_words(record["limits"]), default_words(record)]
    return entry(record["name"], [fact for fact in facts if fact], sentence(plain(record["description"])))


def sentence(text: str) -> str:
    """Return a phrase as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".") if text else ""


def place(where: str) -> str:
    """Return where a paper is found, as a link where it is one."""
    for prefix, address in (
        ("arXiv:", "https://arxiv.org/abs/"),
        ("doi:", "https://doi.org/"),
        ("https://", "https://"),
    ):
        if where.startswith(prefix):
            target = (address + where.removeprefix(prefix)).replace("<", "%3C").replace(">", "%3E")
            return f"[{plain(where)}](<{target}>)"
    return plain(where)
