"""Label flipping (Biggio et al. 2011): the labels of some training rows are changed, and nothing else."""

import torch
from torch import Tensor

from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_plugins_builtin.catalogue.poisoning import LabelFlipParams, source_is_target


def attack(view: PoisoningView, params: LabelFlipParams) -> PoisoningAnswer:
    """Flip the labels of random rows: to any other class, or from the source class to the target.

    Raises:
        ValueError: if the source class is the target.
    """
    eligible = _eligible(view, params)
    rows = eligible[torch.randperm(len(eligible))[: view.budget]]
    return PoisoningAnswer(
        rows=rows,
        x=view.x[rows],
        y=_flipped(view, rows, params),
        triggered=view.test_x[:0],
        targeted=params.mode == "targeted",
        source=view.data_schema.classes.index(params.source) if params.source else None,
    )


def _eligible(view: PoisoningView, params: LabelFlipParams) -> Tensor:
    if params.mode == "random":
        return torch.arange(len(view.y))
    if not params.source:
        return (view.y != view.target).nonzero()[:, 0]
    source = view.data_schema.classes.index(params.source)
    if source == view.target:
        raise ValueError(f"label-flip: {source_is_target(params.source)}")
    return (view.y == source).nonzero()[:, 0]


def _flipped(view: PoisoningView, rows: Tensor, params: LabelFlipParams) -> Tensor:
    if params.mode == "targeted":
        return torch.full((len(rows),), view.target)
    classes = len(view.data_schema.classes)
    return (view.y[rows] + torch.randint(1, classes, (len(rows),))) % classes
