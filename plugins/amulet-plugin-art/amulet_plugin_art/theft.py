"""Copycat: a model trained on the labels that a victim gives to the thief's own inputs (arXiv:1806.05476)."""

import math

import torch
from amulet_core.games.theft import TheftAnswer, TheftView
from amulet_core.victims import WhiteBox
from art.attacks.extraction import CopycatCNN
from art.estimators.classification import BlackBoxClassifier, PyTorchClassifier
from torch import nn

from amulet_plugin_art.asked import Floats
from amulet_plugin_art.settings import CopycatParams


def copycat(view: TheftView, params: CopycatParams) -> TheftAnswer:
    """Ask about own inputs drawn at random, as many as the budget allows, and train the architecture on the labels.

    Whatever the oracle tells of them, the likeliest class alone is learnt (section III). Training has the settings of
    the victim's but for schedules, which the toolbox knows not; by default it takes as many steps as on all own rows.

    Raises:
        TypeError: if the view has no oracle.
    """
    oracle, schema = view.model, view.data_schema
    if oracle is None or isinstance(oracle, WhiteBox):
        raise TypeError(f"art/copycat asks an oracle, and the view has {type(oracle).__name__}")

    def predict(x: Floats) -> Floats:
        answers: Floats = oracle.ask(torch.from_numpy(x)).numpy()
        return answers

    asked, classes = min(view.budget, len(view.x)), len(schema.classes)
    attack = CopycatCNN(
        BlackBoxClassifier(predict, schema.shape, classes),
        batch_size_fit=view.settings.batch_size,
        batch_size_query=asked,
        nb_epochs=_epochs(view, params, asked=asked),
        nb_stolen=asked,
    )
    model = view.architecture()
    attack.extract(view.x.numpy(), thieved_classifier=_thief(model, view))
    model.zero_grad(set_to_none=True)
    return TheftAnswer(model=model.eval())


def _thief(model: nn.Module, view: TheftView) -> PyTorchClassifier:
    settings, schema = view.settings, view.data_schema
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(weights, settings.learning_rate, weight_decay=settings.weight_decay)
        if settings.optimizer == "adam"
        else torch.optim.SGD(weights, settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay)
    )
    return PyTorchClassifier(
        model, nn.CrossEntropyLoss(), schema.shape, len(schema.classes), optimizer, device_type="cpu"
    )


def _epochs(view: TheftView, params: CopycatParams, *, asked: int) -> int:
    """Return the passes asked for; the same passes over fewer answers would be fewer steps, and look like a defense."""
    if params.epochs is not None:
        return params.epochs
    steps, each = (math.ceil(rows / view.settings.batch_size) for rows in (len(view.x), asked))
    return math.ceil(view.settings.epochs * steps / each)
