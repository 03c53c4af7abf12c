"""The parts of undefended training: shuffled batches, cross-entropy, mean gradients."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from amulet_core.settings import TrainingSettings
from amulet_core.training.fit import fit_by_steps
from amulet_core.training.losses import losses_of_stack
from amulet_core.training.values import Batch, Call, Problem, Step, Training

__all__ = ["MeanGradient", "ShuffledBatches", "plain_training", "weighted_cross_entropy"]


@dataclass(frozen=True)
class ShuffledBatches:
    """Every row once an epoch, in random order, in batches of ``batch_size`` (the last may be smaller)."""

    batch_size: int

    def epoch(self, n: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield the row positions of every batch."""
        yield from torch.randperm(n, generator=generator).split(self.batch_size)


def weighted_cross_entropy(call: Call, _frozen: Call, batch: Batch) -> Tensor:
    """Return ``w_i * -log p(y_i | x_i)`` for each row, ``[n]``."""
    return batch.w * cross_entropy(call(batch.x), batch.y, reduction="none")


@dataclass(frozen=True)
class MeanGradient:
    """The gradient of the mean loss of the batch, for every model of a stack at once."""

    stackable: bool = True

    def start(self, problem: Problem) -> Step:
        """Return the step: each model's gradient, since the models' losses share no parameter."""
        names = list(problem.params)

        def step(batch: Batch) -> dict[str, Tensor]:
            total = losses_of_stack(problem, batch).mean(1).sum()
            gradients = torch.autograd.grad(total, list(problem.params.values()), allow_unused=True)
            return {
                name: torch.zeros_like(problem.params[name]) if gradient is None else gradient
                for name, gradient in zip(names, gradients, strict=True)
            }

        return step


def plain_training(build: Callable[[], nn.Module], settings: TrainingSettings, *, stackable: bool) -> Training:
    """Return the training of an undefended model whose architecture ``build`` makes."""
    return Training(
        parts={"model": build},
        settings=settings,
        sampler=ShuffledBatches(settings.batch_size),
        objective=weighted_cross_entropy,
        gradient=MeanGradient(),
        fit=fit_by_steps,
        stackable=stackable,
    )
