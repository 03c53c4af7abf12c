"""Victims and rows whose vulnerability is known beforehand, for the checks of the components of evasion."""

import torch
from torch import Tensor, nn

from amulet_core.data import Data, make_data
from amulet_core.feasible import span
from amulet_core.games.evasion import EvasionView
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Streams, Training
from amulet_core.victims import WhiteBox
from amulet_core.vocabulary import Norm


def linear_victim(*, features: int, seed: int) -> tuple[nn.Linear, DataSchema]:
    """Return a linear softmax model of two classes, and features of unequal ranges whose bounds are far away."""
    with isolated("planted linear victim", seed):
        model = nn.Linear(features, 2).requires_grad_(False)
        scale = 0.1 + torch.rand(features)
    model.weight /= scale
    high = tuple((10 * scale).tolist())
    schema = DataSchema(
        modality="tabular",
        shape=(features,),
        classes=("no", "yes"),
        feasible=Feasible(low=tuple(-bound for bound in high), high=high),
    )
    return model, schema


def rows_near_the_middle(schema: DataSchema, *, rows: int, seed: int) -> Tensor:
    """Return rows ``[rows, features]`` within the middle twentieth of each feature's range."""
    high = torch.tensor(schema.feasible.high)
    with isolated("planted rows", seed):
        return (torch.rand(rows, len(high)) - 0.5) * high / 10


def margins(model: nn.Linear, x: Tensor, y: Tensor) -> Tensor:
    """Return the true logit minus the other one, float64 ``[n]``."""
    logits = x.double() @ model.weight.double().T + model.bias.double()
    return logits.gather(1, y[:, None])[:, 0] - logits.gather(1, 1 - y[:, None])[:, 0]


def steepness(model: nn.Linear, schema: DataSchema, *, norm: Norm) -> float:
    """Return how much margin a budget of 1 costs: the dual norm of ``w = W_y - W_j`` in units of the ranges."""
    high = torch.tensor(schema.feasible.high, dtype=torch.float64)
    weight = (model.weight[1] - model.weight[0]).double() * 2 * high
    return float(weight.abs().sum() if norm == "linf" else weight.norm())


def image_victim(*, seed: int) -> tuple[nn.Sequential, DataSchema]:
    """Return a linear softmax model of six classes on images of two channels, whose bounds are far away."""
    with isolated("planted image victim", seed):
        model = nn.Sequential(nn.Flatten(), nn.Linear(72, 6)).requires_grad_(False)
    feasible = Feasible(low=-50.0, high=50.0)
    return model, DataSchema(modality="image", shape=(2, 6, 6), classes=tuple("abcdef"), feasible=feasible)


def needed(model: nn.Sequential, x: Tensor, y: Tensor, schema: DataSchema, *, norm: Norm) -> Tensor:
    """Return the budget ``[n]`` that fools each image: the least, over the classes, of margin over dual norm."""
    weight, logits = next(model.parameters()).double(), model(x).double()
    gap = logits.gather(1, y[:, None]) - logits
    apart = (weight - weight[y][:, None]) * span(schema).flatten()
    slope = apart.abs().sum(-1) if norm == "linf" else apart.norm(dim=-1)
    least: Tensor = (gap / slope).masked_fill(torch.arange(gap.shape[1]) == y[:, None], torch.inf).amin(1)
    return least


def view_of(
    model: nn.Module | None, x: Tensor, y: Tensor, schema: DataSchema, *, norm: Norm, epsilons: tuple[float, ...]
) -> EvasionView:
    """Return the adversary's view of a model given away whole (None: of no model)."""
    box = WhiteBox(model) if model is not None else None
    return EvasionView(model=box, x=x, y=y, norm=norm, epsilons=epsilons, data_schema=schema)


TSIPRAS = DataSchema(modality="tabular", shape=(21,), classes=("no", "yes"), feasible=Feasible(low=-1.0, high=1.0))


def robust_and_fragile_features(*, rows: int, seed: int) -> Data:
    """Return rows with one robust feature and twenty fragile ones (after Tsipras et al., arXiv:1805.12152, section 2).

    The first is right in 9 rows of 10, and a budget of .05 of its range cannot turn it; together the others
    are right in nearly all rows, and the same budget turns them all.
    """
    with isolated("planted features", seed):
        y = torch.randint(2, (rows,))
        sign = (2 * y - 1).float()[:, None]
        robust = 0.3 * sign * torch.where(torch.rand(rows, 1) < 0.9, 1.0, -1.0)
        fragile = 0.05 * sign + 0.05 * torch.randn(rows, 20)
    return make_data(torch.cat([robust, fragile], 1).clamp(-1, 1), y, TSIPRAS)


def linear_training() -> Training:
    """Return the undefended training of a linear model on these rows."""
    settings = TrainingSettings(epochs=25, batch_size=100, learning_rate=0.05)
    return plain_training(lambda: nn.Linear(21, 2), settings, stackable=True)


def fitted(training: Training, data: Data, *, seed: int) -> nn.Module:
    """Return the model that ``training`` makes of the rows."""
    return training.fit(training, [data], [data], [Streams(("planted", seed))])[0].model
