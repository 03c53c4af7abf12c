"""A page for each game: its threat model, what is played and measured, and its view, answer and result."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Final

from amulet_core.commands.describing import parameters
from amulet_core.discovery.registry import Registry
from amulet_core.games.artifacts import Artifact
from amulet_core.games.table import GAMES, Game
from reference.markdown import Page, docstring, parameter, table
from reference.sources import fields_of

_NOTE: Final = """\
A tensor is written as its dtype and its sizes: `float32 [n, classes]`. Equal names are equal sizes; `...` is any
number of further sizes. Values are checked against this when they are made: dtype, shape, and that no
number is infinite or NaN. A field with a default may be left out. [Victims](../api/victims.md) has what a model offers
by its access, [schema](../api/schema.md) what `data_schema` says."""
_OTHERS: Final = (("Metrics", "metric"), ("Defenses made for it", "defense"))
_HEAD: Final = (
    "A game says what a risk is: what the adversary gets, what it hands back, and what that is compared with."
)


def game_pages(registry: Registry) -> Iterator[Page]:
    """Yield the page of all games, and one for each."""
    rows = [
        (
            f"[{game.title}]({game.risk}.md)",
            game.primary.label,
            game.primary.better,
            f"{game.primary.margin:g}",
            _links(game.attacks, "attack", "../") or "no adversary",
        )
        for game in GAMES.values()
    ]
    head = ("game", "value of the verdict", "better", "margin", "attacks, unless a config names others")
    text = f"# Games\n\n{_HEAD}\n\n{table(head, rows)}\n"
    yield Page(path="reference/games/index.md", title="Overview", section=("Games",), text=text)
    for game in GAMES.values():
        path = f"reference/games/{game.risk}.md"
        yield Page(path=path, title=game.title, section=("Games",), text=_page(game, registry))


def artifacts_of(module: ModuleType) -> list[type[Artifact]]:
    """Return the artifacts that a game's module makes or takes, those it uses before those that use them."""
    found = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Artifact)]
    return [one for one in dict.fromkeys(found) if one is not Artifact]


def _page(game: Game, registry: Registry) -> str:
    module = import_module(game.module)
    primary = game.primary
    parts = [
        f"# {game.title}",
        docstring(module.__doc__),
        f"- **In a config**: `{game.risk}`\n- **Module**: `{game.module}`\n"
        f"- **The value of the verdict**: {primary.label}, `{primary.value}` of "
        f"[`{primary.metric}`](../metric/{primary.metric}.md); {primary.better} is better for the defender\n"
        f"- **Margin**: changes within {primary.margin:g} count as none",
        "## Threat model",
        docstring(game.threat.__doc__),
        "\n".join(map(parameter, parameters(game.threat))) or "There is nothing to set.",
        "## Who plays",
        _players(game, registry),
        "## What passes between the core and the components",
        _NOTE,
        *(_artifact(one, module) for one in artifacts_of(module)),
    ]
    return "\n\n".join(parts) + "\n"


def _players(game: Game, registry: Registry) -> str:
    risk = game.attacks_of or game.risk
    attacks = _names(registry, "attack", risk) if game.attacks else []
    rows = [
        ("Attacks, unless a config names others", _links(game.attacks, "attack", "../")),
        ("Controls, always", _links(game.controls, "attack", "../")),
        ("All that can be named", _links(attacks, "attack", "../")),
        *((title, _links(_names(registry, kind, game.risk), kind, "../")) for title, kind in _OTHERS),
    ]
    return "\n".join(f"- **{name}**: {links}" for name, links in rows if links)


def _names(registry: Registry, kind: str, risk: str) -> list[str]:
    return [one.component.name for one in registry.entries if (one.component.kind, one.risk) == (kind, risk)]


def _links(names: Sequence[str], kind: str, up: str) -> str:
    return ", ".join(f"[`{name}`]({up}{kind}/{name}.md)" for name in names)


def _artifact(artifact: type[Artifact], module: ModuleType) -> str:
    rows = [
        (f"`{one.name}`", f"`{one.annotation}`" + (f", by default `{one.default}`" if one.default else ""))
        for one in fields_of(artifact)
    ]
    origin = "" if artifact.__module__ == module.__name__ else f" It is defined in `{artifact.__module__}`."
    return f"### {artifact.__name__}\n\n{docstring(artifact.__doc__)}{origin}\n\n" + table(("field", "type"), rows)
