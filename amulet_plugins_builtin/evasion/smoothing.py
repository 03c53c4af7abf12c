"""Randomized smoothing (Cohen et al., arXiv:1902.02918): train on noisy rows, answer by the mean over noise, certify.

What is certified is what answers: the class of the largest mean probability, not that of most votes. All lengths are in
units of the features' ranges; features that cannot change get no noise.
"""

import dataclasses
from collections.abc import Callable, Iterator
from math import sqrt

import torch
from scipy import special
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from amulet_core.data import Data
from amulet_core.feasible import mutable, span
from amulet_core.games.evasion import CertificateQuestion
from amulet_core.schema import DataSchema
from amulet_core.training.values import Batch, Call, Draw, Fitted, Training, TrainingContext
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.robust_training import SmoothingParams

NOISE = Draw("smoothing noise", "normal")
_INPUTS = 16_384
"""How many noisy rows go through a network at once."""


def train(training: Training, params: SmoothingParams, context: TrainingContext) -> Training:
    """Return the training that sees each row under Gaussian noise, new in each step (section 3.3)."""
    objective, scale = training.objective, params.sigma * noisy(context.schema)
    draws = training.draws if NOISE in training.draws else (*training.draws, NOISE)

    def augmented(call: Call, frozen: Call, batch: Batch) -> Tensor:
        return objective(call, frozen, batch._replace(x=batch.x + scale * batch.draws[NOISE.name]))

    return dataclasses.replace(training, objective=augmented, draws=draws)


def noisy(schema: DataSchema) -> Tensor:
    """Return the range of each feature that gets noise, 0 for the others, ``schema.shape``.

    Immutable features and one-hot groups get none: a budget that reaches another value of a group is not certified.
    """
    return span(schema) * mutable(schema)


class Smoothed(nn.Module):
    """A network whose probabilities are those of ``base``, averaged over fixed draws of noise.

    Fixed draws make it a function, which attacks can differentiate: they attack the expectation, not one draw.
    """

    noise: Tensor

    def __init__(self, base: nn.Module, noise: Tensor) -> None:
        """Smooth ``base`` by ``noise [draws, *shape]``, in the units of its inputs."""
        super().__init__()
        self.base = base
        self.register_buffer("noise", noise)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logarithms of the mean probabilities ``[n, classes]`` of inputs ``[n, *shape]``."""
        some = max(1, _INPUTS // max(1, len(x)))
        parts = [self._log_probabilities(x, noise) for noise in self.noise.split(some)]
        return torch.cat(parts).logsumexp(0) - torch.tensor(len(self.noise)).log()

    def _log_probabilities(self, x: Tensor, noise: Tensor) -> Tensor:
        logits = self.base((x + noise[:, None]).flatten(0, 1))
        one_each: Tensor = log_softmax(logits, -1).unflatten(0, (len(noise), len(x)))
        return one_each


def smooth(fitted: Fitted, data: Data, params: SmoothingParams) -> Fitted:
    """Return the model smoothed by draws of its own."""
    noise = params.sigma * noisy(data.schema) * torch.randn(params.draws, *data.schema.shape)
    return Fitted(Smoothed(fitted.model, noise).eval(), fitted.evidence)


def rebuild(build: Callable[[], nn.Module], params: SmoothingParams, schema: DataSchema) -> nn.Module:
    """Return an untrained model, smoothed; its noise is yet to be put in."""
    return Smoothed(build(), torch.zeros(params.draws, *schema.shape))


def certify(question: CertificateQuestion, params: SmoothingParams) -> Tensor:
    """Return where the smoothed classifier's class is proved to be ``y``, bool ``[budgets, n]`` (CERTIFY, section 3.2).

    The classifier answers the class of the largest mean probability under noise. The normal quantile of a mean
    probability changes by at most 1 / sigma a unit of length (Salman et al., arXiv:1906.04584, lemma 2), so a class
    whose mean is above one half keeps above it within ``sigma`` times its quantile. A vote for a class drawn with its
    probability is a hit with just the mean probability, so the paper's algorithm holds as it stands: the class is
    guessed from ``guess_draws`` votes, and its mean has the lower bound of Clopper and Pearson from ``certify_draws``
    other votes. Wrong with probability ``alpha`` at most for each row. The deployed model takes the mean over
    ``draws`` draws, which approximates that over all of them.

    Raises:
        ValueError: if the model is not a smoothed one.
    """
    model = question.model
    if not isinstance(model, Smoothed):
        raise ValueError(f"randomized-smoothing certifies the model that it smoothed, not a {type(model).__name__}")  # noqa: TRY004
    scale = params.sigma * noisy(question.data_schema)
    classes = len(question.data_schema.classes)
    guesses = votes(model.base, question.x, scale, draws=params.guess_draws, classes=classes)
    counts = votes(model.base, question.x, scale, draws=params.certify_draws, classes=classes)
    right = guesses.argmax(1) == question.y
    radius = certified_radius(counts.gather(1, question.y[:, None])[:, 0], params.certify_draws, params)
    needed = [reach(question.data_schema, norm=question.norm, epsilon=epsilon) for epsilon in question.epsilons]
    return torch.stack([right & (radius >= length) for length in needed])


def certified_radius(counts: Tensor, draws: int, params: SmoothingParams) -> Tensor:
    """Return sigma times the normal quantile of the lower bound of ``counts [n]`` in ``draws``, float64 ``[n]``.

    -inf where the bound is one half or less: the paper abstains.
    """
    hits = counts.double()
    low = torch.from_numpy(special.betaincinv(hits.clamp_min(1).numpy(), (draws - hits + 1).numpy(), params.alpha))
    radius = params.sigma * torch.special.ndtri(low)
    return torch.where((counts > 0) & (low > 0.5), radius, -torch.inf)


def reach(schema: DataSchema, *, norm: Norm, epsilon: float) -> float:
    """Return the length in L2 of the longest change that a budget allows; inf if it reaches features without noise."""
    free = mutable(schema, norm=norm, epsilon=epsilon)
    if (free & ~mutable(schema)).any():
        return torch.inf
    return epsilon if norm == "l2" else epsilon * sqrt(int(free.sum()))


def votes(base: nn.Module, x: Tensor, scale: Tensor, *, draws: int, classes: int) -> Tensor:
    """Return the votes for each class, int64 ``[n, classes]``: one a draw of noise, with the base's probabilities."""
    with torch.no_grad():
        return torch.cat([_votes(base, rows, scale, draws, classes) for rows in x.split(_INPUTS)])


def _votes(base: nn.Module, x: Tensor, scale: Tensor, draws: int, classes: int) -> Tensor:
    total = torch.zeros(len(x), classes, dtype=torch.int64)
    for size in _sizes(draws, max(1, _INPUTS // len(x))):
        at = x + scale * torch.randn(size, *x.shape)
        logits = base(at.flatten(0, 1))
        # The largest of logits plus Gumbel noise is a draw from their softmax.
        drawn = (logits - torch.empty_like(logits).exponential_().log()).argmax(1)
        total += one_hot(drawn.unflatten(0, (size, len(x))), classes).sum(0)
    return total


def _sizes(total: int, most: int) -> Iterator[int]:
    for done in range(0, total, most):
        yield min(most, total - done)
