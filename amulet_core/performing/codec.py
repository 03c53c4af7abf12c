"""Outputs of jobs as bytes, and back: a model is its architecture, its parameters and its tensors, never a pickle."""

import copy
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from amulet_core.configuration.request import attack_of
from amulet_core.errors import ComponentError
from amulet_core.games.artifacts import Artifact
from amulet_core.games.poisoning import PoisoningAnswer
from amulet_core.performing.ground import Ground
from amulet_core.performing.outputs import (
    BankOutput,
    CertifyOutput,
    FitOutput,
    IndependentOutput,
    PlayOutput,
    PoisonOutput,
    TheftOutput,
)
from amulet_core.performing.recipes import built, evidence_json, maker_of, rebuilt
from amulet_core.performing.workbench import Packed
from amulet_core.planning.jobs import (
    AttackWork,
    BankWork,
    CertifyWork,
    FitWork,
    IndependentWork,
    Job,
    PoisonWork,
    Recipe,
    TheftWork,
    VerificationPlayWork,
)
from amulet_core.planning.layout import Place
from amulet_core.results import Measured
from amulet_core.storage.store import Stored
from amulet_core.streams import isolated
from amulet_core.training.values import Fitted
from amulet_core.victims import ModelOutputError, logits_of

_ROWS = 64


def pack(job: Job, output: Any, ground: Ground) -> Packed:
    """Return a job's output as bytes and a record.

    A model is kept only if a twin, built from the architecture and what the recipe's defenses put it into, and given
    the same tensors, answers alike bit by bit.
    """
    if isinstance(output, PlayOutput):
        return _pack_play(job, output)
    if isinstance(output, FitOutput):
        return _pack_fit(job, output, ground)
    if isinstance(output, TheftOutput):
        return _pack_theft(job, output, ground)
    return Packed(_values(output))


def unpack(job: Job, entry: Stored, ground: Ground) -> Any:
    """Return the output that ``pack`` made an entry of."""
    tensors = load(entry.tensors) if entry.tensors else {}
    match job.work:
        case FitWork():
            return _unpack_fit(job.work, entry.record, tensors, ground)
        case TheftWork():
            return _unpack_theft(job.work, entry.record, tensors, ground)
        case BankWork() | PoisonWork() | IndependentWork() | CertifyWork():
            return _unpack_values(job.work, entry.record, tensors)
    return _unpack_play(job, entry.record, tensors)


def _values(output: Any) -> Stored:
    """Return an output of tensors and texts as it is stored."""
    match output:
        case BankOutput():
            tensors = {
                f"{_name(place)}/{part}": tensor
                for place, pair in output.logits.items()
                for part, tensor in zip(("pool", "aux"), pair, strict=True)
            }
            return Stored({"kind": "bank"}, _saved(tensors))
        case PoisonOutput():
            answer = output.answer
            fields = {name: getattr(answer, name) for name in type(answer).model_fields}
            plain = {"targeted": answer.targeted, "source": answer.source, "warnings": list(answer.warnings)}
            record = {"kind": "poison", **plain}
            return Stored(record, _saved(_tensors(fields)))
        case IndependentOutput():
            return Stored({"kind": "independent", "warnings": list(output.warnings)}, _saved(_tensors(vars(output))))
        case CertifyOutput():
            return Stored({"kind": "certify"}, _saved(_tensors(vars(output))))
    raise TypeError(f"a job gave {type(output).__name__}")


def _unpack_values(
    work: BankWork | PoisonWork | IndependentWork | CertifyWork,
    record: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> Any:
    match work:
        case BankWork():
            names = dict.fromkeys(name.partition("/")[0] for name in tensors)
            return BankOutput({_place(name): (tensors[f"{name}/pool"], tensors[f"{name}/aux"]) for name in names})
        case PoisonWork():
            plain = {name: record[name] for name in ("targeted", "source")} | {"warnings": tuple(record["warnings"])}
            return PoisonOutput(work.place, PoisoningAnswer(**tensors, **plain))
        case IndependentWork():
            scores = {name: tensors[name] for name in ("score", "defended", "accuracy")}
            return IndependentOutput(**scores, p=tensors.get("p"), warnings=tuple(record["warnings"]))
    return CertifyOutput(**tensors)


def _tensors(fields: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in fields.items() if isinstance(value, Tensor)}


def _unpack_theft(work: TheftWork, record: Mapping[str, Any], tensors: Mapping[str, Tensor], ground: Ground) -> Any:
    twin = _theft_twin(work, ground)
    twin.load_state_dict(tensors)
    return TheftOutput(twin.eval().requires_grad_(False), record["queries"], tuple(record["warnings"]))


def _pack_theft(job: Job, output: TheftOutput, ground: Ground) -> Packed:
    assert isinstance(job.work, TheftWork)
    record = {"kind": "theft", "queries": output.queries, "warnings": list(output.warnings)}
    try:
        different = _difference(output.model, _theft_twin(job.work, ground), ground.data.x[:_ROWS])
    except ModelOutputError as error:
        raise ComponentError(job.work.attack.id, error) from error
    if different:
        reason = f"the model it made cannot be kept in the cache: {different}"
        return Packed(Stored(record, b""), unkept=reason, blame=job.work.attack.id)
    return Packed(Stored(record, _saved(output.model.state_dict())))


def _theft_twin(work: TheftWork, ground: Ground) -> nn.Module:
    """Build what a thief's model is: the bare architecture, or the victim itself where it was given away whole."""
    if attack_of(work.attack).access == "white-box":
        return _twin(work.recipe, ground)
    with isolated("twin"):
        return built(work.recipe.model, ground.data.schema)


def _pack_fit(job: Job, output: FitOutput, ground: Ground) -> Packed:
    assert isinstance(job.work, FitWork)
    record = {
        "kind": "fit",
        "evidence": {_name(place): evidence_json(one.evidence) for place, one in output.fitted.items()},
    }
    twin = _twin(job.work.recipe, ground)
    tensors: dict[str, Tensor] = {}
    for place, fitted in output.fitted.items():
        try:
            different = _difference(fitted.model, twin, ground.data.x[:_ROWS])
        except ModelOutputError as error:
            raise ComponentError(maker_of(job.work.recipe), error) from error
        if different:
            reason = f"its model cannot be kept in the cache: {different}"
            return Packed(Stored(record, b""), unkept=reason, blame=maker_of(job.work.recipe))
        tensors |= {f"{_name(place)}/model/{name}": tensor for name, tensor in fitted.model.state_dict().items()}
        tensors |= {f"{_name(place)}/proof/{name}": tensor for name, tensor in fitted.proof.items()}
    return Packed(Stored(record, _saved(tensors)))


def _difference(model: nn.Module, twin: nn.Module, x: Tensor) -> str:
    """Say why a model is not its architecture with other tensors; give the twin its tensors on the way."""
    more = [name for name, value in model.state_dict().items() if not isinstance(value, Tensor)]
    if more:
        return f"its state holds more than tensors ({', '.join(more)})"
    try:
        twin.load_state_dict(model.state_dict())
    except (RuntimeError, AttributeError) as error:
        return f"it is not its architecture with other tensors ({' '.join(str(error).split())[:200]})"
    if _anatomy(model) != _anatomy(twin):
        return "its modules, their settings or their hooks are not those of its architecture"
    with isolated("twin"):
        own = logits_of(model, x)
    with isolated("twin"):
        same = torch.equal(own, logits_of(twin, x))
    return "" if same else "its architecture with the same tensors answers otherwise"


def _anatomy(model: nn.Module) -> list[tuple[str, type, dict[str, Any]]]:
    """List what a model is made of beside tensors: types of modules, plain settings, hooks, functions put on them.

    A few rows cannot tell a model from its twin where it differs on odd inputs, or in its gradients, alone.
    """
    return [
        (name, type(part), {key: _functions(key, value) for key, value in vars(part).items() if _tells(key, value)})
        for name, part in model.named_modules()
    ]


def _functions(key: str, value: Any) -> Any:
    """Return the functions of hooks: torch gives each a number and a wrapper, which no two modules share."""
    if key.endswith("_hooks") and isinstance(value, Mapping):
        return [getattr(hook, "hook", hook) for hook in value.values()]
    return value


def _tells(key: str, value: Any) -> bool:
    if key in ("training", "_parameters", "_buffers", "_modules"):
        return False
    return (
        key == "forward"
        or isinstance(value, bool | int | float | str | tuple)
        or (key.endswith("_hooks") and bool(value))
    )


def _unpack_fit(work: FitWork, record: Mapping[str, Any], tensors: Mapping[str, Tensor], ground: Ground) -> FitOutput:
    twin = _twin(work.recipe, ground)
    fitted = {}
    for place in work.places:
        model = copy.deepcopy(twin)
        model.load_state_dict(_under(f"{_name(place)}/model/", tensors))
        proof = _under(f"{_name(place)}/proof/", tensors)
        fitted[place] = Fitted(model.eval(), record["evidence"][_name(place)], proof)
    return FitOutput(fitted)


def _under(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(start) :]: own for name, own in tensors.items() if name.startswith(start)}


def _twin(recipe: Recipe, ground: Ground) -> nn.Module:
    with isolated("twin"):
        return rebuilt(recipe, ground.data.schema)


def _pack_play(job: Job, output: PlayOutput) -> Packed:
    record: dict[str, Any] = {
        "kind": "play",
        "measured": [one.model_dump(mode="json") for one in output.measured],
        "warnings": list(output.warnings),
        "evidence": evidence_json(output.evidence),
    }
    tensors: dict[str, Tensor] = {}
    if job.joined:
        fields = {name: getattr(output.result, name) for name in type(output.result).model_fields}
        tensors = _tensors(fields)
        plain = output.result.model_dump(mode="json", exclude=set(tensors))
        record["result"] = {"type": type(output.result).__name__, "fields": plain}
    return Packed(Stored(record, _saved(tensors) if tensors else b""))


def _unpack_play(job: Job, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> PlayOutput:
    result = None
    if "result" in record and isinstance(job.work, AttackWork | VerificationPlayWork):
        kind = getattr(import_module(job.work.risk.game.module), record["result"]["type"])
        if not (isinstance(kind, type) and issubclass(kind, Artifact)):
            raise TypeError(f"{record['result']['type']} is no result")
        result = kind(**record["result"]["fields"], **tensors)
    measured = tuple(Measured.model_validate(one) for one in record["measured"])
    return PlayOutput(result, measured, tuple(record["warnings"]), record["evidence"])


def _saved(tensors: Mapping[str, Tensor]) -> bytes:
    """Return tensors as safetensors, each with storage of its own, as the format wants it."""
    return bytes(save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}))


def _name(place: Place) -> str:
    return "-".join(str(part) for part in place.key)


def _place(name: str) -> Place:
    return Place.of(name.split("-"))
