"""The two attacks that ask nothing but how often a model is right on rows of either kind (arXiv:2109.06024)."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.distribution import DistributionAnswer, DistributionView, Seen
from amulet_core.victims import LabelOracle


def loss_test(view: DistributionView, params: NoParams) -> DistributionAnswer:  # noqa: ARG001 (every attack is called so)
    """Score a victim by how much more accurate it is on rows with the second share than with the first; threshold 0.

    A model does better on rows like its training rows. Source: arXiv:2109.06024, the loss test, with the 0-1 loss.
    """
    right = accuracies(view, view.victims)
    return DistributionAnswer(score=right[:, 1] - right[:, 0], threshold=0.0)


def threshold_test(view: DistributionView, params: NoParams) -> DistributionAnswer:  # noqa: ARG001 (the same)
    """Score a victim by its accuracy on one kind of rows, and call it by a threshold; own models choose both.

    One kind of rows may be harder for every model, which the loss test minds and this does not. Of the two kinds, that
    one is used on which the own models' mean accuracies under the two hypotheses differ more; the score has the sign
    that puts the second hypothesis higher. Source: arXiv:2109.06024, the threshold test.
    """
    own = accuracies(view, view.models)
    gaps = own[view.second].mean(0) - own[~view.second].mean(0)
    kind = int(gaps.abs().argmax())
    sign = -1.0 if gaps[kind] < 0 else 1.0
    score = sign * accuracies(view, view.victims)[:, kind]
    return DistributionAnswer(score=score, threshold=best_threshold(sign * own[:, kind], view.second))


def accuracies(view: DistributionView, models: Sequence[Seen]) -> Tensor:
    """Return each model's share of right classes on the rows of either kind, float64 ``[models, 2]``."""
    x = view.x.flatten(0, 1)
    labels = torch.stack([cast("LabelOracle", model).labels(x) for model in models])
    return (labels.view(len(models), *view.y.shape) == view.y).double().mean(2)


def best_threshold(score: Tensor, second: Tensor) -> float:
    """Return the threshold that calls most models right, midway between two scores (the lowest of equally good ones).

    ``score`` ``[models]``; ``second`` bool ``[models]``. At or above it, the second hypothesis is called. Where all
    scores are equal it is the score itself, and all are called second.
    """
    ordered = score.unique()
    middles = torch.cat([ordered[:1], (ordered[1:] + ordered[:-1]) / 2])
    right = ((score >= middles[:, None]) == second).sum(1)
    return float(middles[right.argmax()])
