"""A meta-classifier of what models release of the same rows: which hypothesis's own models is a victim nearer to?

The means of own models are all that so few of them tell of so many numbers: directions of a classifier that were learnt
from their deviations would be noise.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from amulet_core.components import NoParams
from amulet_core.games.distribution import DistributionAnswer, DistributionView, Seen
from amulet_core.victims import ProbabilityOracle
from torch import Tensor
from torch.nn.functional import one_hot

_LEAST = 1e-12

Reader = Callable[[ProbabilityOracle, Tensor], Tensor]


class Means(NamedTuple):
    """What own models released: the middle of both hypotheses' means ``[k]``, and the way from first to second ``[k]``.

    ``spread`` is the mean squared distance of an own model to the mean of its hypothesis.
    """

    middle: Tensor
    way: Tensor
    spread: float


def attributions(view: DistributionView, params: NoParams) -> DistributionAnswer:  # noqa: ARG001 (so called, all of them)
    """Score a victim by its attributions of rows of both kinds alone; the threshold is 0.

    Source: arXiv:2312.04542, section 5.2, where a classifier tells attributions of models of either hypothesis apart.
    """
    return _scored(view, (contributions,))


def released_outputs(view: DistributionView, params: NoParams) -> DistributionAnswer:  # noqa: ARG001 (the same)
    """Score a victim by all it releases of rows of both kinds: predictions, and attributions if own models do.

    The two count alike: each in units of how far own models are from the mean of their hypothesis. The threshold is 0.
    """
    mine, theirs = (all(_oracle(one).explains for one in some) for some in (view.models, view.victims))
    warnings = (
        ("the victims release attributions, and the adversary's own models none: it read predictions alone",)
        if theirs and not mine
        else ()
    )
    readers = (predictions, contributions) if mine and theirs else (predictions,)
    return _scored(view, readers).model_copy(update={"warnings": warnings})


def predictions(model: ProbabilityOracle, x: Tensor) -> Tensor:
    """Return the log-probabilities ``[n, classes]``, less their mean over the classes."""
    found = model.log_probabilities(x).double()
    return found - found.mean(1, keepdim=True)


def contributions(model: ProbabilityOracle, x: Tensor) -> Tensor:
    """Return attributions ``[n, classes, features]``: for the class predicted, and in equal parts against the others.

    A row that two models put into different classes is so explained in the same terms.
    """
    classes = one_hot(model.labels(x), len(model.probabilities(x[:1])[0]))
    share = classes.double() - 1 / classes.shape[1]
    return share[:, :, None] * model.attributions(x).double().flatten(1)[:, None]


def means(released: Tensor, second: Tensor) -> Means:
    """Return the means of what own models released ``[models, k]``, by hypothesis (``second`` bool ``[models]``)."""
    first_mean, second_mean = released[~second].mean(0), released[second].mean(0)
    own = torch.where(second[:, None], second_mean, first_mean)
    spread = float(((released - own) ** 2).sum(1).mean())
    return Means((first_mean + second_mean) / 2, second_mean - first_mean, spread)


def _scored(view: DistributionView, readers: Sequence[Reader]) -> DistributionAnswer:
    x = view.x.flatten(0, 1)
    score = torch.zeros(len(view.victims), dtype=torch.float64)
    for read in readers:
        known = means(torch.stack([read(_oracle(one), x).flatten() for one in view.models]), view.second)
        # One victim at a time: its score is the same whoever is scored beside it, to the last bit.
        found = [((read(_oracle(one), x).flatten() - known.middle) * known.way).sum() for one in view.victims]
        score += torch.stack(found) / max(known.spread, _LEAST)
    return DistributionAnswer(score=score, threshold=0.0)


def _oracle(model: Seen) -> ProbabilityOracle:
    return cast("ProbabilityOracle", model)
