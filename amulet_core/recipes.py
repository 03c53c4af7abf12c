"""From a recipe to trained models: data defenses, training with its defenses, model defenses, the deployed model."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from amulet_core.data import Data, checked
from amulet_core.jobs import Recipe
from amulet_core.request import Use, defense_of
from amulet_core.streams import isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Fitted, Streams, Training, TrainingContext
from amulet_core.victims import ModelOutputError

_FLOOR = 1e-12


class ComponentError(RuntimeError):
    """A component raised, or handed back what it must not; ``blame`` is its id."""

    def __init__(self, blame: str, cause: BaseException) -> None:
        """Blame a component for ``cause``."""
        super().__init__(f"{blame}: {type(cause).__name__}: {cause}")
        self.blame, self.cause = blame, cause


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
    """Return who is to blame for a model's weights: the last defense of its chain, else the architecture."""
    return recipe.chain[-1].id if recipe.chain else recipe.model.id


def fit_recipe(recipe: Recipe, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]) -> list[Fitted]:
    """Train one model on each of ``rows`` by the recipe.

    Raises:
        ComponentError: blaming the defense, or the architecture, at fault.
    """
    cleaned = [_through_data_stage(recipe, data, own) for data, own in zip(rows, streams, strict=True)]
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, data in enumerate(cleaned):
        by_size[len(data)].append(index)
    fitted: dict[int, Fitted] = {}
    for size, group in by_size.items():
        kept, held, own = [cleaned[i] for i in group], [val[i] for i in group], [streams[i] for i in group]
        training = _training(recipe, kept[0], size, own[0])
        models = blamed(maker_of(recipe), partial(training.fit, training, kept, held, own), (*own[0].key, "fit"))
        fitted |= dict(zip(group, models, strict=True))
    return [
        _through_model_stage(recipe, fitted[index], data, own)
        for index, (data, own) in enumerate(zip(cleaned, streams, strict=True))
    ]


def deployed(recipe: Recipe, model: nn.Module) -> nn.Module:
    """Return the model as it is deployed: behind the inference-stage defenses of its chain, if there are any."""
    wrappers = [
        partial(_wrapped, use.entry.load(defense_of(use).stages["inference"]), use)
        for use in recipe.chain
        if "inference" in defense_of(use).stages
    ]
    return Deployed(model, wrappers) if wrappers else model


def _wrapped(wrap: Callable[[Tensor, Any], Tensor], use: Use, probabilities: Tensor) -> Tensor:
    return wrap(probabilities, use.params)


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


def _through_data_stage(recipe: Recipe, data: Data, streams: Streams) -> Data:
    for use in recipe.chain:
        stages = defense_of(use).stages
        if "data" in stages:
            clean = use.entry.load(stages["data"])
            before = data

            def call(clean: Any = clean, before: Data = before, use: Use = use) -> Data:
                return checked(clean(before, use.params), whose="the rows it returned")

            data = blamed(use.id, call, streams.key)
    return data


def _training(recipe: Recipe, data: Data, size: int, streams: Streams) -> Training:
    build = recipe.model.entry.load()
    stackable = bool(getattr(recipe.model.entry.component, "stackable", False))
    training = plain_training(lambda: build(recipe.model.params, data.schema), recipe.settings, stackable=stackable)
    context = TrainingContext(
        rows=size, schema=data.schema, settings=recipe.settings, chain=tuple(use.id for use in recipe.chain)
    )
    for use in recipe.chain:
        stages = defense_of(use).stages
        if "training" in stages:
            transform, before = use.entry.load(stages["training"]), training

            def call(transform: Any = transform, before: Training = before, use: Use = use) -> Training:
                after = transform(before, use.params, context)
                if not isinstance(after, Training):
                    raise TypeError(f"its training stage returned {type(after).__name__}, expected a Training")
                return after

            training = blamed(use.id, call, streams.key)
    return training


def _through_model_stage(recipe: Recipe, fitted: Fitted, data: Data, streams: Streams) -> Fitted:
    for use in recipe.chain:
        stages = defense_of(use).stages
        if "model" in stages:
            change, before = use.entry.load(stages["model"]), fitted

            def call(change: Any = change, before: Fitted = before, use: Use = use) -> Fitted:
                after: Fitted = change(before, data, use.params)
                return replace(after, evidence={**before.evidence, **after.evidence})

            fitted = blamed(use.id, call, streams.key)
    return fitted
