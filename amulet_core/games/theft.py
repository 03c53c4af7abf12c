"""The theft game: the adversary may ask the victim a counted number of queries, and hands back a model of its own.

It has inputs of its own (with true labels, which the control learns from), knows the architecture and the training
settings, and never sees the victim's training rows. The core asks the stolen model and the victim about the same test
rows. Some agreement needs no theft: two models trained on the same task agree on most inputs, so the agreement of an
independent model, trained on the adversary's own labels, is taken off.
"""

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.games.threats import TheftThreat
from amulet_core.oracles import BudgetOracle
from amulet_core.schema import DataSchema
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator
from amulet_core.victims import ModelOutputError, WhiteBox, logits_of


class TheftView(Artifact):
    """What the adversary gets: the victim by its access, inputs of its own, and how such models are built and trained.

    ``model`` answers at most ``budget`` queries (None for controls); a white box is the victim given away whole. The
    stolen model must be one that ``architecture()`` builds, with other weights.
    """

    model: BudgetOracle | WhiteBox | None
    budget: int
    x: Annotated[Tensor, shaped(torch.float32, "n", ...)]
    y: Annotated[Tensor, shaped(torch.int64, "n")]
    architecture: Callable[[], nn.Module]
    settings: TrainingSettings
    data_schema: DataSchema


class TheftAnswer(Artifact):
    """What it hands back: a model with logits ``[n, classes]``."""

    model: nn.Module
    warnings: tuple[str, ...] = ()


class TheftResult(Artifact):
    """The answer joined with the truth: predictions on the same test rows, for every budget.

    ``independent`` are those of the control, or none where no control can be played. ``queries`` were really asked.
    """

    budgets: tuple[int, ...]
    primary: int
    y: Annotated[Tensor, shaped(torch.int64, "m")]
    victim: Annotated[Tensor, shaped(torch.int64, "m")]
    stolen: Annotated[Tensor, shaped(torch.int64, "budgets", "m")]
    independent: Annotated[Tensor, shaped(torch.int64, "m or none")]
    queries: tuple[int, ...]
    warnings: tuple[str, ...] = ()


def own_rows(aux: Data, draws: tuple[str | int, ...]) -> Data:
    """Return the adversary's own rows in the seed's order: a smaller budget sees a part of what a larger one sees."""
    return aux.take(torch.randperm(len(aux), generator=generator(*draws, "theft")))


def asked(test: Data, threat: TheftThreat, draws: tuple[str | int, ...]) -> Data:
    """Return the test rows that a seed compares models on, the same for every defense and attack."""
    return test.take(torch.randperm(len(test), generator=generator(*draws, "theft", "test"))[: threat.rows])


def accept(view: TheftView, answer: TheftAnswer) -> TheftAnswer:
    """Return an answer whose model can be used.

    Raises:
        ValueError: if its weights, or its logits for all of ``view.x``, are not finite, or not one for each class.
        ModelOutputError: if a victim that was given away whole has no finite logits for them itself.
    """
    broken = [name for name, value in answer.model.state_dict().items() if not torch.isfinite(value).all()]
    if broken:
        raise ValueError(f"the stolen model has weights that are not finite (first: {broken[0]})")
    classes = len(view.data_schema.classes)
    try:
        shape = list(logits_of(answer.model, view.x).shape)
    except ModelOutputError as error:
        if isinstance(view.model, WhiteBox):
            logits_of(view.model.module, view.x)  # if it is no better, whoever made the victim is to blame
        raise ValueError(f"of the stolen model: {error}") from error
    if shape != [len(view.x), classes]:
        raise ValueError(
            f"the stolen model's logits for {len(view.x)} rows are {shape}, expected [{len(view.x)}, {classes}]"
        )
    return answer
