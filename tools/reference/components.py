"""A page for each component, and one for each kind, made from the descriptors."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from reference.examples import example
from reference.markdown import Page, parameter, place, plain, sentence, table
from reference.refusals import refusals

from amulet_core.components import Attack, Component, Dataset, Defense, Executor, Metric, Model
from amulet_core.describing import parameters
from amulet_core.entries import Entry
from amulet_core.games.table import GAMES
from amulet_core.registry import Registry
from amulet_core.vocabulary import KINDS, STAGES

KINDS_SHOWN: Final = {
    "attack": ("Attacks", "What an adversary does. Controls know nothing of the victim: others are shown beside them."),
    "defense": ("Defenses", "What is done to data, training, model or predictions, under the risk that it is made for."),
    "metric": ("Metrics", "What values are made of a game's result, and which way is better for the defender."),
    "dataset": ("Data sets", "The data that can be named in a config, and loaders for data of your own."),
    "model": ("Models", "Architectures, and classifiers that train themselves."),
    "executor": ("Executors", "What runs the jobs of a run. None of them changes a result."),
    "reporter": ("Reporters", "What else writes the results of a run into its folder."),
}
"""The kinds in the order of the navigation: their title, and what a component of the kind is."""

ACCESS: Final = {
    "white-box": "the whole model",
    "probabilities": "the probability of each class",
    "labels": "the predicted class",
    "gradients": "released gradients",
    "training-data": "training rows, some of which it may replace",
    "none": "nothing",
}
"""What each access level lets an attack see."""

_KIND_WORDS: Final = {"dataset": "data set"}
_MODALITIES: Final = {("tabular",): "tables", ("image",): "images"}
_FLAGS: Final = {
    "reads_private_rows": "It looks at training rows outside the training loop, hence outside a privacy account.",
    "accounts_privacy": "It keeps a privacy account, which other stages of a chain could spoil.",
    "uses_sensitive": "It reads sensitive attributes, which the data must have.",
    "randomised": "It answers at random.",
    "labels_only": "It releases the predicted class alone: attacks that need more are skipped.",
    "control": "It is a control: it knows nothing of the victim, and is the floor that others are shown beside.",
    "sensitive_in_x": "It puts values of the sensitive attribute into the inputs, where that must be.",
    "stackable": "Several of it train faster as one stack than one after the other.",
    "trains_itself": "It trains itself: training settings play no part, and defenses that change training are refused.",
    "convolves": "It convolves: it cannot read several inputs of a row on an axis of their own.",
}


def component_pages(registry: Registry) -> Iterator[Page]:
    """Yield the pages of all components, those of a kind after the page of the kind."""
    assert set(KINDS_SHOWN) == set(KINDS)
    for kind, (title, _) in KINDS_SHOWN.items():
        entries = registry.list(kind)
        if entries:
            yield Page(path=f"reference/{kind}/index.md", title="Overview", section=(title,), text=_index(kind, entries))
            for entry in sorted(entries, key=lambda one: one.component.name):
                name = entry.component.name
                path = f"reference/{kind}/{name}.md"
                yield Page(path=path, title=name, section=(title,), text=_page(entry, registry))


def game_link(risk: str) -> str:
    """Return a risk's title, as a link from a page in a folder of the reference."""
    return f"[{GAMES[risk].title}](../games/{risk}.md)" if risk in GAMES else f"`{risk}`"


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
    parts = [f"# {component.name}", plain(component.summary), _list(_facts(entry))]
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


def _list(facts: Iterator[tuple[str, str]]) -> str:
    return "\n".join(f"- **{name}**: {text}" for name, text in facts)


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield what a descriptor says beside parameters, threat model and papers."""
    component = entry.component
    yield "Kind", f"[{_KIND_WORDS.get(component.kind, component.kind)}](index.md)"
    if entry.risk:
        yield "Game", game_link(entry.risk)
    if not isinstance(component, Executor):
        yield "Works on", _MODALITIES.get(component.modality, "tables and images")
    yield from _of_kind(component)
    if component.requires:
        yield "Requires", f"{_codes(component.requires)}, which a model, or a defense before it, must produce"
    if component.produces:
        yield "Produces", _codes(component.produces)
    notes = [text for flag, text in _FLAGS.items() if getattr(component, flag, False) is True]
    if getattr(component, "differentiable", True) is False:
        notes.append("It has no gradients: attacks that need them are skipped.")
    if notes:
        yield "Note", " ".join(notes)
    yield "Code", f"`{component.target}`"
    yield "Provided by", f"`{entry.id}`, version {component.version}, in {entry.distribution} {entry.version}"


def _of_kind(component: Component) -> Iterator[tuple[str, str]]:
    if isinstance(component, Attack):
        yield "Access", f"{component.access}: it sees {ACCESS[component.access]}"
        if component.risk == "evasion":
            yield "Norms", _codes(component.norms)
        if component.reconstructs:
            yield "Reconstructs", {"class": "a typical input of each class", "row": "rows"}.get(
                component.reconstructs, "the batch behind a gradient"
            )
    if isinstance(component, Defense):
        if component.stages:
            yield "Stages", ", ".join(f"{stage} (`{component.stages[stage]}`)" for stage in STAGES if stage in component.stages)
        if component.verify:
            yield "Verifies ownership", f"`{component.verify}`, seeing {ACCESS[component.verify_access]} of suspects"
        if component.certify:
            yield "Certifies", f"`{component.certify}`"
        if component.rebuild:
            yield "Rebuilds its models", f"`{component.rebuild}`"
        if component.sok:
            yield "In the published tables", f"{component.sok} ([arXiv:2312.04542](https://arxiv.org/abs/2312.04542))"
    if isinstance(component, Dataset):
        yield "Licence", plain(component.licence)
    if isinstance(component, Model | Metric | Executor):
        return


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
