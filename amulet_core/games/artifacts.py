"""The base of every value with tensors that crosses a plugin boundary: shapes, dtypes and finiteness, checked once."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor


@dataclass(frozen=True)
class Shaped:
    """What a tensor field must be: its dtype, and its sizes: numbers, names (equal names, equal sizes) or ``...``."""

    dtype: torch.dtype
    sizes: tuple[Any, ...]


def shaped(dtype: torch.dtype, *sizes: Any) -> Shaped:
    """Mark what a field of an artifact must be, inside ``Annotated[Tensor, ...]``."""
    return Shaped(dtype, sizes)


class Artifact(BaseModel):
    """A frozen value whose tensor fields are checked against their ``shaped`` annotations when it is made.

    A field that may be None says so in its type.

    Raises:
        ValidationError: naming every field whose dtype or shape is wrong or which is not finite.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="after")
    def _tensors_are_as_annotated(self) -> Self:
        sizes: dict[str, int] = {}
        problems = []
        for name, field in type(self).model_fields.items():
            expected = next((mark for mark in field.metadata if isinstance(mark, Shaped)), None)
            if expected is not None and getattr(self, name) is not None:
                problems += _mismatches(name, getattr(self, name), expected, sizes)
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _mismatches(name: str, value: Tensor, expected: Shaped, sizes: dict[str, int]) -> list[str]:
    shape = tuple(value.shape)
    wanted = expected.sizes
    if value.dtype != expected.dtype or not _fits(shape, wanted, sizes):
        known = [sizes.get(size, size) if isinstance(size, str) else size for size in wanted]
        shown = ", ".join("..." if size is ... else str(size) for size in known)
        return [f"{name} is {value.dtype} {list(shape)}, expected {expected.dtype} [{shown}]"]
    if value.is_floating_point() and not torch.isfinite(value).all():
        bad = (~torch.isfinite(value)).nonzero()
        place = bad[0].tolist()
        return [
            f"{name} holds {len(bad)} values that are not finite (the first: {float(value[tuple(place)])} at {place})"
        ]
    return []


def _fits(shape: tuple[int, ...], wanted: tuple[Any, ...], sizes: dict[str, int]) -> bool:
    if ... in wanted:
        cut = wanted.index(...)
        wanted, shape = wanted[:cut], shape[:cut]
    if len(shape) != len(wanted):
        return False
    return all(
        size == (sizes.setdefault(want, size) if isinstance(want, str) else want)
        for size, want in zip(shape, wanted, strict=True)
    )
