"""Victims whose weaknesses are known beforehand, for the checks that the components ship."""

from typing import Final

import torch
from amulet_core.games.evasion import EvasionView
from amulet_core.games.membership import Lab, MembershipView
from amulet_core.schema import DataSchema, Feasible
from amulet_core.victims import LabelOracle
from amulet_core.vocabulary import Norm
from torch import Tensor, nn
from torch.nn.functional import one_hot

TABLE: Final = DataSchema(
    modality="tabular",
    shape=(8,),
    classes=("no", "yes"),
    feasible=Feasible(low=(-1.0,) * 4 + (-2.0,) * 4, high=(1.0,) * 4 + (2.0,) * 4),
)
IMAGES: Final = DataSchema(
    modality="image", shape=(1, 8, 8), classes=("dark", "bright", "glaring"), feasible=Feasible(low=-1.0, high=1.0)
)
_SPAN: Final = torch.tensor((2.0,) * 4 + (4.0,) * 4)


class Linear(nn.Module):
    """Two classes on either side of a plane: the logits are 0 and ``x w``."""

    def __init__(self) -> None:
        """Make the model in eval mode."""
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5, 1.5, -1.0, 0.25, 0.75, -0.5]), requires_grad=False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 2]``."""
        side = x @ self.weight
        return torch.stack([torch.zeros_like(side), side], 1)

    def needed(self, x: Tensor, norm: Norm) -> Tensor:
        """Return the smallest budget that fools each row, ``[n]``: its distance to the plane in units of the ranges."""
        dual = torch.linalg.vector_norm(self.weight * _SPAN, ord=1 if norm == "linf" else 2)
        distance: Tensor = (x @ self.weight).abs() / dual
        return distance


class Constant(nn.Module):
    """A victim that gives every input the same answer: nothing fools it, and it tells nothing."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 2]``."""
        return torch.tensor([1.0, -1.0]).repeat(len(x), 1)


class Islands(nn.Module):
    """A victim that says "yes" within .3 of its training rows (in units of the ranges, in L2), and "no" elsewhere."""

    def __init__(self, members: Tensor) -> None:
        """Learn the rows ``[n, 8]`` by heart."""
        super().__init__()
        self.members = nn.Parameter(members / _SPAN, requires_grad=False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 2]``."""
        inside = 0.3 - torch.cdist(x / _SPAN, self.members).amin(1)
        return torch.stack([-inside, inside], 1)


def rows(count: int) -> Tensor:
    """Return rows of the table in the middle of their ranges, where no bound is near."""
    return 0.25 * _SPAN * (torch.rand(count, 8, generator=torch.Generator().manual_seed(1)) - 0.5)


def evasion_view(
    model: nn.Module, x: Tensor, *, norm: Norm, epsilons: tuple[float, ...], kind: type[LabelOracle]
) -> EvasionView:
    """Return an adversary's view of a victim of the table that is right about all rows."""
    y = model(x).argmax(1)
    return EvasionView(model=kind(model), x=x, y=y, norm=norm, epsilons=epsilons, data_schema=TABLE)


def islands() -> tuple[nn.Module, Tensor, Tensor]:
    """Return a victim, 40 rows that it answers with "yes", and which of them are members (the first half).

    The others lie .25 from a member, .05 from the sea.
    """
    draws = torch.Generator().manual_seed(2)
    members = _SPAN * (torch.rand(20, 8, generator=draws) - 0.5)
    away = torch.randn(20, 8, generator=draws)
    others = members + 0.25 * _SPAN * away / torch.linalg.vector_norm(away, dim=1, keepdim=True)
    low = torch.tensor(TABLE.feasible.low)
    return Islands(members), torch.cat([members, others]).clamp(low, -low), torch.arange(40) < 20


def membership_view(model: nn.Module, x: Tensor, y: Tensor) -> MembershipView:
    """Return the view of an adversary who sees labels alone, and has 20 rows of its own."""
    own, nothing = _SPAN * (torch.rand(20, 8, generator=torch.Generator().manual_seed(3)) - 0.5), torch.zeros(0, 0, 0)
    return MembershipView(
        model=LabelOracle(model),
        x=x,
        y=y,
        observed=torch.zeros(len(x), 0),
        population_x=own,
        population_y=model(own).argmax(1),
        observed_population=torch.zeros(len(own), 0),
        lab=Lab(candidates=nothing, members=torch.zeros(0, 0, dtype=torch.bool), population=nothing),
        data_schema=TABLE,
    )


def shadowed_view(*, shift: float, seed: int = 4, rows: int = 1000, models: int = 8) -> tuple[MembershipView, Tensor]:
    """Return a view with shadow models, and who is a member: log-odds of the true label are N(0, 1), plus ``shift``."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (rows,), generator=draws)
    coins = torch.rand((models + 2) // 2, rows, generator=draws) < 0.5
    trained = torch.stack([coins, ~coins], 1).flatten(0, 1)[: models + 1]
    odds = torch.randn(trained.shape, generator=draws) + shift * trained
    answers = torch.log_softmax(odds[..., None] * one_hot(y, 2), -1)
    view = MembershipView(
        model=None,
        x=torch.zeros(rows, 8),
        y=y,
        observed=answers[0],
        population_x=torch.zeros(0, 8),
        population_y=torch.zeros(0, dtype=torch.int64),
        observed_population=torch.zeros(0, 2),
        lab=Lab(candidates=answers[1:], members=trained[1:], population=torch.zeros(models, 0, 2)),
        data_schema=TABLE,
    )
    return view, trained[0]


def auc(score: Tensor, member: Tensor) -> float:
    """Return how often a member has a higher score than another row; ties count half."""
    apart = score[member][:, None] - score[~member]
    return float((apart.sign() / 2 + 0.5).mean())


def images(count: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Return images whose upper left quarter has one of three levels of brightness, with noise, and their classes."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 3
    x = 0.05 * torch.randn(count, 1, 8, 8, generator=draws) - 0.5
    x[:, :, :4, :4] += 0.375 * y[:, None, None, None] + 0.2 * torch.randn(count, 1, 4, 4, generator=draws)
    return x.clamp(-1, 1), y


def taught(x: Tensor, y: Tensor, *, classes: int, steps: int = 300) -> nn.Module:
    """Return a network of one hidden layer that learned rows and labels, from weights of the global generator."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 32), nn.ReLU(), nn.Linear(32, classes))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.eval().requires_grad_(False)
