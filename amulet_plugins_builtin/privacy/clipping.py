"""The gradient rule of DP-SGD: each row's gradient clipped, the sum noised, by opacus.

The model that is trained never carries a hook: opacus works on a copy whose parameters are views of the trained ones.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from torch import Tensor, nn
from torch.optim import SGD

from amulet_core.training.losses import as_function, one_a_row, only_model
from amulet_core.training.values import Batch, Bundle, Call, Problem, Step
from amulet_plugins_builtin.privacy.uncounted import asked_again, drawing, fixed_in_part, not_counted, tied, unreadable


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
        """Return the step of one model; ValueError for a stack of several, tied weights or layers fixed in part."""
        if len(problem.noise) != 1:
            raise ValueError(f"dp-sgd trains one model at a time, not a stack of {len(problem.noise)}")
        tied(name for name in _trained(problem.skeleton) if name not in problem.params)
        fixed_in_part(problem.skeleton)
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


def _trained(skeleton: Bundle) -> Iterator[str]:
    """Yield the name of every place where a layer holds a trained weight: of a shared one, all of its names."""
    for where, layer in skeleton.named_modules():
        for leaf, _ in layer.named_parameters(recurse=False, remove_duplicate=False):
            yield f"{where}.{leaf}"


def _with_views(problem: Problem) -> Bundle:
    """Return a bundle whose parameters share the memory of the problem's, so that it sees every optimiser step.

    Fixed values that layers share have one name in the problem, and are put in all their places.
    """
    own = {name: nn.Parameter(value[0].detach()) for name, value in problem.params.items()}
    fixed = {name: value[0] for name, value in problem.fixed.items()}
    places = dict([*problem.skeleton.named_parameters(), *problem.skeleton.named_buffers()])
    values = {id(places[name]): value for name, value in (own | fixed).items()}
    return copy.deepcopy(problem.skeleton, values).train()


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
    asked: list[str] = []
    for value in params.values():
        # The last step's, which would count for a network that is left out of this one.
        value.__dict__.pop("_norm_sample", None)
    with _quiet(), _explained(module, asked):
        losses = problem.objective(
            _by_row(module, batch.y.shape[1], asked), as_function(problem.skeleton, values), only_model(batch)
        )
        DPTensorFastGradientClipping(module, optimizer, one_a_row(losses[None], batch)[0]).backward()


def _by_row(module: GradSampleModuleFastGradientClipping, n: int, asked: list[str]) -> Call:
    """Return the networks as a function that takes k inputs of each row one after the other, ``[k * n, ...]``.

    The hooks see them on an axis of their own, ``[n, k, ...]``: all of them are the row's, whose gradient is clipped.
    Each part that is called is noted in ``asked``.

    Raises:
        ValueError: when called so, if the network cannot read such an axis, or the inputs are no multiple of the rows.
    """

    def call(x: Tensor, part: str = "model") -> Tensor:
        asked.append(part)
        if len(x) == n:
            return cast("Tensor", module(x, part))
        unreadable(module, inputs=len(x), rows=n)
        out: Tensor = module(x.unflatten(0, (-1, n)).transpose(0, 1), part)
        return out.transpose(0, 1).flatten(0, 1)

    return call


@contextmanager
def _explained(module: GradSampleModuleFastGradientClipping, asked: Sequence[str]) -> Iterator[None]:
    """Say in plain words what opacus cannot count; whatever else is raised passes through."""
    try:
        yield
    except NotImplementedError as error:
        again = [name for name, value in module._module.named_parameters() if value._forward_counter > 1]
        if again:
            raise ValueError(asked_again(again, asked)) from error
        raise
    except AttributeError as error:
        missed = [name for name, value in module._module.named_parameters() if not hasattr(value, "_norm_sample")]
        if missed and "_norm_sample" in str(error):
            viewed = any(part not in module._module.parts for part in asked)
            raise ValueError(not_counted(missed, asked, viewed=viewed)) from error
        raise
    except RuntimeError as error:
        # Layers that opacus has no rule of its own for, and runs again row by row under vmap.
        again = [name for name, layer in module._module.named_modules() if hasattr(layer, "ft_compute_sample_grad")]
        if again and "randomness error mode" in str(error):
            raise ValueError(drawing(again)) from error
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's note that the first layer's backward hook sees no input gradient: opacus needs none."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield
