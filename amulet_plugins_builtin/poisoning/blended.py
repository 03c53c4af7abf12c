"""Blended injection (Chen et al., arXiv:1712.05526, section 4.2): a fixed random pattern mixed into whole images."""

import torch

from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_plugins_builtin.catalogue.poisoning import BlendedParams
from amulet_plugins_builtin.poisoning.triggers import at_level, written


def attack(view: PoisoningView, params: BlendedParams) -> PoisoningAnswer:
    """Mix one random pattern into random rows of other classes and label them as the target, within the budget.

    Every pixel of the pattern is uniform on the pixel's range. Test inputs may get more of the pattern than training
    rows do: what a person would notice in the training data need not be hidden later.
    """
    schema = view.data_schema
    pattern, everywhere = at_level(schema, torch.rand(schema.shape)), torch.ones(schema.shape, dtype=torch.bool)
    others = (view.y != view.target).nonzero()[:, 0]
    rows = others[torch.randperm(len(others))[: view.budget]]
    return PoisoningAnswer(
        rows=rows,
        x=written(view.x[rows], pattern, everywhere, schema, blend=params.blend),
        y=torch.full((len(rows),), view.target),
        triggered=written(view.test_x, pattern, everywhere, schema, blend=params.test_blend or params.blend),
    )
