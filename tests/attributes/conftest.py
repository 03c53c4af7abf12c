"""A small contest of attribute inference, for all tests of the game."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from amulet_core.data import make_data
from amulet_core.games.contest import Bank, Contest
from amulet_core.schema import DataSchema, Feasible, Sensitive

sys.path.append(str(Path(__file__).parents[1] / "membership"))

ROWS, AUX, FIRST_ID, SEED = 120, 50, 10**12, 987_654_321_987
NAMES = ("size", "sex=f", "sex=m", "job=cook", "job=pilot", "job=clerk", "age")
SCHEMA = DataSchema(
    modality="tabular",
    shape=(7,),
    classes=("a", "b", "c"),
    sensitive=(
        Sensitive(name="sex", categories=("f", "m"), features=(1, 2)),
        Sensitive(name="age", categories=("young", "old", "older"), features=(6,)),
        Sensitive(name="faith", categories=("p", "q", "r")),
    ),
    feasible=Feasible(low=0.0, high=1.0, one_hot=((1, 2), (3, 4, 5))),
    features=NAMES,
)

Make = Callable[..., Contest]


class Linear(nn.Linear):
    """A linear model that keeps the rows it was asked about."""

    asked: tuple[Tensor, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        self.asked = (*self.asked, x.clone())
        return super().forward(x)


@pytest.fixture
def contest() -> Make:
    """Return a function that makes a contest: rows of which nothing but their own features tells z, members first."""

    def make(*, seed: int = SEED, weight: float = 1.0, members: int = ROWS // 2, puts_in: bool = False) -> Contest:
        draws = torch.Generator().manual_seed(1)
        n = ROWS + AUX
        z = torch.stack([torch.randint(0, k, (n,), generator=draws) for k in (2, 3, 3)], 1)
        jobs = torch.randint(0, 3, (n,), generator=draws)
        size = torch.rand(n, 1, generator=draws)
        age = (z[:, 1:2] + 0.1 + 0.8 * torch.rand(n, 1, generator=draws)) / 3
        x = torch.cat([size, nn.functional.one_hot(z[:, 0], 2), nn.functional.one_hot(jobs, 3), age], 1)
        y = torch.randint(0, 3, (n,), generator=draws)
        rows = make_data(x, y, SCHEMA, z=z, ids=FIRST_ID + 7 * torch.arange(n))
        pool, aux = rows.take(torch.arange(ROWS)), rows.take(torch.arange(ROWS, n))
        model = Linear(7, 3)
        with torch.no_grad():
            model.weight.copy_(weight * torch.randn(3, 7, generator=draws))
            model.bias.zero_()
        nothing = torch.zeros(0, ROWS, dtype=torch.bool)
        return Contest(
            model=model,
            beneath=model,
            pool=pool,
            member=torch.arange(ROWS) < members,
            test=aux,
            aux=aux,
            bank=Bank(torch.zeros(0, ROWS, 3), nothing, torch.zeros(0, AUX, 3), adaptive=True),
            draws=(seed, "block 0"),
            puts_in=puts_in,
        )

    return make
