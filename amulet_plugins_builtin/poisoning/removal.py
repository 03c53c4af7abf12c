"""What the defenses that remove training rows share: training on the rest, and the evidence of what was removed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.modules import Classifier
from amulet_core.schema import Frozen
from amulet_core.training.values import Fit, Fitted, Streams, Training
from amulet_core.victims import logits_of


class RowsRemoved(Frozen):
    """Evidence: of how many training rows how many were removed, by their label (nobody knows which are poisoned)."""

    rows: int
    removed: int
    by_class: Mapping[str, int]


Suspects = Callable[[Data, Data], Tensor]
"""``suspects(rows, validation rows) -> positions [k]`` of the training rows to remove."""

SuspectsOfModel = Callable[[nn.Module, Data, Streams], Tensor]
"""``suspects(first model, rows, streams) -> positions [k]`` of the training rows to remove.

What it draws comes from the model's own ``streams``, so that neither a stack nor other defenses change it.
"""


def without(fit: Fit, suspects: Suspects, *, evidence: str) -> Fit:
    """Return ``fit`` on what is left of every model's rows; what it sees of ``val`` stays whole."""

    def fit_rest(
        training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
    ) -> list[Fitted]:
        removed = [suspects(data, held) for data, held in zip(rows, val, strict=True)]
        return _refitted(fit, training, rows, val, streams, removed, evidence)

    return fit_rest


def without_suspects_of(fit: Fit, suspects: SuspectsOfModel, *, evidence: str) -> Fit:
    """Return ``fit`` twice: first models on all rows, then new ones from scratch on what these leave.

    First models have streams of their own. With the second ones', both would be trained with the same gradient noise
    beside a privacy account, which whoever knows a part of one could take from the other.
    """

    def fit_twice(
        training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
    ) -> list[Fitted]:
        firsts = fit(training, rows, val, [Streams((*own.key, evidence, "first")) for own in streams])
        removed = [suspects(one.model, data, own) for one, data, own in zip(firsts, rows, streams, strict=True)]
        return _refitted(fit, training, rows, val, streams, removed, evidence)

    return fit_twice


def activations(model: nn.Module, x: Tensor, *, whose: str) -> Tensor:
    """Return the last hidden layer of ``model`` on ``x``, float64 ``[n, h]``.

    Raises:
        ValueError: if the architecture does not show its hidden features.
    """
    return logits_of(_Features(hidden(model, whose=whose)), x).double()


def hidden(model: nn.Module, *, whose: str) -> Classifier:
    """Return a model as one that shows its hidden features, or raise a ValueError on behalf of ``whose``."""
    if isinstance(model, Classifier):
        return model
    raise ValueError(
        f"{whose} needs an architecture that shows its hidden features (amulet_core.modules.Classifier), and "
        f"{type(model).__name__} does not: choose another model, such as mlp or cnn"
    )


class _Features(nn.Module):
    """The hidden features of a classifier, as a module of their own."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, x: Tensor) -> Tensor:
        return self.model.features(x)


def _refitted(
    fit: Fit,
    training: Training,
    rows: Sequence[Data],
    val: Sequence[Data],
    streams: Sequence[Streams],
    removed: Sequence[Tensor],
    evidence: str,
) -> list[Fitted]:
    kept = [_rest(data, positions) for data, positions in zip(rows, removed, strict=True)]
    fitted = fit(training, kept, val, streams)
    return [
        replace(one, evidence={**one.evidence, evidence: _removed(data, positions)})
        for one, data, positions in zip(fitted, rows, removed, strict=True)
    ]


def _rest(data: Data, positions: Tensor) -> Data:
    keep = torch.ones(len(data), dtype=torch.bool)
    keep[positions] = False
    return data.take(keep)


def _removed(data: Data, positions: Tensor) -> RowsRemoved:
    counts = torch.bincount(data.y[positions], minlength=len(data.schema.classes)).tolist()
    return RowsRemoved(
        rows=len(data), removed=len(positions), by_class=dict(zip(data.schema.classes, counts, strict=True))
    )
