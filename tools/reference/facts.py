"""What a component's page says of it as a list of facts: all that its descriptor says in a word or two."""

from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import ValidationError

from amulet_core.components import Attack, Dataset, Defense, Executor
from amulet_core.discovery.entries import Entry
from amulet_core.games.table import GAMES
from amulet_core.vocabulary import STAGES
from reference.markdown import plain
from reference.refusals import SORTS, schema_of

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
_RECONSTRUCTED: Final = {
    "class": "a typical input of each class",
    "row": "rows from what the victim says of them",
    "batch": "the batch behind a gradient",
}
_MODALITIES: Final[dict[tuple[str, ...], str]] = {("tabular",): "tables", ("image",): "images"}
_FLAGS: Final = {
    "reads_private_rows": "It looks at training rows outside the training loop, hence outside a privacy account.",
    "accounts_privacy": "It keeps a privacy account, which other stages of a chain could spoil.",
    "stacks_inputs": "It asks about several inputs of a row at once, which convolutions cannot read where each row's "
    "gradient is clipped.",
    "uses_sensitive": "It reads sensitive attributes, which the data must have.",
    "randomised": "It answers at random.",
    "labels_only": "It releases the predicted class alone: attacks that need more are skipped.",
    "control": "It is a control: it knows nothing of the victim, and is the floor that others are shown beside.",
    "sensitive_in_x": "It puts values of the sensitive attribute into the inputs, where that must be.",
    "stackable": "Several of it train faster as one stack than one after the other.",
    "trains_itself": "It trains itself: training settings play no part, and defenses that change training are refused.",
    "convolves": "It convolves: it cannot read several inputs of a row on an axis of their own.",
}
_FLAGS_NOT_SET: Final = {
    "differentiable": "It has no gradients: attacks that need them are skipped.",
    "clippable": "Gradients of its rows cannot be clipped one by one: it is refused beside a privacy account.",
}


def game_link(risk: str) -> str:
    """Return a risk's title, as a link from a page in a folder of the reference."""
    return f"[{GAMES[risk].title}](../games/{risk}.md)" if risk in GAMES else f"`{risk}`"


def facts(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield what a descriptor says beside parameters, threat model, values and papers."""
    component = entry.component
    yield "Kind", f"[{_KIND_WORDS.get(component.kind, component.kind)}](index.md)"
    if entry.risk:
        yield "Game", game_link(entry.risk)
    if not isinstance(component, Executor):
        yield "Works on", _MODALITIES.get(component.modality, "tables and images")
    match component:
        case Attack():
            yield from _of_attack(component)
        case Defense():
            yield from _of_defense(component)
        case Dataset():
            yield "Licence", plain(component.licence)
    if component.requires:
        yield "Requires", f"{_codes(component.requires)}, which a model, or a defense before it, must produce"
    if component.produces:
        yield "Produces", _codes(component.produces)
    notes = [text for flag, text in _FLAGS.items() if getattr(component, flag, False) is True]
    notes += [text for flag, text in _FLAGS_NOT_SET.items() if getattr(component, flag, True) is False]
    if notes:
        yield "Note", " ".join(notes)
    yield "Code", f"`{component.target}`"
    yield "Provided by", f"`{entry.id}`, version {component.version}, in {entry.distribution} {entry.version}"


def _of_attack(attack: Attack) -> Iterator[tuple[str, str]]:
    yield "Access", f"{attack.access}: it sees {ACCESS[attack.access]}"
    if attack.risk == "evasion":
        yield "Norms", _codes(attack.norms)
    if attack.reconstructs:
        yield "Reconstructs", _RECONSTRUCTED[attack.reconstructs]
    if attack.settings_of:
        yield "Settings", f"those of `{attack.settings_of}`, which it stands beside"
    shadows = _shadow_models(attack)
    if shadows:
        yield "Shadow models", f"{shadows}, with its default parameters"


def _shadow_models(attack: Attack) -> int:
    """Count the shadow models that an attack asks the lab for, with its default parameters."""
    try:
        params = attack.params()
    except ValidationError:  # parameters without defaults: nothing can be said before they are known
        return 0
    sorts = [sort for sort in SORTS if sort.modality in attack.modality]
    return max((one.models for sort in sorts for one in attack.needs(params, schema_of(sort))), default=0)


def _of_defense(defense: Defense) -> Iterator[tuple[str, str]]:
    if defense.stages:
        stages = [f"{stage} (`{defense.stages[stage]}`)" for stage in STAGES if stage in defense.stages]
        yield "Stages", ", ".join(stages)
    if defense.verify:
        yield "Verifies ownership", f"`{defense.verify}`, seeing {ACCESS[defense.verify_access]} of suspects"
    if defense.certify:
        yield "Certifies", f"`{defense.certify}`"
    if defense.rebuild:
        yield "Rebuilds its models", f"`{defense.rebuild}`"
    if defense.sok:
        yield "In the published tables", f"{defense.sok} ([arXiv:2312.04542](https://arxiv.org/abs/2312.04542))"


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
