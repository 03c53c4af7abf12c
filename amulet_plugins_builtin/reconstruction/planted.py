"""Planted victims of reconstruction: what they give away of their rows is known beforehand."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from amulet_core.data import make_data
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.reconstruction import ReconstructionView
from amulet_core.schema import DataSchema, Feasible
from amulet_core.victims import WhiteBox
from amulet_core.vocabulary import Reconstructed

CLASSES = ("a", "b", "c", "d")
TABLE = DataSchema(
    modality="tabular", shape=(3,), classes=CLASSES, feasible=Feasible(low=(0.0, -5.0, 10.0), high=(1.0, 5.0, 30.0))
)
IMAGES = DataSchema(modality="image", shape=(1, 6, 6), classes=CLASSES, feasible=Feasible(low=0.0, high=1.0))
ROWS, AUX = 400, 400


class Telling(nn.Module):
    """A victim whose logits are a linear map of the row: as many numbers as its features, so nothing is lost."""

    def __init__(self) -> None:
        """Make the map, for ``TABLE``."""
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[2.0, 0, 0], [0, 0.2, 0], [0, 0, 0.1], [0, 0, 0]]))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 4]``."""
        return x @ self.weight.T


class Silent(nn.Module):
    """A victim that says the same of every row."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 4]``, whose gradient in ``x`` is zero, not missing."""
        return torch.zeros(len(x), len(CLASSES)) + 0 * x.flatten(1).sum(1, keepdim=True)


class Prototypes(nn.Module):
    """A victim that holds a prototype of each class, and asks how near a row is to each (``rows [classes, ...]``)."""

    def __init__(self, rows: Tensor) -> None:
        """Take the prototypes."""
        super().__init__()
        self.rows = nn.Parameter(rows)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``: far from all prototypes, the same for all classes."""
        near = torch.exp(-20 * (x.flatten(1)[:, None] - self.rows.flatten(1)).square().mean(2))
        # Without the constant the differences of logits would be linear, and the likeliest input of a class a corner.
        return torch.log(near + 0.01)


def uniform(model: nn.Module, schema: DataSchema, *, kind: Reconstructed) -> Contest:
    """Return a contest whose rows, and the adversary's, are uniform within the bounds, of classes that mean nothing."""
    draws = torch.Generator().manual_seed(3)
    low, high = (torch.as_tensor(bound) for bound in (schema.feasible.low, schema.feasible.high))
    x = torch.rand(ROWS + AUX, *schema.shape, generator=draws) * (high - low) + low
    y = torch.randint(0, len(CLASSES), (ROWS + AUX,), generator=draws)
    return contest(model, x, y, schema, kind=kind)


def clustered(model: nn.Module, rows: Tensor, schema: DataSchema, *, kind: Reconstructed) -> Contest:
    """Return a contest whose rows lie around ``rows [classes, ...]``; the adversary's own are uniform: no help."""
    draws = torch.Generator().manual_seed(4)
    y = torch.arange(ROWS + AUX) % len(CLASSES)
    near = (rows[y] + 0.02 * torch.randn(len(y), *schema.shape, generator=draws)).clamp(0, 1)
    far = torch.rand(len(y), *schema.shape, generator=draws)
    return contest(model, torch.cat([near[:ROWS], far[ROWS:]]), y, schema, kind=kind)


def contest(model: nn.Module, x: Tensor, y: Tensor, schema: DataSchema, *, kind: Reconstructed) -> Contest:
    """Return a contest on rows of which the first ``ROWS`` are the pool, half of them members of every class."""
    rows = make_data(x, y, schema)
    pool, aux = rows.take(torch.arange(ROWS)), rows.take(torch.arange(ROWS, len(rows)))
    nothing = torch.zeros(0, 0, len(schema.classes))
    return Contest(
        model=model,
        beneath=model,
        pool=pool,
        member=torch.arange(ROWS) // len(CLASSES) % 2 == 0,
        test=aux,
        aux=aux,
        bank=Bank(nothing, torch.zeros(0, 0, dtype=torch.bool), nothing, adaptive=True),
        draws=("planted", "reconstruction"),
        reconstructs=kind,
    )


def prototypes() -> Tensor:
    """Return one dark image with a bright half for each class, the halves being left, right, upper and lower."""
    rows = torch.full((len(CLASSES), *IMAGES.shape), 0.1)
    rows[0, :, :, :3], rows[1, :, :, 3:], rows[2, :, :3], rows[3, :, 3:] = 0.9, 0.9, 0.9, 0.9
    return rows


class Leak(NamedTuple):
    """A view, and the rows ``x`` and labels ``y`` behind its gradients."""

    view: ReconstructionView
    x: Tensor
    y: Tensor


def leaky(schema: DataSchema, *, rows: int, batch: int = 1, noise: float = 0.0) -> Leak:
    """Return the view of a small network's gradients of so many rows, and the truth.

    ``noise`` is the standard deviation of what is added to each gradient, as a multiple of its root mean square.
    """
    draws = torch.Generator().manual_seed(5)
    low, high = (torch.as_tensor(bound) for bound in (schema.feasible.low, schema.feasible.high))
    x = torch.rand(rows, *schema.shape, generator=draws) * (high - low) + low
    y = torch.randint(0, len(CLASSES), (rows,), generator=draws)
    hidden = nn.Linear(schema.width, 32)
    module = nn.Sequential(Scaled(low, high), nn.Flatten(), hidden, nn.Sigmoid(), nn.Linear(32, len(CLASSES)))
    for value in module.parameters():
        value.data = torch.rand(value.shape, generator=draws) - 0.5
    gradient = _noisy(_gradients(module, x, y, batch), noise, draws)
    nothing = torch.zeros(0, len(CLASSES))
    view = ReconstructionView(
        kind="batch",
        size=rows,
        model=WhiteBox(module),
        y=y[:0],
        observed=nothing,
        gradient=gradient,
        batch=batch,
        aux_x=x[:0],
        aux_y=y[:0],
        observed_aux=nothing,
        data_schema=schema,
    )
    return Leak(view, x, y)


class Scaled(nn.Module):
    """Scales rows from their bounds to -1 .. 1, as a network's fixed first step may."""

    def __init__(self, low: Tensor, high: Tensor) -> None:
        """Take the bounds."""
        super().__init__()
        self.middle, self.reach = (high + low) / 2, (high - low) / 2

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled rows."""
        return (x - self.middle) / self.reach


def _gradients(module: nn.Module, x: Tensor, y: Tensor, batch: int) -> dict[str, Tensor]:
    parameters = {name: value.detach() for name, value in module.named_parameters()}

    def loss(values: dict[str, Tensor], rows: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(functional_call(module, values, (rows,)), labels)

    grouped = (x.reshape(-1, batch, *x.shape[1:]), y.reshape(-1, batch))
    found: dict[str, Tensor] = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, *grouped)
    return found


def _noisy(gradient: Mapping[str, Tensor], noise: float, draws: torch.Generator) -> dict[str, Tensor]:
    size = torch.cat([value.flatten() for value in gradient.values()]).square().mean().sqrt()
    return {name: value + noise * size * torch.randn(value.shape, generator=draws) for name, value in gradient.items()}
