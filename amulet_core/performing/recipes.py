"""From a recipe to trained models: data defenses, training with its defenses, model defenses, the deployed model."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from amulet_core.configuration.chains import remaking
from amulet_core.configuration.request import Use, defense_of
from amulet_core.data import Data, checked
from amulet_core.errors import ComponentError, RequestError
from amulet_core.planning.jobs import Recipe
from amulet_core.schema import DataSchema
from amulet_core.streams import isolated
from amulet_core.training.learning import fit_by_itself
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Fitted, Prepared, Streams, Training, TrainingContext
from amulet_core.victims import ModelOutputError, logits_of

_FLOOR = torch.finfo(torch.float32).tiny
_SUM = 1e-3


def blamed(use_id: str, call: Callable[[], Any], key: Sequence[str | int]) -> Any:
    """Call into a component with the global generators seeded from ``key``, and blame it for whatever it raises.

    Raises:
        ComponentError: with the component's id and the cause.
        ModelOutputError: passed through, as the model is to blame for it, not who asks it; so is KeyboardInterrupt.
    """
    try:
        with isolated(*key, use_id):
            return call()
    except (KeyboardInterrupt, ComponentError, ModelOutputError):
        raise
    except BaseException as error:  # a plugin's fault, whatever it is (SystemExit included), ends only its own cells
        raise ComponentError(use_id, error) from error


def maker_of(recipe: Recipe) -> str:
    """Return who is to blame for a model's weights: the last defense that had a hand in them, else the architecture."""
    makers = [use.id for use in recipe.chain if {"training", "model"} & set(defense_of(use).stages)]
    return makers[-1] if makers else recipe.model.id


def fit_recipe(recipe: Recipe, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]) -> list[Fitted]:
    """Train one model on each of ``rows`` by the recipe.

    Raises:
        ComponentError: blaming the defense, or the architecture, at fault.
    """
    prepared = [_through_data_stage(recipe, data, own) for data, own in zip(rows, streams, strict=True)]
    cleaned = [one.data for one in prepared]
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, data in enumerate(cleaned):
        by_size[len(data)].append(index)
    fitted: dict[int, Fitted] = {}
    for size, group in by_size.items():
        kept, held, own = [cleaned[i] for i in group], [val[i] for i in group], [streams[i] for i in group]
        training = _training(recipe, kept[0], size, own[0])
        models = blamed(maker_of(recipe), partial(_fitted, training, kept, held, own), (*own[0].key, "fit"))
        fitted |= dict(zip(group, models, strict=True))
    return [
        _through_model_stage(recipe, _joined(before, fitted[index]), before.data, own)
        for index, (before, own) in enumerate(zip(prepared, streams, strict=True))
    ]


def training_of(recipe: Recipe, rows: Data, streams: Streams) -> tuple[Data, Training]:
    """Return what the recipe's data stage makes of ``rows``, and the training that follows.

    Raises:
        ComponentError: blaming the defense at fault.
    """
    data = _through_data_stage(recipe, rows, streams).data
    return data, _training(recipe, data, len(data), streams)


def _joined(before: Prepared | Fitted, after: Fitted) -> Fitted:
    """Return what a later stage made, with what earlier ones left behind as well."""
    return replace(after, evidence={**before.evidence, **after.evidence}, proof={**before.proof, **after.proof})


def _fitted(training: Training, rows: list[Data], val: list[Data], streams: list[Streams]) -> list[Fitted]:
    """Run a training's fit, and see that one plain model came out for each of the rows, with a logit for each class."""
    models = list(training.fit(training, rows, val, streams))
    if len(models) != len(rows) or not all(isinstance(one, Fitted) for one in models):
        kinds = ", ".join(sorted({type(one).__name__ for one in models})) or "nothing"
        raise TypeError(f"fit returned {len(models)} results ({kinds}), expected {len(rows)} of the type Fitted")
    classes = len(rows[0].schema.classes)
    for one, data in zip(models, rows, strict=True):
        shape = tuple(logits_of(one.model, data.x[:2]).shape)
        if shape != (min(2, len(data)), classes):
            raise ValueError(
                f"the model's logits for 2 rows are {list(shape)}, expected [2, {classes}]: one for each class"
            )
        evidence_json(one.evidence)
    return models


def evidence_json(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a defense left behind as JSON.

    Raises:
        ValueError: if a part of it is not JSON, or not finite.
    """
    found = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for name, value in evidence.items()
    }
    for name, value in found.items():
        try:
            found[name] = json.loads(json.dumps(value, allow_nan=False))  # as the cache would give it back
        except (TypeError, ValueError) as error:
            raise ValueError(f'the evidence "{name}" is not JSON, or not finite') from error
    return found


def deployed(recipe: Recipe, model: nn.Module) -> nn.Module:
    """Return the model as it is deployed: behind the inference-stage defenses of its chain, if there are any."""
    wrappers = [_wrapper(use) for use in recipe.chain if "inference" in defense_of(use).stages]
    return Deployed(model, wrappers) if wrappers else model


def _wrapper(use: Use) -> Callable[[Tensor], Tensor]:
    """Return a defense's wrapper as a function of probabilities alone, which holds nothing else of the recipe."""
    blame, params, stage = use.id, use.params, defense_of(use).stages["inference"]
    try:
        wrap = use.entry.load(stage)
    except RequestError as error:
        raise ComponentError(blame, error) from error

    def released(probabilities: Tensor) -> Tensor:
        try:
            out: Tensor = wrap(probabilities, params)
            _check_probabilities(out, probabilities)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # as in ``blamed``
            raise ComponentError(blame, error) from error
        return out

    return released


def _check_probabilities(out: Tensor, given: Tensor) -> None:
    if out.shape != given.shape:
        raise ValueError(f"its inference stage returned {list(out.shape)} for probabilities {list(given.shape)}")
    wrong = ~torch.isfinite(out).all(1) | (out < 0).any(1) | ((out.sum(1) - 1).abs() > _SUM)
    if wrong.any():
        raise ValueError(f"its inference stage returned no probabilities for {int(wrong.sum())} of {len(out)} rows")


class Deployed(nn.Module):
    """A model behind wrappers that map probabilities to probabilities; its logits are their floored logarithms."""

    def __init__(self, model: nn.Module, wrappers: Sequence[Callable[[Tensor], Tensor]]) -> None:
        """Wrap ``model``; the first wrapper is the innermost."""
        super().__init__()
        self.beneath, self._wrappers = model, tuple(wrappers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logarithms of the released probabilities ``[n, classes]``."""
        probabilities = torch.softmax(self.beneath(x), 1)
        for wrap in self._wrappers:
            probabilities = wrap(probabilities)
        return probabilities.clamp_min(_FLOOR).log()


def _through_data_stage(recipe: Recipe, data: Data, streams: Streams) -> Prepared:
    prepared = Prepared(data)
    for use in recipe.chain:
        stages = defense_of(use).stages
        if "data" in stages:
            before = prepared

            def call(before: Prepared = before, use: Use = use) -> Prepared:
                given = use.entry.load(defense_of(use).stages["data"])(before.data, use.params)
                after = given if isinstance(given, Prepared) else Prepared(given)
                checked(after.data, whose="the rows it returned")
                evidence_json(after.evidence)
                return Prepared(after.data, {**before.evidence, **after.evidence}, {**before.proof, **after.proof})

            prepared = blamed(use.id, call, streams.key)
    return prepared


def _training(recipe: Recipe, data: Data, size: int, streams: Streams) -> Training:
    component = recipe.model.entry.component
    stackable = bool(getattr(component, "stackable", False))
    training = plain_training(partial(built, recipe.model, data.schema), recipe.settings, stackable=stackable)
    if getattr(component, "trains_itself", False):
        training = replace(training, fit=fit_by_itself)
    context = TrainingContext(
        rows=size, schema=data.schema, settings=recipe.settings, chain=tuple(use.id for use in recipe.chain)
    )
    for use in recipe.chain:
        stages = defense_of(use).stages
        if "training" in stages:
            before = training

            def call(before: Training = before, use: Use = use) -> Training:
                after = use.entry.load(defense_of(use).stages["training"])(before, use.params, context)
                if not isinstance(after, Training):
                    raise TypeError(f"its training stage returned {type(after).__name__}, expected a Training")
                return after

            training = blamed(use.id, call, streams.key)
    return training


def built(use: Use, schema: DataSchema) -> nn.Module:
    """Build the architecture; whichever defense asks for it, the architecture is to blame if it cannot be built."""
    try:
        module = use.entry.load()(use.params, schema)
        if not isinstance(module, nn.Module):
            raise TypeError(f"it built {type(module).__name__}, expected a torch.nn.Module")  # noqa: TRY301
    except Exception as error:
        raise ComponentError(use.id, error) from error
    return module


def rebuilt(recipe: Recipe, schema: DataSchema) -> nn.Module:
    """Return an untrained module of the make of the recipe's models: the architecture in what its defenses put it."""
    build: Callable[[], nn.Module] = partial(built, recipe.model, schema)
    for use in remaking(recipe.chain):
        build = partial(_remade, use, build, schema)
    return build()


def _remade(use: Use, build: Callable[[], nn.Module], schema: DataSchema) -> nn.Module:
    try:
        module = use.entry.load(defense_of(use).rebuild)(build, use.params, schema)
        if not isinstance(module, nn.Module):
            raise TypeError(f"rebuild returned {type(module).__name__}, expected a torch.nn.Module")  # noqa: TRY301
    except ComponentError:
        raise
    except Exception as error:
        raise ComponentError(use.id, error) from error
    return module


def _through_model_stage(recipe: Recipe, fitted: Fitted, data: Data, streams: Streams) -> Fitted:
    for use in recipe.chain:
        stages = defense_of(use).stages
        if "model" in stages:
            before = fitted

            def call(before: Fitted = before, use: Use = use) -> Fitted:
                after: Fitted = use.entry.load(defense_of(use).stages["model"])(before, data, use.params)
                return _joined(before, after)

            fitted = blamed(use.id, call, streams.key)
    return fitted
