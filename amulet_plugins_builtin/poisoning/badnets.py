"""BadNets (Gu et al., arXiv:1708.06733): a trigger on some training rows, which are labelled as the target class."""

import torch
from torch import Tensor

from amulet_core.data import bounds
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.poisoning import BadnetsParams


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
    """Return ``x [n, ...]`` with the trigger: a patch in a corner of an image, or the first features of a row."""
    low, high = bounds(schema)
    stamp = low + params.value * (high - low)
    mask = _mask(schema, params)
    return torch.where(mask, (1 - params.blend) * x + params.blend * stamp, x)


def _mask(schema: DataSchema, params: BadnetsParams) -> Tensor:
    mask = torch.zeros(schema.shape, dtype=torch.bool)
    if schema.modality == "image":
        vertical, horizontal = params.position.split("-")
        rows = slice(0, params.size) if vertical == "top" else slice(-params.size, None)
        columns = slice(0, params.size) if horizontal == "left" else slice(-params.size, None)
        mask[..., rows, columns] = True
        return mask
    mask[: params.features] = True
    return mask
