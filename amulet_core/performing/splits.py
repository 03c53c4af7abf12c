"""Who gets which rows: duplicates removed, disjoint stratified blocks, members and held-out rows; by seed alone."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from amulet_core.data import Data
from amulet_core.errors import RequestError
from amulet_core.planning.sizes import SplitSizes, size_problems
from amulet_core.streams import generator


@dataclass(frozen=True)
class Block:
    """Row ids of one block, each int64: ``pool`` (half of it trains a model), ``val``, ``test``, ``aux``."""

    pool: Tensor
    val: Tensor
    test: Tensor
    aux: Tensor


def deduplicated(data: Data) -> Data:
    """Return ``data`` without exact duplicates of (x, y): the first of equal rows stays, under its own id."""
    label = data.y.numpy().astype(np.int64)[:, None].view(np.uint8)
    # Adding zero turns -0.0, which equals 0.0 but has other bytes, into 0.0.
    inputs = np.ascontiguousarray((data.x + 0.0).flatten(1).numpy()).view(np.uint8)
    rows = np.ascontiguousarray(np.hstack([label, inputs]))
    _, first = np.unique(rows.view(np.dtype((np.void, rows.shape[1]))).ravel(), return_index=True)
    return data.take(torch.from_numpy(np.sort(first)))


def positions(data: Data, ids: Tensor) -> Tensor:
    """Return where the rows ``ids`` stand in ``data``, int64 ``[len(ids)]``, fit for ``data.take``.

    Raises:
        ValueError: if an id is not in the data.
    """
    ordered, order = data.id.sort()
    place = torch.searchsorted(ordered, ids).clamp(max=len(data) - 1)
    unknown = ids[ordered[place] != ids]
    if len(unknown):
        raise ValueError(f"{len(unknown)} row ids are not in the data (for example {unknown[:3].tolist()})")
    return order[place]


def blocks(data: Data, *, sizes: SplitSizes, blocks: int, seed: int) -> tuple[Block, ...]:
    """Draw ``blocks`` blocks of row ids; no two parts of any blocks share a row.

    Every part has each class (and, within a class, each combination of sensitive values) in the proportions of the
    data, to within a row or two. Small strata need no merging: the rows are ordered by class, then by sensitive
    values, at random within, and dealt out evenly along that order, so a stratum too small for every part is shared
    out beside its neighbour of the same class.

    Raises:
        RequestError: if the sizes are impossible, the rows too few, or all of one class.
    """
    class_rows = torch.bincount(data.y, minlength=len(data.schema.classes)).tolist()
    problems = size_problems(sizes, blocks=blocks, classes=data.schema.classes, class_rows=class_rows)
    if problems:
        raise RequestError(*problems)
    counts = torch.tensor([2 * sizes.train, sizes.val, sizes.test, sizes.aux]).repeat(blocks)
    draws = generator("blocks", seed)
    part = torch.empty(len(data), dtype=torch.int64)
    part[_stratified_order(data, draws)] = _dealt(counts, len(data), draws)
    parts = [data.id[part == index].sort().values for index in range(len(counts))]
    return tuple(Block(*parts[start : start + 4]) for start in range(0, len(parts), 4))


def halves(block_pool_ids: Tensor, y: Tensor, *, pairs: int, seed: int) -> Tensor:
    """Say which rows of a pool train which model: bool ``[2 * pairs, pool]``.

    Model ``2p`` trains on a random half, stratified by the labels ``y`` ``[pool]``, and model ``2p + 1`` on exactly
    the other half; the pairs are independent. Each half has ``pool / 2`` rows and, of each class, half to within a
    row. Who is drawn depends on the row ids, not on the order in which they come.

    Raises:
        ValueError: if the pool has an odd number of rows, or not one label a row.
    """
    size = len(block_pool_ids)
    if size % 2 or len(y) != size or pairs < 1:
        raise ValueError(
            f"halves need at least one pair, an even number of rows and a label for each, "
            f"not {pairs} pairs, {size} rows and {len(y)} labels"
        )
    draws = generator("halves", seed)
    by_id = block_pool_ids.argsort()
    keys = torch.rand(pairs, size, generator=draws, dtype=torch.float64) + y[by_id]
    coins = torch.randint(0, 2, (pairs, size // 2, 1), generator=draws).bool()
    # Rows that are neighbours in class order are a couple; a coin decides which of the two trains model 2p.
    first = torch.cat([coins, ~coins], dim=2).flatten(1)
    drawn = torch.empty(pairs, size, dtype=torch.bool)
    drawn.scatter_(1, by_id[keys.argsort(dim=1)], first)
    return torch.stack([drawn, ~drawn], dim=1).flatten(0, 1)


def _stratified_order(data: Data, draws: torch.Generator) -> Tensor:
    """Order the rows by class, then by sensitive values, at random within a stratum."""
    strata = torch.cat([data.y[:, None], data.z], dim=1).unique(dim=0, return_inverse=True)[1]
    shuffled = torch.randperm(len(data), generator=draws)
    return shuffled[strata[shuffled].argsort(stable=True)]


def _dealt(counts: Tensor, rows: int, draws: torch.Generator) -> Tensor:
    """Deal ``rows`` places in a row out to parts of ``counts``, each part's places evenly spaced, from a random start.

    Any run of places then holds of each part its proportional share, to within a row or two. Places beyond the sum of
    the counts go to a part of their own, the last.
    """
    sizes = torch.cat([counts, torch.tensor([rows - int(counts.sum())])])
    part = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    rank = torch.arange(rows) - (sizes.cumsum(0) - sizes)[part]
    start = torch.rand(len(sizes), generator=draws, dtype=torch.float64)
    return part[((rank + start[part]) / sizes[part]).argsort(stable=True)]
