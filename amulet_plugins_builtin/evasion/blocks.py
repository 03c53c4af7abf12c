"""Where random search by blocks looks next (Andriushchenko et al., arXiv:1912.00049): squares of an image.

A table has no neighbours, so there a block is a random subset of the features. Changes are in units of the features'
ranges; draws come from a generator and are made for all rows, so that they do not depend on the victim.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from amulet_core.vocabulary import Norm

_TINY = 1e-6


class Draw(NamedTuple):
    """What one proposal for every row was drawn as: block ``first`` gets ``pattern``; L2 takes it from ``second``.

    Masks and patterns are ``[n, ...]`` or broadcast to it.
    """

    first: Tensor
    second: Tensor
    pattern: Tensor


@dataclass(frozen=True)
class Blocks:
    """How blocks are drawn for ``n`` rows: ``start()`` the first change, ``draw(share)`` a proposal of that size.

    Changes have the ``shape`` of a row here, and ``axes`` are those of ``[n, *shape]`` that one block spans (each
    channel of an image has its own share of an L2 budget).
    """

    start: Callable[[], Tensor]
    draw: Callable[[float], Draw]
    shape: tuple[int, ...]
    axes: tuple[int, ...]


def share_at(query: int, queries: int, *, first: float) -> float:
    """Return the share of the features that blocks cover at a query: halved at nine places (section 3, for 10,000)."""
    place = query / queries * 10_000
    halvings = sum(place > at for at in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
    return first / 2.0**halvings


def proposed(change: Tensor, draw: Draw, *, blocks: Blocks, norm: Norm, epsilon: float) -> Tensor:
    """Return the proposals from the changes so far, ``[n, ...]`` (algorithms 2 and 3 of the paper)."""
    if norm == "linf":
        return torch.where(draw.first, epsilon * draw.pattern, change)
    return _transferred(change, draw, axes=blocks.axes, epsilon=epsilon)


def _transferred(change: Tensor, draw: Draw, *, axes: tuple[int, ...], epsilon: float) -> Tensor:
    """Move the L2 mass of the second block, and what the budget has left, into the first, in a new shape."""
    first, second = draw.first, draw.second
    rest = tuple(range(1, change.ndim))
    channels = change.shape[1] if len(axes) < len(rest) else 1
    unused = (epsilon**2 - change.square().sum(rest, keepdim=True)).clamp_min(0)
    both = torch.where(first | second, change, 0).square().sum(axes, keepdim=True)
    inside = torch.where(first, change, 0)
    shape = draw.pattern + _unit(inside, axes)
    # A pattern that is just what stands there, turned round, would leave nothing.
    gone = torch.linalg.vector_norm(shape, dim=axes, keepdim=True) < _TINY
    mass = (both + unused / channels).sqrt()
    return torch.where(
        first, _unit(torch.where(gone, draw.pattern, shape), axes) * mass, torch.where(second, 0, change)
    )


def _unit(change: Tensor, axes: tuple[int, ...]) -> Tensor:
    scaled: Tensor = change / torch.linalg.vector_norm(change, dim=axes, keepdim=True).clamp_min(_TINY)
    return scaled


def feature_blocks(
    n: int, free: Tensor, *, groups: tuple[tuple[int, ...], ...] = (), norm: Norm, epsilon: float, draws: Generator
) -> Blocks:
    """Return blocks for rows of a table: random subsets of the features that are ``free [d]``, each with its sign.

    The features of a one-hot group come together, with values that leave each of them a chance to be the largest.
    """
    width, count = len(free), int(free.sum())
    unit, member = torch.arange(width), torch.zeros(width, dtype=torch.bool)
    for group in groups:
        unit[list(group)], member[list(group)] = group[0], True

    def values() -> Tensor:
        drawn = torch.rand(n, width, generator=draws) * 2 - 1
        return torch.where(member, drawn, torch.where(drawn < 0, -1.0, 1.0)) * free

    def subset(size: int) -> Tensor:
        order = torch.rand(n, width, generator=draws)[:, unit].masked_fill(~free, 2)
        return order <= order.kthvalue(size, dim=1, keepdim=True).values

    def draw(share: float) -> Draw:
        size = max(1, round(share * count))
        first = subset(size)
        if norm == "linf":
            return Draw(first, first, values())
        return Draw(first, subset(size), _unit(values() * first, (1,)))

    def start() -> Tensor:
        return epsilon * (values() if norm == "linf" else _unit(values(), (1,)))

    return Blocks(start, draw, shape=(width,), axes=(1,))


def square_blocks(n: int, shape: tuple[int, ...], *, norm: Norm, epsilon: float, draws: Generator) -> Blocks:
    """Return blocks for images ``(channels, height, width)``: squares, of one sign in each channel (linf) or peaked."""
    channels, height, width = shape

    def signs(*size: int) -> Tensor:
        return torch.randint(0, 2, (n, channels, *size), generator=draws) * 2.0 - 1

    def offsets(side: int) -> tuple[Tensor, Tensor]:
        top = torch.randint(0, height - side + 1, (n, 1), generator=draws)
        left = torch.randint(0, width - side + 1, (n, 1), generator=draws)
        return torch.arange(height) - top, torch.arange(width) - left

    def within(down: Tensor, across: Tensor, side: int) -> Tensor:
        rows, columns = (down >= 0) & (down < side), (across >= 0) & (across < side)
        return (rows[:, :, None] & columns[:, None, :])[:, None]

    def draw(share: float) -> Draw:
        side = round((share * height * width) ** 0.5)
        if norm == "linf":
            side = min(max(1, side), height, width)
            first = within(*offsets(side), side)
            return Draw(first, first, signs(1, 1))
        # The paper's L2 squares have an odd side of three or more; smaller ones hold no peak and its counterpart.
        side = min(max(3, side + (side + 1) % 2), height, width)
        down, across = offsets(side)
        first, second = within(down, across, side), within(*offsets(side), side)
        peak = _two_peaks(side)
        turned = (torch.rand(n, generator=draws) < 0.5)[:, None, None]
        place = down.clamp(0, side - 1)[:, :, None], across.clamp(0, side - 1)[:, None, :]
        pattern = torch.where(turned, peak.T[place], peak[place])[:, None]
        return Draw(first, second, signs(1, 1) * pattern * first)

    def start() -> Tensor:
        if norm == "linf":
            return (epsilon * signs(1, width)).expand(n, *shape).clone()
        side = max(1, min(height, width) // 5)
        tiles = signs(-(-height // side), -(-width // side))
        signed = tiles.repeat_interleave(side, 2).repeat_interleave(side, 3)[:, :, :height, :width]
        peak = _two_peaks(side).repeat(-(-height // side), -(-width // side))[:height, :width]
        change = signed * peak
        return epsilon * _unit(change, (1, 2, 3))

    return Blocks(start, draw, shape=shape, axes=(2, 3))


def _two_peaks(side: int) -> Tensor:
    """Return the shape of an L2 square, ``[side, side]`` of length 1: a peak on the left, its negative on the right."""
    half = side // 2
    left, right = _peak(side, half), _peak(side, side - half)
    peaks = torch.cat([left, -right], 1)
    shape: Tensor = peaks / torch.linalg.vector_norm(peaks)
    return shape


def _peak(height: int, width: int) -> Tensor:
    """Return a peak ``[height, width]`` (equation 2 of the paper): sums of inverse squares that fall to the border."""
    reach = height // 2
    levels = (torch.arange(reach + 1) + 1.0).pow(-2).flip(0).cumsum(0).flip(0)
    down = (torch.arange(height) - height // 2).abs()
    across = (torch.arange(width) - width // 2).abs()
    return levels[torch.maximum(down[:, None], across[None, :])]
