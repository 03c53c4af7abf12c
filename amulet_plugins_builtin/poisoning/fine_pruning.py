"""Fine-pruning (Liu et al., arXiv:1805.12185): without the units that clean rows do not need, tuned on clean rows."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.modules import Classifier
from amulet_core.schema import Frozen
from amulet_core.training.fit import fit_by_steps
from amulet_core.training.parts import MeanGradient, ShuffledBatches
from amulet_core.training.values import Batch, Fitted, Problem, Step, Streams, Training, TrainingContext
from amulet_plugins_builtin.catalogue.poisoning_defenses import FinePruningParams
from amulet_plugins_builtin.poisoning.removal import activations, hidden

_NAME: Final = "fine-pruning"
_HEAD: Final = "parts.model.head.weight"


class UnitsPruned(Frozen):
    """Evidence: how many units the last hidden layer has, how many are pruned, and the balanced accuracy on ``val``."""

    units: int
    pruned: int
    accuracy: float
    accuracy_pruned: float
    accuracy_tuned: float


def train(training: Training, params: FinePruningParams, context: TrainingContext) -> Training:  # noqa: ARG001 - every training stage is called so
    """Return training whose models are pruned and fine-tuned on the defender's clean ``val`` rows.

    Units of the last hidden layer go in the order of their mean activation, least first, as long as balanced accuracy
    on ``val`` (the paper's accuracy would let a constant model pass, where one class is frequent) falls by no more than
    ``accuracy_drop``; their weights in the head are zero from then on. Tuning keeps the objective
    of the chain (adversarial examples, say), and takes plain steps: ``val`` holds no training rows.

    Raises:
        ValueError: when fitting, if there are no validation rows or the architecture does not show its hidden features.
    """
    fit = training.fit

    def fit_and_prune(
        training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
    ) -> list[Fitted]:
        if any(not len(held) for held in val):
            raise ValueError(f"{_NAME} prunes by validation rows, and there are none: set data.val to 100 or so")
        fitted = fit(training, rows, val, streams)
        return [_pruned(training, one, held, own, params) for one, held, own in zip(fitted, val, streams, strict=True)]

    return replace(training, fit=fit_and_prune)


def idle_units(model: Classifier, val: Data, *, accuracy_drop: float) -> Tensor:
    """Return the units to prune, int64 ``[k]``: as many of the least active as balanced accuracy on ``val`` allows."""
    seen = activations(model, val.x, whose=_NAME)
    order = seen.abs().mean(0).argsort(stable=True)
    weight, bias = model.head.weight.double(), model.head.bias.double()
    logits = seen @ weight.T + bias
    least = _accuracy(logits, val.y) - accuracy_drop
    count = 0
    for unit in order:
        logits = logits - seen[:, unit, None] * weight[:, unit]
        if _accuracy(logits, val.y) < least - 1e-12:
            break
        count += 1
    return order[:count]


@dataclass(frozen=True)
class Masked:
    """The gradients of a rule but for pruned weights of the head: these stay where they are, at zero."""

    rule: MeanGradient
    units: Tensor

    @property
    def stackable(self) -> bool:
        """Say that every model has units of its own."""
        return False

    def start(self, problem: Problem) -> Step:
        """Return the rule's step, masked."""
        step = self.rule.start(problem)

        def masked(batch: Batch) -> dict[str, Tensor]:
            gradients = step(batch)
            gradients[_HEAD] = gradients[_HEAD].index_fill(-1, self.units, 0.0)
            return gradients

        return masked


def _pruned(training: Training, fitted: Fitted, val: Data, streams: Streams, params: FinePruningParams) -> Fitted:
    model = copy.deepcopy(hidden(fitted.model, whose=_NAME))
    units = idle_units(model, val, accuracy_drop=params.accuracy_drop)
    before = _accuracy(_logits(model, val), val.y)
    with torch.no_grad():
        model.head.weight.index_fill_(1, units, 0.0)
    between = _accuracy(_logits(model, val), val.y)
    tuned = _tuned(training, model, val, streams, units, params) if params.epochs else model
    found = UnitsPruned(
        units=model.head.in_features,
        pruned=len(units),
        accuracy=before,
        accuracy_pruned=between,
        accuracy_tuned=_accuracy(_logits(tuned, val), val.y),
    )
    return Fitted(tuned, {**fitted.evidence, _NAME: found})


def _tuned(
    training: Training, model: Classifier, val: Data, streams: Streams, units: Tensor, params: FinePruningParams
) -> nn.Module:
    settings = training.settings.model_copy(
        update={
            "epochs": params.epochs,
            "learning_rate": params.learning_rate or training.settings.learning_rate,
            "patience": 0,
        }
    )
    start = copy.deepcopy(model).requires_grad_(requires_grad=True)
    tuning = replace(
        training,
        parts={**training.parts, "model": lambda: start},
        settings=settings,
        sampler=ShuffledBatches(settings.batch_size),
        gradient=Masked(MeanGradient(), units),
        evidence={},
    )
    (tuned,) = fit_by_steps(tuning, [val], [val], [Streams((*streams.key, _NAME))])
    return tuned.model


def _logits(model: nn.Module, val: Data) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(val.x)
    return logits


def _accuracy(logits: Tensor, y: Tensor) -> float:
    """Return the mean over the classes that there are of the share of their rows that is right."""
    right = (logits.argmax(1) == y).double()
    return float(torch.stack([right[y == label].mean() for label in y.unique()]).mean())
