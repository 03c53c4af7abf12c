"""Linear victims, whose weakness at every row is known in closed form, for the checks."""

import math

import torch
from amulet_core.data import bounds
from amulet_core.games.evasion import EvasionView
from amulet_core.schema import DataSchema, Feasible
from amulet_core.streams import isolated
from amulet_core.victims import ProbabilityOracle, WhiteBox
from amulet_core.vocabulary import Norm
from torch import Tensor, nn

IMAGES = DataSchema(
    modality="image",
    shape=(1, 8, 8),
    classes=("left", "right", "top", "bottom"),
    feasible=Feasible(low=-1.0, high=3.0),
)
_HIGH = tuple(0.5 * 1.15**index for index in range(30))
TABLE = DataSchema(
    modality="tabular",
    shape=(30,),
    classes=("no", "yes"),
    feasible=Feasible(low=tuple(-high for high in _HIGH), high=_HIGH),
)


def image_victim() -> nn.Module:
    """Return a linear model of four classes: which side of an image is brighter. All its logits are below zero.

    Its weights are smooth, so that attacks which smooth or resize can follow them too.
    """
    wave = torch.cos(math.pi * (torch.arange(8) + 0.5) / 8)
    across, down = wave.repeat(8, 1).flatten(), wave[:, None].repeat(1, 8).flatten()
    return _linear(torch.stack([across, -across, down, -down]), bias=-50.0)


def table_victim() -> nn.Module:
    """Return a linear model of two classes over features of unequal ranges. All its logits are below zero."""
    with isolated("planted table victim"):
        weight = torch.randn(2, len(_HIGH)) / torch.tensor(_HIGH)
    return _linear(weight, bias=-50.0)


def rows_near_the_middle(schema: DataSchema, *, rows: int) -> Tensor:
    """Return rows ``[rows, ...]`` within the middle tenth of each feature's range, so that bounds are out of reach."""
    low, high = bounds(schema)
    with isolated("planted rows", schema.modality):
        offsets = (torch.rand(rows, *schema.shape) - 0.5) / 10
    near: Tensor = (low + high) / 2 + offsets * (high - low)
    return near


def margins(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return by how much the true logit leads each other one, float64 ``[n, classes]`` (infinite at its own place)."""
    weight, bias = _parameters(model)
    logits = x.flatten(1).double() @ weight.T + bias
    lead = logits.gather(1, y[:, None]) - logits
    away: Tensor = lead.scatter(1, y[:, None], torch.inf)
    return away


def steepness(model: nn.Module, schema: DataSchema, y: Tensor, *, norm: Norm) -> Tensor:
    """Return how much of each lead a budget of 1 can cost, float64 ``[n, classes]``: dual norms of ``W_y - W_j``."""
    weight, _ = _parameters(model)
    low, high = (bound.flatten().double() for bound in bounds(schema))
    apart = (weight[y][:, None] - weight) * (high - low)
    dual: Tensor = torch.linalg.vector_norm(apart, ord=1 if norm == "linf" else 2, dim=-1)
    return dual


def needed(model: nn.Module, schema: DataSchema, x: Tensor, y: Tensor, *, norm: Norm) -> Tensor:
    """Return the smallest budget that can fool each row, float64 ``[n]``."""
    cost = steepness(model, schema, y, norm=norm).clamp_min(1e-12)
    return (margins(model, x, y) / cost).amin(1)


def view_of(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    schema: DataSchema,
    *,
    norm: Norm,
    epsilons: tuple[float, ...],
    kind: type[ProbabilityOracle] | None = WhiteBox,
) -> EvasionView:
    """Return an adversary's view of a model by its access (None: of no model)."""
    oracle = kind(model) if kind else None
    return EvasionView(model=oracle, x=x, y=y, norm=norm, epsilons=epsilons, data_schema=schema)


def _linear(weight: Tensor, *, bias: float) -> nn.Module:
    layer = nn.Linear(weight.shape[1], len(weight))
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.fill_(bias)
    return nn.Sequential(nn.Flatten(), layer).requires_grad_(False)


def _parameters(model: nn.Module) -> tuple[Tensor, Tensor]:
    weight, bias = model.parameters()
    return weight.double(), bias.double()
