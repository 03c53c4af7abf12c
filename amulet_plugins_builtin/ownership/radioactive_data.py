"""Radioactive data (Sablayrolles et al., arXiv:2002.00937): rows moved a little; who trains on them shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import normalize

from amulet_core.data import Data
from amulet_core.feasible import mutable, projection, span
from amulet_core.games.verification import VerificationAnswer, VerificationView
from amulet_core.modules import Classifier
from amulet_core.schema import Frozen
from amulet_core.training.values import Fitted, Streams, Training, TrainingContext
from amulet_core.victims import ProbabilityOracle
from amulet_plugins_builtin.catalogue.ownership_defenses import RadioactiveDataParams
from amulet_plugins_builtin.poisoning.removal import hidden

_NAME: Final = "radioactive-data"
_PIXELS: Final = 0.0005
_FEATURES: Final = 0.01
"""What a unit of distance costs, in inputs and in features (the paper's lambda_1 and lambda_2, section 4.1)."""
_BATCH: Final = 1024


class RowsMarked(Frozen):
    """Evidence: of how many training rows how many are marked, and how far their features moved along the mark."""

    rows: int
    marked: int
    moved: float


@dataclass(frozen=True)
class Marks:
    """Rows before and after they were marked, ``[k, ...]``, with their labels and positions ``[k]``."""

    plain: Tensor
    marked: Tensor
    y: Tensor
    at: Tensor


def train(training: Training, params: RadioactiveDataParams, context: TrainingContext) -> Training:  # noqa: ARG001 - every training stage is called so
    """Return training of a first model, whose features marks are made in, and of one from scratch on the marked rows.

    The first model is trained in the same way, by streams of its own: a mark that shows only in models with the first
    one's initial weights would show in no thief's.

    Raises:
        ValueError: when fitting, if the architecture does not show its hidden features.
    """
    fit = training.fit

    def fit_marked(
        training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
    ) -> list[Fitted]:
        firsts = fit(training, rows, val, [Streams((*own.key, _NAME)) for own in streams])
        markers = [hidden(first.model, whose=_NAME) for first in firsts]
        draws = [own.generator(_NAME) for own in streams]
        marks = [marked(*one, params) for one in zip(markers, rows, draws, strict=True)]
        fitted = fit(training, [_with(data, own) for data, own in zip(rows, marks, strict=True)], val, streams)
        return [_proven(*one) for one in zip(fitted, markers, rows, marks, strict=True)]

    return replace(training, fit=fit_marked)


def marked(model: Classifier, rows: Data, draws: torch.Generator, params: RadioactiveDataParams) -> Marks:
    """Mark a random ``share`` of the rows, each along the random direction of its class, within the budget.

    Section 4.1: minimise ``-(phi(x') - phi(x)) . u + lambda_1 |x' - x| + lambda_2 |phi(x') - phi(x)|``, here by signed
    gradient steps (the loss has another scale in every network), over inputs that are possible.
    """
    at = torch.randperm(len(rows), generator=draws)[: int(params.share * len(rows) + 1e-9)].sort().values
    directions = carriers(len(rows.schema.classes), model.head.in_features, draws)
    some = rows.take(at)
    parts = zip(some.x.split(_BATCH), directions[some.y].split(_BATCH), strict=True)
    moved = [_moved(model, x, direction, some, params) for x, direction in parts]
    return Marks(plain=some.x, marked=torch.cat([some.x[:0], *moved]), y=some.y, at=at)


def carriers(classes: int, width: int, draws: torch.Generator) -> Tensor:
    """Return a direction for each class, uniform on the unit sphere of the features, ``[classes, width]``."""
    return normalize(torch.randn(classes, width, generator=draws), dim=1)


def _moved(model: Classifier, x: Tensor, direction: Tensor, rows: Data, params: RadioactiveDataParams) -> Tensor:
    near = projection(rows.schema, norm="linf", epsilon=params.epsilon, integers=False)
    possible = projection(rows.schema, norm="linf", epsilon=params.epsilon)
    width = span(rows.schema)
    stride = 2.5 * params.epsilon / params.steps * width * mutable(rows.schema, norm="linf", epsilon=params.epsilon)
    with torch.no_grad():
        before = model.features(x)
    now = x
    for _ in range(params.steps):
        probe = now.detach().requires_grad_()
        with torch.enable_grad():
            drift = model.features(probe) - before
            cost = _PIXELS * vector_norm(((probe - x) / width).flatten(1), dim=1) + _FEATURES * vector_norm(
                drift, dim=1
            )
            (slope,) = torch.autograd.grad((cost - (drift * direction).sum(1)).sum(), probe)
        now = near(now - stride * slope.sign(), x)
    return possible(now, x)


def _with(data: Data, marks: Marks) -> Data:
    x = data.x.clone()
    x[marks.at] = marks.marked
    return replace(data, x=x)


def _proven(fitted: Fitted, marker: Classifier, rows: Data, marks: Marks) -> Fitted:
    with torch.no_grad():
        drift = marker.features(marks.marked) - marker.features(marks.plain)
    moved = float(vector_norm(drift, dim=1).mean()) if len(marks.at) else 0.0
    found = RowsMarked(rows=len(rows), marked=len(marks.at), moved=moved)
    proof = {f"{_NAME}/{name}": getattr(marks, name) for name in ("plain", "marked", "y")}
    return replace(fitted, evidence={**fitted.evidence, _NAME: found}, proof={**fitted.proof, **proof})


def verify(view: VerificationView, params: RadioactiveDataParams) -> VerificationAnswer:  # noqa: ARG001 - all is in the proof
    """Score each suspect by how much lower its mean loss is on the marked rows than on the same rows unmarked.

    Section 5.4, the test without access to features. It has no p-value of its own: marked rows may be easier, or
    harder, for any model, so only independent models tell which difference is large.
    """
    plain, marked, y = (view.proof[f"{_NAME}/{name}"] for name in ("plain", "marked", "y"))
    gains = [_loss(suspect, plain, y) - _loss(suspect, marked, y) for suspect in view.suspects]
    return VerificationAnswer(score=torch.tensor(gains, dtype=torch.float64))


def _loss(suspect: object, x: Tensor, y: Tensor) -> float:
    if not isinstance(suspect, ProbabilityOracle):
        raise TypeError(f"{_NAME} asks suspects for probabilities, and {type(suspect).__name__} tells none")
    return float(nn.functional.nll_loss(suspect.log_probabilities(x).double(), y))
