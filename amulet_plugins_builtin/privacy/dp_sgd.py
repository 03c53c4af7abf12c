"""DP-SGD as two parts of training: batches drawn by independent coins, and clipped, noised gradients by opacus.

The model that is trained never carries a hook: opacus works on a copy whose parameters are views of the trained ones.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from torch import Tensor, nn
from torch.optim import SGD

from amulet_core.settings import TrainingSettings
from amulet_core.training.losses import as_function, one_a_row, only_model
from amulet_core.training.parts import MeanGradient, ShuffledBatches
from amulet_core.training.values import Batch, Bundle, Call, Problem, Step, Training, TrainingContext
from amulet_plugins_builtin.catalogue.privacy import DpSgdParams, row_problems
from amulet_plugins_builtin.privacy.accounted import as_accounted
from amulet_plugins_builtin.privacy.accounting import PrivacySpent, epsilon_spent, noise_for

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


@dataclass(frozen=True)
class ClippedNoisyGradient:
    """The sum of the rows' gradients, each clipped to ``max_grad_norm``, plus noise, over the expected batch size.

    All networks of the bundle are clipped and noised as one vector. Abadi et al. 1607.00133, algorithm 1; the norms by
    ghost clipping, Li et al. 2110.05679, section 4.
    """

    noise_multiplier: float
    max_grad_norm: float
    expected_batch_size: float
    stackable: bool = False

    def start(self, problem: Problem) -> Step:
        """Return the step of one model; ValueError for a stack of several."""
        if len(problem.noise) != 1:
            raise ValueError(f"dp-sgd trains one model at a time, not a stack of {len(problem.noise)}")
        module = GradSampleModuleFastGradientClipping(
            _with_views(problem), max_grad_norm=self.max_grad_norm, use_ghost_clipping=True
        )
        optimizer = self._optimizer(module, problem.noise[0])

        def step(batch: Batch) -> dict[str, Tensor]:
            # None, not zero in place: the gradients returned before must stay what they were.
            optimizer.zero_grad(set_to_none=True)
            _sum_of_clipped(module, optimizer, problem, batch)
            optimizer.pre_step()
            return {name: value.grad[None] for name, value in module._module.named_parameters()}

        return step

    def _optimizer(self, module: nn.Module, noise: torch.Generator) -> DPOptimizerFastGradientClipping:
        """Return what adds the noise and scales. It never steps: opacus wants an optimiser of its own."""
        return DPOptimizerFastGradientClipping(
            SGD(module.parameters(), lr=1.0),
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self.max_grad_norm,
            expected_batch_size=self.expected_batch_size,
            generator=noise,
        )


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
    return as_accounted(private, whose="dp-sgd")


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


def _with_views(problem: Problem) -> Bundle:
    """Return a bundle whose parameters share the memory of the problem's, so that it sees every optimiser step."""
    bundle = copy.deepcopy(problem.skeleton)
    _place(bundle, {name: nn.Parameter(value[0].detach()) for name, value in problem.params.items()})
    _place(bundle, {name: value[0] for name, value in problem.fixed.items()})
    return bundle.train()


def _place(bundle: Bundle, values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        owner, _, leaf = name.rpartition(".")
        setattr(bundle.get_submodule(owner), leaf, value)


def _sum_of_clipped(
    module: GradSampleModuleFastGradientClipping,
    optimizer: DPOptimizerFastGradientClipping,
    problem: Problem,
    batch: Batch,
) -> None:
    """Leave in each parameter's ``grad`` the sum of the rows' clipped gradients (0 for an empty batch)."""
    params = dict(module._module.named_parameters())
    if batch.y.shape[1] == 0:
        for value in params.values():
            value.grad = torch.zeros_like(value)
        return
    values = {name: value.detach() for name, value in params.items()} | dict(module._module.named_buffers())
    with _quiet():
        losses = problem.objective(
            _by_row(module, batch.y.shape[1]), as_function(problem.skeleton, values), only_model(batch)
        )
        DPTensorFastGradientClipping(module, optimizer, one_a_row(losses[None], batch)[0]).backward()


def _by_row(module: GradSampleModuleFastGradientClipping, n: int) -> Call:
    """Return the networks as a function that takes k inputs of each row one after the other, ``[k * n, ...]``.

    The hooks see them on an axis of their own, ``[n, k, ...]``: all of them are the row's, whose gradient is clipped.

    Raises:
        ValueError: when called so, if the network cannot read such an axis, or the inputs are no multiple of the rows.
    """

    def call(x: Tensor, part: str = "model") -> Tensor:
        if len(x) == n:
            return cast("Tensor", module(x, part))
        _refuse(_reading_problems(module, len(x), n))
        out: Tensor = module(x.unflatten(0, (-1, n)).transpose(0, 1), part)
        return out.transpose(0, 1).flatten(0, 1)

    return call


def _reading_problems(module: nn.Module, inputs: int, n: int) -> list[str]:
    if inputs % n:
        return [f"the objective asks about {inputs} inputs of {n} rows, expected as many of each row"]
    if any(isinstance(part, nn.modules.conv._ConvNd) for part in module.modules()):
        return [
            "the gradient of each row is clipped, and a convolution cannot read several inputs of a row at once: "
            "choose the model mlp or logistic, or a defense that asks about one input of each row"
        ]
    return []


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's note that the first layer's backward hook sees no input gradient: opacus needs none."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield
