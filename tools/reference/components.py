"""A page for each component, and one for each kind, made from the descriptors."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from amulet_core.commands.describing import parameters
from amulet_core.components import Attack, Metric
from amulet_core.discovery.entries import Entry
from amulet_core.discovery.registry import Registry
from amulet_core.games.table import GAMES
from amulet_core.vocabulary import KINDS
from reference.examples import example
from reference.facts import facts, game_link
from reference.markdown import Page, parameter, place, plain, sentence, table
from reference.refusals import refusals

KINDS_SHOWN: Final = {
    "attack": ("Attacks", "What an adversary does. Controls know nothing of the victim: others are shown beside them."),
    "defense": ("Defenses", "What is done to data, training, model or predictions, by the risk that it is made for."),
    "metric": ("Metrics", "What values are made of a game's result, and which way is better for the defender."),
    "dataset": ("Data sets", "The data that can be named in a config, and loaders for data of your own."),
    "model": ("Models", "Architectures, and classifiers that train themselves."),
    "executor": ("Executors", "What runs the jobs of a run. Which of them it is changes no result."),
    "reporter": ("Reporters", "What else writes the results of a run into its folder."),
}
"""The kinds in the order of the navigation: their title, and what a component of the kind is."""


def component_pages(registry: Registry) -> Iterator[Page]:
    """Yield the pages of all components, those of a kind after the page of the kind."""
    assert set(KINDS_SHOWN) == set(KINDS)
    for kind, (title, _) in KINDS_SHOWN.items():
        entries = registry.list(kind)
        if entries:
            yield Page(
                path=f"reference/{kind}/index.md", title="Overview", section=(title,), text=_index(kind, entries)
            )
            for entry in sorted(entries, key=lambda one: one.component.name):
                name = entry.component.name
                path = f"reference/{kind}/{name}.md"
                yield Page(path=path, title=name, section=(title,), text=_page(entry, registry))


def _index(kind: str, entries: Sequence[Entry]) -> str:
    title, text = KINDS_SHOWN[kind]
    parts = [f"# {title}", text]
    for risk, group in groupby(entries, key=lambda entry: entry.risk):
        rows = [(f"[`{one.component.name}`]({one.component.name}.md)", plain(one.component.summary)) for one in group]
        parts += [f"## {game_link(risk)}"] if risk else []
        parts.append(table(("name", "what it is" if kind in ("dataset", "model") else "what it does"), rows))
    return "\n\n".join(parts) + "\n"


def _page(entry: Entry, registry: Registry) -> str:
    component = entry.component
    parts = [f"# {component.name}", plain(component.summary), _list(facts(entry))]
    if isinstance(component, Attack):
        parts += ["## Threat model", plain(component.threat)]
        if component.risk in GAMES:
            parts.append(f"What a config may set of it is on the page of the game: {game_link(component.risk)}.")
    if isinstance(component, Metric):
        rows = [(f"`{one.name}`", one.better, sentence(plain(one.summary))) for one in component.measures]
        parts += ["## Values", table(("value", "better for the defender", "what it says"), rows)]
    found = parameters(component.params)
    parts += ["## Parameters", "\n".join(map(parameter, found)) if found else "It has none."]
    refused = refusals(component)
    if refused:
        parts += [
            "## What it refuses",
            "With its default parameters, before anything is trained:\n\n" + "\n".join(f"- {one}" for one in refused),
        ]
    text = example(entry, registry)
    if text:
        parts += ["## In a config", f"```yaml\n{text}```"]
    papers = "\n".join(f"- {plain(one.title)} ({place(one.where)})" for one in component.references)
    return "\n\n".join([*parts, "## References", papers]) + "\n"


def _list(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- **{name}**: {text}" for name, text in facts)
