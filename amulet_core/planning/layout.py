"""Which models a run trains on which half of which rows. Light: a function of the request's numbers alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from amulet_core.configuration.request import Request, Use, attack_of
from amulet_core.errors import RequestError, cause_of
from amulet_core.planning.ratios import Hypotheses, Population, Side
from amulet_core.schema import DataSchema


@dataclass(frozen=True, order=True)
class Place:
    """A model's place: models ``2p`` and ``2p + 1`` of a block train on complementary halves of its pool.

    Those of the ``source`` aux train on rows of aux instead: they have nothing to do with any victim's rows. Any other
    source is the word for a population: a draw of rows of its own, in which some value has a share of its own.
    """

    block: int
    index: int
    source: str = "pool"

    @property
    def population(self) -> Population | None:
        """Return the population that the model belongs to, if it belongs to one."""
        return None if self.source in ("pool", "aux") else Population.of(self.source)

    @property
    def key(self) -> tuple[str | int, ...]:
        """Return the place as plain values, for keys of streams and jobs."""
        return (self.block, self.index) if self.source == "pool" else (self.block, self.index, self.source)

    @classmethod
    def of(cls, key: Sequence[str | int]) -> "Place":
        """Return the place of a key."""
        block, index, *source = key
        return cls(int(block), int(index), str(source[0]) if source else "pool")


@dataclass(frozen=True)
class Layout:
    """The blocks of rows, and the pairs of complementary models on each.

    ``crossed``: one block; each seed's victim is the first model of a pair of its own, and the models of the other
    pairs are its shadow models. ``disjoint``: a block for each seed, with the victim and shadow models of its own.
    """

    design: Literal["crossed", "disjoint"]
    seeds: int
    shadow_models: int

    @property
    def blocks(self) -> int:
        """Count the blocks of rows."""
        return 1 if self.design == "crossed" else self.seeds

    @property
    def pairs(self) -> int:
        """Count the pairs of complementary models of a block."""
        lab = self.shadow_models // 2 + 1
        return max(self.seeds, lab) if self.design == "crossed" else lab

    @property
    def overlap(self) -> float:
        """Return how many rows are held out for each training row of a shared block: Nadeau and Bengio's n2 / n1."""
        return 1.0 if self.design == "crossed" else 0.0

    def victim(self, seed: int) -> Place:
        """Return the victim of a seed."""
        return Place(0, 2 * seed) if self.design == "crossed" else Place(seed, 0)

    def shadows(self, seed: int) -> tuple[Place, ...]:
        """Return the shadow models of a seed's victim: complementary pairs, so that each candidate is IN for half.

        The victim's own partner is left out: its rows would tell exactly which are the victim's.
        """
        victim = self.victim(seed)
        others = [(victim.index // 2 + step) % self.pairs for step in range(1, self.pairs)]
        chosen = others[: self.shadow_models // 2]
        return tuple(Place(victim.block, 2 * pair + side) for pair in chosen for side in (0, 1))

    def independent(self, seed: int, models: int) -> tuple[Place, ...]:
        """Return models that have nothing to do with a seed's victim; seeds of one block share them."""
        return tuple(Place(self.victim(seed).block, index, "aux") for index in range(models))

    def populations(self, seed: int, told: Hypotheses, *, side: Side, models: int) -> tuple[Place, ...]:
        """Return so many models of each hypothesis, those of the first before those of the second.

        Each seed has models of its own, and each model rows of its own.
        """
        block = self.victim(seed).block
        return tuple(
            Place(block, (2 * seed + hypothesis) * models + index, told.population(side, hypothesis).text)
            for hypothesis in (0, 1)
            for index in range(models)
        )

    def places(self) -> tuple[Place, ...]:
        """Return all models to train, each once, in order."""
        seeds = range(self.seeds)
        return tuple(sorted({place for seed in seeds for place in (self.victim(seed), *self.shadows(seed))}))


def layout_of(request: Request, schema: DataSchema) -> Layout:
    """Return the layout that serves the attack with the largest need for shadow models."""
    uses = [use for risk in request.risks for use in risk.attacks]
    return Layout(request.data.design, request.seeds, max((wanted(use, schema) for use in uses), default=0))


def wanted(attack: Use | None, schema: DataSchema) -> int:
    """Count the shadow models that an attack asks for."""
    if attack is None:
        return 0
    try:
        return max((lab.models for lab in attack_of(attack).needs(attack.params, schema)), default=0)
    except Exception as error:  # whatever a plugin raises, the request names it
        raise RequestError(
            f"{attack.id}: its needs() failed: {cause_of(error)}. Update or report {attack.entry.distribution}."
        ) from error
