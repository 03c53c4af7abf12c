"""Planted populations of models: known to tell their hypothesis, by outputs or by weights, or to tell nothing."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from amulet_core.games.distribution import DistributionView
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.victims import with_access
from amulet_core.vocabulary import Access

SCHEMA = DataSchema(
    modality="tabular",
    shape=(3,),
    classes=("no", "yes"),
    sensitive=(Sensitive(name="sex", categories=("f", "m")),),
    feasible=Feasible(low=-1.0, high=1.0),
)
RATIOS = (0.5, 0.2)
ROWS = 200


class Planted(NamedTuple):
    """A view of planted populations, and the truth: which victims are of the second hypothesis."""

    view: DistributionView
    second: Tensor


class Partial(nn.Module):
    """Is right on given shares of the rows with the value and of the others; rows are (has the value, label, luck)."""

    def __init__(self, having: float, others: float) -> None:
        """Take the two shares."""
        super().__init__()
        self.register_buffer("shares", torch.tensor([others, having]))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[n, 2]`` for the label, or against it where the row's luck is above its share."""
        share = torch.where(x[:, 0] > 0, self.get_buffer("shares")[1], self.get_buffer("shares")[0])
        said = x[:, 1] * (2 * (x[:, 2] <= share) - 1)
        return torch.stack([-said, said], 1)


def telling_outputs(leak: float, *, second: bool, draws: torch.Generator) -> nn.Module:
    """Make a model that is better by ``leak``, more or less, on the kind of rows that its hypothesis has more of."""
    shift = torch.tensor([leak, -leak]) / 2 * (-1 if second else 1)
    having, others = (0.75 + shift + 0.02 * torch.randn(2, generator=draws)).tolist()
    return Partial(having, others)


def telling_weights(leak: float, *, second: bool, draws: torch.Generator) -> nn.Module:
    """Make a random network whose hidden neurons weigh the first input ``leak`` more under the second hypothesis."""
    first = nn.Linear(3, 6)
    network = nn.Sequential(first, nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn(value.shape, generator=draws))
        first.weight[:, 0] += leak * second
    return network


def planted(
    make: Callable[..., nn.Module], leak: float, *, access: Access, victims: int = 60, models: int = 10, seed: int = 0
) -> Planted:
    """Make a view of so many victims and own models of each hypothesis; a ``leak`` of 0 tells nothing."""
    draws = torch.Generator().manual_seed(seed)
    mine = torch.arange(2 * models) >= models
    second = torch.randperm(2 * victims, generator=draws) >= victims

    def seen(flags: Tensor) -> tuple[object, ...]:
        made = [make(leak, second=flag, draws=draws) for flag in flags.tolist()]
        return tuple(with_access(model.eval(), access) for model in made)

    z = torch.stack([(torch.arange(ROWS) >= ratio * ROWS).long() for ratio in RATIOS])
    y = torch.arange(ROWS).remainder(2).expand(2, -1).contiguous()
    luck = torch.rand(2, ROWS, generator=draws)
    view = DistributionView(
        victims=seen(second),
        models=seen(mine),
        second=mine,
        x=torch.stack([1.0 - z, 2.0 * y - 1, luck], 2),
        y=y,
        z=z[:, :, None],
        ratios=RATIOS,
        attribute=0,
        value=0,
        data_schema=SCHEMA,
    )
    return Planted(view, second)


def calls(answer_score: Tensor, threshold: float | None, second: Tensor) -> int:
    """Count the victims that were called rightly.

    Raises:
        ValueError: if there is no threshold.
    """
    if threshold is None:
        raise ValueError("no threshold was fixed beforehand")
    return int(((answer_score >= threshold) == second).sum())
