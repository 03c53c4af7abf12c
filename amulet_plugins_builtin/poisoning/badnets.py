"""BadNets (Gu et al., arXiv:1708.06733): a trigger on some training rows, which are labelled as the target class."""

import torch
from torch import Tensor

from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.poisoning import BadnetsParams
from amulet_plugins_builtin.poisoning.choices import table_trigger
from amulet_plugins_builtin.poisoning.triggers import at_level, written


def attack(view: PoisoningView, params: BadnetsParams) -> PoisoningAnswer:
    """Stamp the trigger on random rows of other classes, as many as the budget allows, and label them as the target."""
    others = (view.y != view.target).nonzero()[:, 0]
    rows = others[torch.randperm(len(others))[: view.budget]]
    return PoisoningAnswer(
        rows=rows,
        x=triggered(view.x[rows], view.data_schema, params),
        y=torch.full((len(rows),), view.target),
        triggered=triggered(view.test_x, view.data_schema, params),
    )


def triggered(x: Tensor, schema: DataSchema, params: BadnetsParams) -> Tensor:
    """Return ``x [n, ...]`` with the trigger: a patch in a corner of an image, or some features of a row."""
    pattern, where = _patch(schema, params) if schema.modality == "image" else _features(schema, params)
    return written(x, pattern, where, schema, blend=params.blend)


def _patch(schema: DataSchema, params: BadnetsParams) -> tuple[Tensor, Tensor]:
    vertical, horizontal = params.position.split("-")
    rows = slice(0, params.size) if vertical == "top" else slice(-params.size, None)
    columns = slice(0, params.size) if horizontal == "left" else slice(-params.size, None)
    where = torch.zeros(schema.shape, dtype=torch.bool)
    where[..., rows, columns] = True
    return at_level(schema, params.value), where


def _features(schema: DataSchema, params: BadnetsParams) -> tuple[Tensor, Tensor]:
    trigger = table_trigger(schema, count=params.features, names=params.names, values=params.values, level=params.value)
    pattern, where = torch.zeros(schema.width), torch.zeros(schema.width, dtype=torch.bool)
    for index, value in trigger.items():
        pattern[index], where[index] = value, True
    return pattern.reshape(schema.shape), where.reshape(schema.shape)
