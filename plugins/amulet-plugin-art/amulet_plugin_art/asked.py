"""One row's victim as the toolbox's black boxes are asked: over unit inputs, remembering the nearest that fooled it."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from amulet_core.data import bounds
from amulet_core.feasible import project
from amulet_core.schema import DataSchema
from amulet_core.vocabulary import Norm
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
Ask = Callable[[Tensor], Tensor]
"""From rows ``[n, ...]`` to what the victim says, float32 ``[n, classes]``; a label is a one at its class."""


class SpentError(Exception):
    """The queries that a search may cost are spent: it ends, and what it found until then counts."""


class Units(NamedTuple):
    """Rows in units of their features' ranges, ``[n, channels, height, width]``, and a norm to measure changes in.

    Rows of a table stand as images of one pixel with a channel for each feature. ``low`` and ``span`` have the shape of
    a row. ``snapped``: the victim is asked about possible inputs alone, which are what is measured.
    """

    low: Tensor
    span: Tensor
    shape: tuple[int, ...]
    norm: Norm
    snapped: DataSchema | None

    def of(self, x: Tensor) -> Floats:
        """Return rows ``[n, ...]`` in units."""
        units: Floats = ((x - self.low) / self.span).reshape(-1, *self.shape).numpy()
        return units

    def rows(self, units: Floats) -> Tensor:
        """Return unit inputs as rows."""
        x: Tensor = self.low + torch.from_numpy(units).reshape(-1, *self.low.shape) * self.span
        return x

    def possible(self, units: Floats, origin: Floats) -> Floats:
        """Return the possible inputs near some: whole numbers stay whole, categories stay categories."""
        if self.snapped is None:
            return units
        return self.of(project(self.rows(units), self.rows(origin), self.snapped, norm="linf", epsilon=1.0))

    def distance(self, units: Floats, origin: Floats) -> NDArray[np.float64]:
        """Return how far inputs lie from one row ``[channels, height, width]``, float64 ``[n]``."""
        moved = np.abs(units - origin).reshape(len(units), -1).astype(np.float64)
        found: NDArray[np.float64] = moved.max(1) if self.norm == "linf" else np.sqrt((moved**2).sum(1))
        return found


def units_of(schema: DataSchema, norm: Norm, *, snap: Literal["snapped", "relaxed"] = "relaxed") -> Units:
    """Return the units of a schema's features, by their declared bounds; whether whole numbers and groups are kept."""
    discrete = schema.feasible.integer or schema.feasible.one_hot
    low, high = bounds(schema)
    shape = schema.shape if len(schema.shape) == 3 else (schema.width, 1, 1)
    return Units(low, high - low, shape, norm, schema if snap == "snapped" and discrete else None)


class Asked:
    """The victim as the adversary of one row asks it; features that cannot change are put back before it is asked.

    ``nearest`` is the input that lies nearest to the row among all that were asked about and not classified as
    ``label``, ``distance`` how far it lies (there was none: the row itself, and infinity).
    """

    def __init__(
        self, ask: Ask, units: Units, origin: Floats, *, label: int, free: NDArray[np.bool_], queries: int
    ) -> None:
        """Ask on behalf of the row ``origin [channels, height, width]``, so many times at most."""
        self._ask, self._label, self._left = ask, label, queries
        self.units, self.origin, self.free = units, origin, free
        self.nearest, self.distance = origin, float("inf")

    def __call__(self, units: Floats) -> Floats:
        """Return what the victim says of inputs ``[n, ...]``, float32 ``[n, classes]``.

        Raises:
            SpentError: if they are more than may still be asked about; none of them is.
        """
        if len(units) > self._left:
            raise SpentError
        self._left -= len(units)
        put_back = np.where(self.free, units, self.origin).astype(np.float32)
        possible = self.units.possible(put_back, self.origin)
        answers: Floats = self._ask(self.units.rows(possible)).numpy()
        self._remember(possible[answers.argmax(1) != self._label])
        return answers

    def _remember(self, fooled: Floats) -> None:
        if not len(fooled):
            return
        distances = self.units.distance(fooled, self.origin)
        first = int(distances.argmin())
        if distances[first] < self.distance:
            self.nearest, self.distance = fooled[first], float(distances[first])
