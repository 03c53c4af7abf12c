"""Model extraction by asking: a model trained on a victim's answers to the thief's own inputs (arXiv:1812.02766)."""

import math

import torch
from torch import Tensor

from amulet_core.games.theft import TheftAnswer, TheftView
from amulet_core.oracles import BudgetOracle
from amulet_core.settings import TrainingSettings
from amulet_core.training.imitation import imitated
from amulet_plugins_builtin.catalogue.ownership import ModelExtractionParams
from amulet_plugins_builtin.ownership.bandit import adaptively_asked


def attack(view: TheftView, params: ModelExtractionParams) -> TheftAnswer:
    """Ask about as many own inputs as the budget allows, and train the victim's architecture on the answers.

    Answers are soft targets of the cross-entropy (section 4.2). Those of a top-k oracle are scaled to sum to one: the
    thief takes the classes that it is not told of for impossible.

    Raises:
        ValueError: if the view has no oracle.
    """
    if not isinstance(view.model, BudgetOracle):
        raise ValueError(f"model-extraction asks an oracle, and the view has {type(view.model).__name__}")  # noqa: TRY004
    # The key first: it must not depend on how much the budget lets it ask before.
    key = ("own", int(torch.randint(2**62, ())))
    x, answers = at_random(view, view.model) if params.strategy == "random" else adaptively_asked(view, params)
    settings = for_so_long(view.settings, params.epochs, answered=len(x), own=len(view.x))
    model = imitated(view.architecture, x, as_targets(answers), settings, schema=view.data_schema, key=key)
    return TheftAnswer(model=model)


def at_random(view: TheftView, oracle: BudgetOracle) -> tuple[Tensor, Tensor]:
    """Ask about the first of the own inputs, which come shuffled; return them and the answers ``[n, classes]``."""
    x = view.x[: view.budget]
    return x, oracle.ask(x)


def as_targets(answers: Tensor) -> Tensor:
    """Return answers ``[n, classes]`` with each row scaled to sum to one."""
    return answers / answers.sum(1, keepdim=True)


def for_so_long(settings: TrainingSettings, epochs: int | None, *, answered: int, own: int) -> TrainingSettings:
    """Return the settings with the epochs asked for; by default those that take as many steps as on all own rows.

    The same epochs on fewer answers would be fewer steps: small budgets would look safe for want of training.
    """
    if epochs is not None:
        return settings.model_copy(update={"epochs": epochs})
    steps, each = (math.ceil(rows / settings.batch_size) for rows in (own, answered))
    return settings.model_copy(update={"epochs": math.ceil(settings.epochs * steps / each)})
