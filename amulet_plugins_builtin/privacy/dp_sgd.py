"""DP-SGD's account and its batches, which independent coins draw; the gradient rule is that of ``clipping``."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from amulet_core.settings import TrainingSettings
from amulet_core.training.parts import MeanGradient, ShuffledBatches
from amulet_core.training.values import Training, TrainingContext
from amulet_plugins_builtin.catalogue.privacy import DpSgdParams, row_problems
from amulet_plugins_builtin.privacy.accounted import as_accounted
from amulet_plugins_builtin.privacy.accounting import PrivacySpent, epsilon_spent, noise_for
from amulet_plugins_builtin.privacy.clipping import ClippedNoisyGradient

EARLY_STOPPING = "early-stopping"


@dataclass(frozen=True)
class PoissonBatches:
    """In each of ``steps`` batches an epoch, every row independently with probability ``rate``; empty ones are legal.

    Rate and steps are fixed, whatever the number of rows: they are what the account is made of.
    """

    rate: float
    steps: int

    def epoch(self, n: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield the row positions of every batch."""
        for _ in range(self.steps):
            coins = torch.rand(n, generator=generator, dtype=torch.float64)
            yield (coins < self.rate).nonzero().flatten()


def train(training: Training, params: DpSgdParams, context: TrainingContext) -> Training:
    """Return differentially private training with its account as the evidence ``privacy``.

    Raises:
        ValueError: listing all that stands in the way: a batch larger than the data, a delta that promises nothing,
            another defense's sampler or gradient rule, early stopping that is not declared; when fitting, what a later
            defense changed of that which is accounted for.
    """
    settings = _settings(training.settings, params)
    _refuse(_problems(training, settings, params, context.rows))
    rate = settings.batch_size / context.rows
    steps = max(1, round(context.rows / settings.batch_size))
    spent = _spent(params, rate, settings.epochs * steps, conditional_on=_conditions(params, settings, context))
    private = replace(
        training,
        settings=settings,
        sampler=PoissonBatches(rate, steps),
        gradient=ClippedNoisyGradient(spent.noise_multiplier, params.max_grad_norm, settings.batch_size),
        evidence={**training.evidence, "privacy": spent},
    )
    return as_accounted(private, whose="dp-sgd", stopping=EARLY_STOPPING in spent.conditional_on)


def _settings(settings: TrainingSettings, params: DpSgdParams) -> TrainingSettings:
    given = {"learning_rate": params.learning_rate, "batch_size": params.batch_size}
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})


def _conditions(params: DpSgdParams, settings: TrainingSettings, context: TrainingContext) -> tuple[str, ...]:
    """Return what is declared and there: a chain's member, measured alone beside it, has no condition."""
    there = {name.rpartition("/")[2] for name in context.chain} | ({EARLY_STOPPING} if settings.patience else set())
    return tuple(name for name in params.conditional_on if name in there)


def _spent(params: DpSgdParams, rate: float, steps: int, *, conditional_on: tuple[str, ...]) -> PrivacySpent:
    sigma = params.noise_multiplier
    if sigma is None:
        if params.epsilon is None:
            raise ValueError("dp-sgd: neither epsilon nor noise_multiplier is given")
        sigma = noise_for(
            params.epsilon, delta=params.delta, sample_rate=rate, steps=steps, accountant=params.accountant
        )
    epsilon = epsilon_spent(sigma, rate, steps=steps, delta=params.delta)
    return PrivacySpent(
        epsilon_rdp=epsilon["rdp"],
        epsilon_prv=epsilon["prv"],
        delta=params.delta,
        noise_multiplier=sigma,
        sample_rate=rate,
        steps=steps,
        max_grad_norm=params.max_grad_norm,
        conditional_on=conditional_on,
    )


def _problems(training: Training, settings: TrainingSettings, params: DpSgdParams, rows: int) -> list[str]:
    problems = row_problems(params, batch_size=settings.batch_size, rows=rows)
    for part, found, plain in (
        ("sampler", training.sampler, ShuffledBatches),
        ("gradient rule", training.gradient, MeanGradient),
    ):
        if not isinstance(found, plain):
            problems.append(f"another defense has set the {part} ({type(found).__name__}), which dp-sgd would replace")
    if settings.patience and EARLY_STOPPING not in params.conditional_on:
        problems.append(
            f"early stopping looks at the validation rows outside the accountant; set training.patience to 0, or name "
            f'"{EARLY_STOPPING}" in conditional_on'
        )
    return problems


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValueError("dp-sgd: " + "; ".join(problems))
