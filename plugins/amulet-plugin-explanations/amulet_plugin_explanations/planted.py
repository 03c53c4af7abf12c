"""Planted populations of linear models that differ in the weight of a feature or in nothing, and explain or do not."""

from typing import NamedTuple

import torch
from amulet_core.games.distribution import DistributionView
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.victims import ProbabilityOracle
from torch import Tensor, nn

SCHEMA = DataSchema(
    modality="tabular",
    shape=(4,),
    classes=("no", "yes"),
    sensitive=(Sensitive(name="sex", categories=("f", "m")),),
    feasible=Feasible(low=-1.0, high=1.0),
)
RATIOS = (0.5, 0.2)
ROWS = 60


class Planted(NamedTuple):
    """A view of planted populations, and the truth: which victims are of the second hypothesis."""

    view: DistributionView
    second: Tensor


def planted(
    leak: float, *, twins: bool, explains: bool = True, undefended: bool = False, victims: int = 60, models: int = 10
) -> Planted:
    """Make a view of so many victims and own models of each hypothesis; a ``leak`` of 0 tells nothing.

    Models of the second hypothesis give ``leak`` more weight to the first feature. With ``twins`` they take it from the
    second feature, which equals the first in all rows that are asked about: no prediction shows it, attributions do.
    Where they are ``undefended``, own models do not explain, whatever the victims do.
    """
    draws = torch.Generator().manual_seed(0)
    mine = torch.arange(2 * models) >= models
    second = torch.randperm(2 * victims, generator=draws) >= victims

    def seen(flags: Tensor, *, explained: bool) -> tuple[ProbabilityOracle, ...]:
        made = [linear(leak * flag, twins=twins, draws=draws) for flag in flags.tolist()]
        return tuple(ProbabilityOracle(one, Contributions(one.weight) if explained else None) for one in made)

    x = 2 * torch.rand(2, ROWS, 4, generator=draws) - 1
    x[..., 1] = x[..., 0]
    view = DistributionView(
        victims=seen(second, explained=explains),
        models=seen(mine, explained=explains and not undefended),
        second=mine,
        x=x,
        y=torch.zeros(2, ROWS, dtype=torch.int64),
        z=torch.zeros(2, ROWS, 1, dtype=torch.int64),
        ratios=RATIOS,
        attribute=0,
        value=0,
        data_schema=SCHEMA,
    )
    return Planted(view, second)


def linear(leak: float, *, twins: bool, draws: torch.Generator) -> nn.Linear:
    """Make a linear model of about the same weights every time, but for ``leak``."""
    model = nn.Linear(4, 2, bias=False).requires_grad_(False)
    weights = torch.tensor([1.0, 1.0, -1.0, 0.5]) + 0.1 * torch.randn(4, generator=draws)
    weights[0] += leak
    weights[1] -= leak * twins
    model.weight.copy_(torch.stack([-weights, weights]) / 2)
    return model.eval()


class Contributions:
    """Integrated gradients, or DeepLift, of a linear model from zero: each input times its weight."""

    def __init__(self, weight: Tensor) -> None:
        """Take the weights ``[classes, features]``."""
        self.weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        """Return the contributions ``[n, features]`` to the logit of the predicted class."""
        return x * self.weight[(x @ self.weight.T).argmax(1)]
