"""Explanations that a defense has its model release beside predictions: what it is asked, and how it is called."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from amulet_core.configuration.request import Use, defense_of
from amulet_core.errors import ComponentError, RequestError
from amulet_core.performing.recipes import blamed, deployed
from amulet_core.planning.jobs import Recipe
from amulet_core.schema import DataSchema
from amulet_core.victims import Explain, logits_of


@dataclass(frozen=True)
class Question:
    """What an explaining defense is asked: why does ``model`` give these inputs these classes?

    ``model`` is the trained module beneath all wrappers, in eval mode, whose parameters want no gradients; it is to be
    left as it is. ``x`` float32 ``[n, ...]``; ``classes`` int64 ``[n]`` are those that the deployed model predicts,
    never the true ones.
    """

    model: nn.Module
    x: Tensor
    classes: Tensor
    data_schema: DataSchema


def explainer(recipe: Recipe, model: nn.Module, schema: DataSchema) -> Explain | None:
    """Return what a recipe's model releases of inputs beside predictions; None where no defense of it explains.

    Whatever an explanation draws is drawn from the same stream for every call: rows that are asked about again are
    explained in the same way, whatever was asked in between.

    Raises:
        ComponentError: blaming the defense, if it cannot be imported; the function raises it where the defense fails.
    """
    explaining = [use for use in recipe.chain if defense_of(use).explain]
    if not explaining:
        return None
    (use,) = explaining  # of several, the request says that they cannot stand together
    beneath = copy.deepcopy(model).eval().requires_grad_(False)
    # No part of the recipe, but what the defense is: an attack that has the function has no more than the interface.
    blame, params, explain, released = use.id, use.params, _target(use), deployed(recipe, beneath)

    def explained(x: Tensor) -> Tensor:
        question = Question(beneath, x, logits_of(released, x).argmax(1), schema)
        found: Tensor = blamed(blame, lambda: _checked(explain(question, params), x), ("explanations",))
        return found

    return explained


def _target(use: Use) -> Callable[[Question, Any], Tensor]:
    try:
        explain: Callable[[Question, Any], Tensor] = use.entry.load(defense_of(use).explain)
    except RequestError as error:
        raise ComponentError(use.id, error) from error
    return explain


def _checked(out: Tensor, x: Tensor) -> Tensor:
    if out.shape != x.shape:
        raise ValueError(f"its explanations are {list(out.shape)} for inputs {list(x.shape)}, expected the same shape")
    wrong = ~torch.isfinite(out).flatten(1).all(1)
    if wrong.any():
        raise ValueError(f"its explanations are not finite for {int(wrong.sum())} of {len(x)} inputs")
    return out.detach().to(x.dtype)
