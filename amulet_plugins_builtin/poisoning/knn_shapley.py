"""Exact Shapley values of training rows for a nearest-neighbour classifier (Jia et al., arXiv:1908.08619)."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ELEMENTS: Final = 1 << 22
"""How many pairs of a validation and a training row are looked at together: some 200 MB in all."""


def knn_shapley(x: Tensor, y: Tensor, val_x: Tensor, val_y: Tensor, *, neighbours: int) -> NDArray[np.float64]:
    """Return the Shapley value of every training row ``x [n, d]``, ``y [n]``: float64 ``[n]``.

    The value of a set of training rows is the mean, over the validation rows, of the share of the ``K = neighbours``
    nearest ones (Euclidean) that have the right label: hits divided by K, also where the set has fewer than K rows.
    Ties in distance, to float32's precision, are nearest in the order of the rows. The values sum to that of all rows.

    Raises:
        ValueError: if there is no training or no validation row.
    """
    if not len(x) or not len(val_x):
        raise ValueError(
            f"the values of {len(x)} rows on {len(val_x)} validation rows are not defined: give some of each"
        )
    labels, total = y.numpy(), np.zeros(len(x))
    weight = _weights(len(x), neighbours)
    for near, own in _by_distance(x, val_x):
        hit = (labels[near] == val_y.numpy()[own, None]).astype(np.float64)
        total += np.bincount(near.ravel(), weights=_values(hit, weight).ravel(), minlength=len(x))
    return total / len(val_x)


def _weights(n: int, neighbours: int) -> NDArray[np.float64]:
    """Return ``min(K, i) / (K i)`` for the i-th nearest row, i = 1 .. n."""
    place = np.arange(1, n + 1, dtype=np.float64)
    return np.minimum(neighbours, place) / (neighbours * place)


def _values(hit: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values ``[m, n]`` of rows by nearness from their hits: theorem 1, summed from behind.

    s_n = hit_n w_n (for n >= K this is hit_n / n), and s_i = s_(i+1) + (hit_i - hit_(i+1)) w_i.
    """
    change = hit.copy()
    change[:, :-1] -= hit[:, 1:]
    change *= weight
    behind: NDArray[np.float64] = change[:, ::-1].cumsum(axis=1)[:, ::-1]
    return behind


def _by_distance(x: Tensor, val_x: Tensor) -> Iterator[tuple[NDArray[np.int64], slice]]:
    """Yield, for one slice of the validation rows after the other, all training rows from near to far, ``[m, n]``."""
    points, places = x.double(), np.arange(len(x), dtype=np.uint64)
    squares = points.square().sum(1)
    rows = max(1, _ELEMENTS // len(x))
    for start in range(0, len(val_x), rows):
        own = slice(start, min(start + rows, len(val_x)))
        asked = val_x[own].double()
        distance = torch.addmm(squares + asked.square().sum(1, keepdim=True), asked, points.T, alpha=-2)
        # Bits of floats that are not negative order as they do: with the place behind them every key is unique, and the
        # fastest sort is a stable one.
        keys: NDArray[Any] = distance.clamp_min_(0).float().numpy().view(np.uint32).astype(np.uint64)
        keys <<= np.uint64(32)
        keys |= places
        keys.sort(axis=1)
        keys &= np.uint64(0xFFFFFFFF)
        yield keys.view(np.int64), own
