"""What fitted classifiers answer, computed from their tensors: the logits of the classes that they were fitted to.

``tensors`` are those of ``estimator_fits``; ``x`` is float64 ``[n, width]``; every answer is float64 ``[n, k]``.
"""

from collections.abc import Callable, Mapping
from math import log
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LOWEST: Final = log(torch.finfo(torch.float32).tiny)
"""The logarithm that stands for that of a probability of 0."""


def _forest(tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the logarithm of the mean over the trees of the class shares of a row's leaf (Breiman 2001)."""
    return _log(tensors["value"][_leaves(tensors, x)].mean(1))


def _boosting(tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the sum of the trees' steps, one tree a class and stage, or one a stage for two (Friedman 2001)."""
    start = tensors["start"]
    steps = tensors["value"][_leaves(tensors, x), 0].reshape(len(x), -1, len(start)).sum(1)
    return _of_two(start + tensors["rate"] * steps)


def _leaves(tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the node ``[n, trees]`` at which each row ends."""
    node = tensors["roots"].expand(len(x), -1)
    for _ in range(int(tensors["depth"])):
        left = x.gather(1, tensors["feature"][node]) <= tensors["threshold"][node]
        node = torch.where(left, tensors["left"][node], tensors["right"][node])
    return node


def _logistic(tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    return _of_two(x @ tensors["weight"].T + tensors["bias"])


def _svm(tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return log-probabilities of the margins of each class over the others (Platt 1999)."""
    kernel = (-tensors["gamma"] * _distances(x, tensors["support"]).square()).exp()
    margins = kernel @ tensors["pairs"].T + tensors["bias"]
    classes = len(tensors["classes"])
    logit = -(tensors["slope"] * (margins if classes == 2 else _one_over_all(margins, classes)) + tensors["offset"])
    return _of_two(logit) if classes == 2 else _log_shares(logsigmoid(logit))


def _one_over_all(margins: Tensor, classes: int) -> Tensor:
    """Return for each class its wins over other classes, plus less than 1/3 for their margins, ``[n, classes]``.

    It is scikit-learn's ``decision_function_shape="ovr"``: ties of votes are broken by the sums of margins.
    """
    wins, sums = margins.new_zeros(len(margins), classes), margins.new_zeros(len(margins), classes)
    pairs = [(one, other) for one in range(classes) for other in range(one + 1, classes)]
    for (one, other), margin in zip(pairs, margins.T, strict=True):
        sums[:, one] += margin
        sums[:, other] -= margin
        wins[:, one] += margin >= 0
        wins[:, other] += margin < 0
    return wins + sums / (3 * (sums.abs() + 1))


def _neighbours(tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the logarithm of each class' weighted share of the nearest rows; the first of equals is nearer."""
    order = _distances(x, tensors["rows"]).sort(dim=1, stable=True).indices
    votes = tensors["votes"][order[:, : int(tensors["neighbours"])]].sum(1)
    return _log(votes / votes.sum(1, keepdim=True))


def _distances(x: Tensor, other: Tensor) -> Tensor:
    """Return Euclidean distances ``[n, m]``, without the rounding that a product of matrices would bring."""
    return torch.cdist(x, other, compute_mode="donot_use_mm_for_euclid_dist")


def _of_two(logits: Tensor) -> Tensor:
    """Return two logits for a single one, which is that of the second class."""
    return logits if logits.shape[1] > 1 else torch.cat([torch.zeros_like(logits), logits], 1)


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.log().clamp_min(LOWEST)


def _log_shares(logs: Tensor) -> Tensor:
    return logs - logs.logsumexp(1, keepdim=True)


ANSWERS: Final[Mapping[str, Callable[[Mapping[str, Tensor], Tensor], Tensor]]] = {
    "random-forest": _forest,
    "gradient-boosting": _boosting,
    "logistic-regression": _logistic,
    "svm-rbf": _svm,
    "knn": _neighbours,
}
"""From an estimator's name to its answer."""
