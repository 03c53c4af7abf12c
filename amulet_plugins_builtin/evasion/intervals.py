"""Interval bound propagation (Gowal et al., arXiv:1810.12715, section 3): where a network's outputs must lie.

An ``Interval`` goes through a network in the place of its input. It knows affine and monotone functions; any other is a
plain error, so that no bound is ever of another function than the network's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from amulet_core.vocabulary import Norm

_AFFINE: Final = ("linear", "conv2d")
_MONOTONE: Final = ("relu", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "tanh", "sigmoid")


class UnboundedError(ValueError):
    """A network does something to its input that intervals do not know."""


@dataclass(frozen=True)
class Interval:
    """All points ``centre + radius * u``, each row's ``u`` in the unit ball of ``norm``; both ``[n, ...]``.

    After the first layer that mixes features the norm is linf: a box. ``before`` is the interval that the last affine
    layer read, if that is what made this one, and ``weight`` its weights.
    """

    centre: Tensor
    radius: Tensor
    norm: Norm = "linf"
    before: "Interval | None" = None
    weight: Tensor | None = None

    @property
    def low(self) -> Tensor:
        """Return the least value of each entry."""
        return self.centre - self.radius

    @property
    def high(self) -> Tensor:
        """Return the largest value of each entry."""
        return self.centre + self.radius

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> "Interval":
        """Pass an interval through one function of torch."""
        name, own = getattr(func, "__name__", "").lstrip("_"), args[0] if args else None
        if isinstance(own, Interval) and not any(isinstance(one, Interval) for one in args[1:]):
            if name in _AFFINE:
                return own._affine(func, args[1:], kwargs or {})
            if name == "flatten":
                return own.flatten(*args[1:], **(kwargs or {}))
            if name in _MONOTONE:
                return own._monotone(func, *args[1:], **(kwargs or {}))
        raise UnboundedError(f"intervals cannot pass through {name or repr(func)}")

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> "Interval":
        """Return it flattened."""
        return Interval(self.centre.flatten(start_dim, end_dim), self.radius.flatten(start_dim, end_dim), self.norm)

    def __sub__(self, other: Tensor) -> "Interval":
        """Shift it."""
        return Interval(self.centre - other, self.radius, self.norm)

    def __truediv__(self, other: Tensor) -> "Interval":
        """Scale it."""
        return Interval(self.centre / other, self.radius / abs(other), self.norm)

    def _monotone(self, func: Callable[..., Tensor], *args: Any, **kwargs: Any) -> "Interval":
        low, high = func(self.low, *args, **kwargs), func(self.high, *args, **kwargs)
        return Interval((low + high) / 2, (high - low) / 2)

    def _affine(self, func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]) -> "Interval":
        given = dict(zip(("weight", "bias"), args, strict=False)) | dict(kwargs)
        more, weight = args[2:], given.pop("weight")
        bias = given.pop("bias", None)
        return Interval(
            func(self.centre, weight, bias, *more, **given),
            spread(lambda radius, size: func(radius, size, None, *more, **given), self.radius, weight, self.norm),
            before=self,
            weight=weight,
        )


def spread(apply: Callable[[Tensor, Tensor], Tensor], radius: Tensor, weight: Tensor, norm: Norm) -> Tensor:
    """Return how far a linear function's values can lie from its centre's: the dual norm of ``weight * radius``."""
    if norm == "linf":
        return apply(radius, weight.abs())
    # The root has no finite gradient at 0.
    squares: Tensor = apply(radius.square(), weight.square()).clamp_min(torch.finfo(radius.dtype).tiny)
    return squares.sqrt()


def passed(model: nn.Module, interval: Interval) -> Interval:
    """Return what a model makes of an interval.

    Raises:
        UnboundedError: if it does something that intervals do not know.
    """
    out = model(interval)
    if not isinstance(out, Interval):
        raise UnboundedError(f"the model made {type(out).__name__} of an interval")
    return out


def margins(model: nn.Module, interval: Interval) -> Tensor:
    """Return the least value that logit y minus logit j can have, ``[n, classes (y), classes (j)]``.

    The rows ``W_y - W_j`` are folded into the last layer (section 3): its two logits move together.
    """
    logits = passed(model, interval)
    centre = logits.centre[:, :, None] - logits.centre[:, None, :]
    if logits.before is None or logits.weight is None or logits.weight.ndim != 2:
        apart = logits.radius[:, :, None] + logits.radius[:, None, :]
        same = torch.eye(apart.shape[-1], dtype=torch.bool, device=apart.device)
        return centre - apart.masked_fill(same, 0)
    rows = (logits.weight[:, None] - logits.weight[None]).flatten(0, 1)
    wide = spread(nn.functional.linear, logits.before.radius, rows, logits.before.norm)
    least: Tensor = centre - wide.unflatten(1, centre.shape[1:])
    return least
