"""The ground a run stands on: the rows, who gets which, and which models train on which half of them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from amulet_core.configuration.request import Request
from amulet_core.data import Data, checked
from amulet_core.errors import ComponentError, RequestError, cause_of
from amulet_core.performing.recipes import blamed
from amulet_core.performing.splits import Block, blocks, deduplicated, halves, positions
from amulet_core.planning.layout import Layout, Place
from amulet_core.planning.ratios import Population, composition
from amulet_core.planning.sizes import sizes_of
from amulet_core.streams import generator, seed_of


@dataclass(frozen=True)
class Ground:
    """All rows without duplicates, and the blocks drawn from them; ``members[b]`` is bool ``[models, pool]``.

    ``root_seed`` draws the rows of independent models, which train on rows of aux.
    """

    data: Data
    blocks: tuple[Block, ...]
    members: tuple[Tensor, ...]
    root_seed: int = 0

    def rows(self, ids: Tensor) -> Data:
        """Return the rows of these ids, in their order."""
        return self.data.take(positions(self.data, ids))

    def training_rows(self, place: Place) -> Data:
        """Return the rows handed to the recipe of one model; an independent one gets as many, of aux.

        Raises:
            ValueError: if the rows do not suffice for a population.
        """
        if place.population:
            return self.drawn(place.population, place.block, ("population", self.root_seed, *place.key))
        if place.source == "aux":
            block = self.blocks[place.block]
            order = torch.randperm(len(block.aux), generator=generator("independent", self.root_seed, *place.key))
            return self.rows(block.aux[order[: len(block.pool) // 2].sort().values])
        return self.rows(self.blocks[place.block].pool[self.members[place.block][place.index]])

    def drawn(self, population: Population, block: int, key: tuple[str | int, ...]) -> Data:
        """Draw rows of a population from the part of a block that is for its side; who is drawn is the key's draw.

        Raises:
            ValueError: if the part has too few rows of some class and kind.
        """
        parts = self.blocks[block]
        source = {"victims": parts.pool, "adversary": parts.aux, "queries": parts.test}[population.side]
        rows = self.rows(source)
        classes = self.data.y.bincount(minlength=len(self.data.schema.classes)).tolist()
        has = rows.z[:, population.column] == population.value
        order = torch.randperm(len(rows), generator=generator(*key))
        chosen = []
        for label, kinds in enumerate(composition(population.rows, population.having, classes)):
            for kind, wanted in zip((has, ~has), kinds, strict=True):
                fit = order[(kind & (rows.y == label))[order]]
                if len(fit) < wanted:
                    raise ValueError(
                        f"{wanted} rows of one class and kind are to be drawn for {population.side}, and the part of "
                        f"the data for them has {len(fit)}: lower rows"
                    )
                chosen.append(fit[:wanted])
        return rows.take(torch.cat(chosen).sort().values)


def lay_ground(data: Data, request: Request, layout: Layout) -> Ground:
    """Draw the blocks, and say which model trains on which half of its pool; ``data`` are free of duplicates.

    Raises:
        RequestError: if the rows do not suffice.
    """
    sizes = sizes_of(request.data)
    drawn = blocks(data, sizes=sizes, blocks=layout.blocks, seed=request.root_seed)
    members = [
        halves(
            block.pool,
            data.y[positions(data, block.pool)],
            pairs=layout.pairs,
            seed=seed_of("halves", request.root_seed, number),
        )
        for number, block in enumerate(drawn)
    ]
    return Ground(replace(data, notes=()), drawn, tuple(members), request.root_seed)


def load_data(request: Request) -> Data:
    """Load all rows of the request's data set, without exact duplicates.

    Raises:
        RequestError: if it cannot be loaded or breaks a rule.
    """
    use = request.dataset
    try:
        data: Data = blamed(use.id, lambda: use.entry.load()(use.params), ("data", request.root_seed))
        return deduplicated(checked(data, whose=use.id))
    except ComponentError as failure:
        if isinstance(failure.cause, RequestError):
            raise failure.cause from failure
        raise RequestError(f"dataset: {use.id} cannot be loaded: {cause_of(failure.cause)}") from failure
    except ValueError as error:
        raise RequestError(f"dataset: {error}") from error
