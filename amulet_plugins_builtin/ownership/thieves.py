"""The two ends of what a thief can have: the victim's own file, and nothing of the victim at all."""

import copy

import torch
from torch.nn.functional import one_hot

from amulet_core.components import NoParams
from amulet_core.games.theft import TheftAnswer, TheftView
from amulet_core.training.imitation import imitated
from amulet_core.victims import WhiteBox


def model_copy(view: TheftView, params: NoParams) -> TheftAnswer:  # noqa: ARG001 - there is nothing to set
    """Hand back a copy of the victim, as somebody does who got at its file.

    Raises:
        ValueError: if the view has no white box.
    """
    if not isinstance(view.model, WhiteBox):
        raise ValueError(f"model-copy takes a white box, and the view has {type(view.model).__name__}")  # noqa: TRY004
    return TheftAnswer(model=copy.deepcopy(view.model.module))


def independent_model(view: TheftView, params: NoParams) -> TheftAnswer:  # noqa: ARG001 - there is nothing to set
    """Train the architecture on all of the adversary's own rows, with their true labels: no victim is asked."""
    key = ("own", int(torch.randint(2**62, ())))
    labels = one_hot(view.y, len(view.data_schema.classes)).float()
    model = imitated(view.architecture, view.x, labels, view.settings, schema=view.data_schema, key=key)
    return TheftAnswer(model=model)
