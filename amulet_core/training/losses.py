"""Networks as functions of stacked parameters: the one place where ``vmap`` meets an objective."""

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor
from torch.func import functional_call, vmap

from amulet_core.training.values import Batch, Bundle, Call, Problem

AXES: Final[Any] = Batch(0, 0, 0, 0, 0, None)  # type: ignore[arg-type]
"""The axes of a batch that ``vmap`` goes along: all but its progress, which is one number for all."""


def as_function(skeleton: Bundle, state: Mapping[str, Tensor]) -> Call:
    """Return the bundle with the parameters and buffers of one model as a function of its input."""

    def call(x: Tensor, part: str = "model") -> Tensor:
        out: Tensor = functional_call(skeleton, dict(state), (x, part))
        return out

    return call


def losses_of_stack(problem: Problem, batch: Batch) -> Tensor:
    """Return the per-sample losses ``[models, n]`` of all models of a stack.

    Raises:
        ValueError: if the objective returns another shape.
    """

    def losses(params: dict[str, Tensor], fixed: dict[str, Tensor], rows: Batch) -> Tensor:
        frozen = {name: value.detach() for name, value in params.items()}
        return problem.objective(
            as_function(problem.skeleton, params | fixed), as_function(problem.skeleton, frozen | fixed), rows
        )

    params, fixed = dict(problem.params), dict(problem.fixed)
    if len(batch.y) > 1:
        out: Tensor = vmap(losses, in_dims=(0, 0, AXES))(params, fixed, batch)
        return one_a_row(out, batch)
    only = {name: value[0] for name, value in params.items()}
    return one_a_row(losses(only, {name: value[0] for name, value in fixed.items()}, only_model(batch))[None], batch)


def one_a_row(losses: Tensor, batch: Batch) -> Tensor:
    """Return the losses of a stack.

    Raises:
        ValueError: if they are not ``[models, n]``.
    """
    if losses.shape != batch.y.shape:
        raise ValueError(
            f"the objective returned losses {list(losses.shape[1:])}, expected one for each of {batch.y.shape[1]} rows"
        )
    return losses


def only_model(batch: Batch) -> Batch:
    """Return the rows of a stack's only model."""
    draws = {name: draw[0] for name, draw in batch.draws.items()}
    return Batch(batch.x[0], batch.y[0], batch.z[0], batch.w[0], draws, batch.progress)
