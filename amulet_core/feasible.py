"""What an adversary can reach: budgets in units of each feature's range, and the projection onto possible inputs.

Every attack, its control and every robust training use this one projection, and the core judges answers by it.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from amulet_core.data import bounds
from amulet_core.schema import DataSchema
from amulet_core.vocabulary import Norm

Projection = Callable[[Tensor, Tensor], Tensor]
"""``projection(x, origin)``, all ``[..., *schema.shape]``: the possible input near ``x`` within reach of ``origin``."""

# A point that a projection put on the surface of an L2 ball lies outside by rounding; it must not be moved again.
_SLACK = 1e-5


def span(schema: DataSchema) -> Tensor:
    """Return each feature's range, ``high - low``, float32 ``schema.shape``, in the units of ``x``."""
    low, high = bounds(schema)
    return high - low


def mutable(schema: DataSchema, *, norm: Norm = "linf", epsilon: float = 0.0) -> Tensor:
    """Return which features an adversary with this budget can change, bool ``schema.shape``.

    The features of a one-hot group count where the budget reaches another value of it: a change costs 1 in linf and
    sqrt 2 in L2 (for bounds 0 and 1), so smaller budgets leave groups alone. One immutable feature fixes its group.
    """
    fixed = set(schema.feasible.immutable)
    for group in schema.feasible.one_hot:
        if not _changeable(group, schema, norm=norm, epsilon=epsilon):
            fixed |= set(group)
    return ~_mask(fixed, schema).reshape(schema.shape)


def distance(x: Tensor, origin: Tensor, schema: DataSchema, *, norm: Norm) -> Tensor:
    """Return how far each row ``[..., *schema.shape]`` lies from its origin, ``[...]``, in units of the ranges."""
    moved = _flat((x - origin) / span(schema).to(x.device), schema)
    return moved.abs().amax(-1) if norm == "linf" else torch.linalg.vector_norm(moved, dim=-1)


def project(
    x: Tensor, origin: Tensor, schema: DataSchema, *, norm: Norm, epsilon: float, integers: bool = True
) -> Tensor:
    """Return possible inputs near ``x`` within ``epsilon`` of ``origin``, both ``[..., *schema.shape]``.

    A possible input comes back unchanged. See ``projection``, which is cheaper where many inputs are projected alike.
    """
    return projection(schema, norm=norm, epsilon=epsilon, integers=integers)(x, origin)


def projection(schema: DataSchema, *, norm: Norm, epsilon: float, integers: bool = True) -> Projection:
    """Return the projection onto the inputs that an adversary can reach from an origin with the budget ``epsilon``.

    Immutable features keep the origin's value; all others stay within their bounds and within the budget (linf: each
    feature; L2: the box first, then a pull towards the origin). A one-hot group takes the value where it is largest, if
    the budget reaches it, else the origin's; under L2 the groups that changed most are paid first, other features share
    what is left. Integer features are rounded towards the origin, hence never out of the budget. ``integers=False``
    leaves integers and changeable groups relaxed, for the steps of an attack. Works inside ``torch.func`` transforms.
    """
    region = _region(schema, norm=norm, epsilon=epsilon, integers=integers)

    def apply(x: Tensor, origin: Tensor) -> Tensor:
        here = _Region(*(part.to(x.device) for part in region))
        start = _flat(origin, schema)
        moved = torch.where(here.free, torch.clamp(_flat(x, schema), here.low, here.high), start)
        spent = torch.zeros_like(start[..., :1])
        if len(here.groups):
            moved, spent = _snapped(moved, start, here, norm=norm, epsilon=epsilon)
        moved = _within(moved, start, here, norm=norm, epsilon=epsilon, spent=spent)
        if integers and schema.feasible.integer:
            moved = torch.where(here.whole, _rounded_towards(start, moved, here), moved)
        return moved.reshape(x.shape)

    return apply


class _Region(NamedTuple):
    """The constants of a projection, over flattened features ``[d]``; ``groups [g, s]`` lists each group's features."""

    low: Tensor
    high: Tensor
    free: Tensor
    whole: Tensor
    groups: Tensor
    member: Tensor

    @property
    def width(self) -> Tensor:
        return self.high - self.low


def _region(schema: DataSchema, *, norm: Norm, epsilon: float, integers: bool) -> _Region:
    low, high = (bound.flatten() for bound in bounds(schema))
    free = mutable(schema, norm=norm, epsilon=epsilon).flatten()
    chosen = [group for group in schema.feasible.one_hot if _changeable(group, schema, norm=norm, epsilon=epsilon)]
    groups = chosen if integers else []
    longest = max((len(group) for group in groups), default=0)
    # A group is filled up with its own first feature: its largest value and its extent stay what they are.
    padded = [(*group, *(group[0],) * (longest - len(group))) for group in groups]
    member = torch.stack([_mask(group, schema) for group in groups]) if groups else torch.zeros(0, schema.width).bool()
    whole = _mask(schema.feasible.integer, schema) & ~_mask(
        (i for group in schema.feasible.one_hot for i in group), schema
    )
    return _Region(low, high, free, whole & free, torch.tensor(padded, dtype=torch.int64), member)


def _snapped(x: Tensor, origin: Tensor, region: _Region, *, norm: Norm, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return ``x`` with every group at a single value, and the squared L2 budget ``[..., 1]`` that this took."""
    chosen, current = _largest(x, region), _largest(origin, region)
    grouped = region.member.any(0)
    value = (torch.arange(x.shape[-1], device=x.device) == chosen[..., None]).any(-2).to(x.dtype)
    apart = torch.where(grouped, (value - origin) / region.width, 0)
    if norm == "linf":
        cost = apart.abs()[..., region.groups].amax(-1)
        goes = (chosen != current) & (cost <= epsilon + _SLACK)
    else:
        cost = torch.where(chosen != current, apart.square() @ region.member.to(x.dtype).T, 0)
        gain = torch.take_along_dim(x, chosen, -1) - torch.take_along_dim(x, current, -1)
        order = gain.argsort(-1, descending=True)
        paid = torch.take_along_dim(cost, order, -1).cumsum(-1) <= (epsilon + _SLACK) ** 2
        goes = (chosen != current) & torch.take_along_dim(paid, order.argsort(-1), -1)
    changes = (goes[..., None] & region.member).any(-2)
    spent = torch.where(goes, cost, 0).sum(-1, keepdim=True)
    return torch.where(changes, value, torch.where(grouped, origin, x)), spent


def _largest(x: Tensor, region: _Region) -> Tensor:
    """Return the feature with the largest value in each group, ``[..., g]``."""
    place = x[..., region.groups].argmax(-1, keepdim=True)
    return torch.take_along_dim(region.groups.expand(*place.shape[:-1], -1), place, -1)[..., 0]


def _within(x: Tensor, origin: Tensor, region: _Region, *, norm: Norm, epsilon: float, spent: Tensor) -> Tensor:
    settled = region.member.any(0)
    if norm == "linf":
        reach = epsilon * region.width
        near = torch.minimum(torch.maximum(x, origin - reach), origin + reach)
        return torch.where(settled, x, torch.clamp(near, region.low, region.high))
    moved = torch.where(settled, 0, (x - origin) / region.width)
    size = torch.linalg.vector_norm(moved, dim=-1, keepdim=True)
    inside = size.square() + spent <= (epsilon * (1 + _SLACK) + _SLACK / 10) ** 2
    left = (epsilon**2 - spent).clamp_min(0).sqrt()
    pulled = torch.clamp(origin + (x - origin) * (left / size.clamp_min(_SLACK / 10)), region.low, region.high)
    return torch.where(inside | settled, x, pulled)


def _rounded_towards(origin: Tensor, x: Tensor, region: _Region) -> Tensor:
    # The budget's edge can fall a rounding error short of the whole number that it means.
    short = (1e-6 * torch.maximum(region.low.abs(), region.high.abs())).clamp_max(0.25)
    down = torch.maximum(torch.floor(x + short), origin)
    up = torch.minimum(torch.ceil(x - short), origin)
    return torch.where(x >= origin, down, up)


def _changeable(group: tuple[int, ...], schema: DataSchema, *, norm: Norm, epsilon: float) -> bool:
    """Tell whether some change of a one-hot group fits the budget and touches no immutable feature."""
    if len(group) < 2 or set(group) & set(schema.feasible.immutable):
        return False
    widths = span(schema).flatten()[list(group)].tolist()
    longest, second = sorted(widths, reverse=True)[:2]
    cost = 1 / second if norm == "linf" else math.hypot(1 / longest, 1 / second)
    return bool(cost <= epsilon + _SLACK)


def _mask(features: Iterable[int], schema: DataSchema) -> Tensor:
    mask = torch.zeros(schema.width, dtype=torch.bool)
    mask[torch.tensor(list(features), dtype=torch.int64)] = True
    return mask


def _flat(x: Tensor, schema: DataSchema) -> Tensor:
    return x.reshape(*x.shape[: x.ndim - len(schema.shape)], schema.width)
