"""Planted victims for the conformance of attacks on model ownership, and the thefts that are tried on them.

Some label every row one class further than the truth: who learns the true labels agrees with them on hardly any row,
so that what a thief achieves is what it was told. Others follow no rule at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from amulet_core.components import Attack, NoParams
from amulet_core.configuration.request import Use, attack_of
from amulet_core.games.theft import TheftView
from amulet_core.modules import Classifier, Normalise
from amulet_core.oracles import BudgetOracle, Oracle
from amulet_core.schema import DataSchema
from amulet_core.settings import TrainingSettings
from amulet_core.testing.manners import Trial
from amulet_core.testing.planted_attributes import Plant
from amulet_core.testing.rounds import Round, played
from amulet_core.testing.toys import Toy, network, task_rows
from amulet_core.training.imitation import imitated
from amulet_core.victims import WhiteBox

ROWS: Final = 240
BUDGET: Final = 200

_SETTINGS: Final = TrainingSettings(epochs=12, batch_size=40, learning_rate=0.02)
_ORACLES: Final[tuple[Oracle, ...]] = ("probabilities", "top-k", "labels")


@dataclass(frozen=True)
class Bout:
    """A victim on a toy, under one interface; ``play(key, repetition)`` is done once for each pair."""

    toy: Toy
    victim: Callable[[], nn.Module]
    play: Callable[[str, int], Round]
    trial: Trial


class Linear(Classifier):
    """One affine layer on normalised rows."""

    def __init__(self, schema: DataSchema) -> None:
        """Make the layer for rows of ``schema``."""
        super().__init__()
        self._axes = len(schema.shape)
        self.normalise = Normalise(schema)
        self.head = nn.Linear(schema.width, len(schema.classes))

    def features(self, x: Tensor) -> Tensor:
        """Return the flattened, normalised rows."""
        out: Tensor = self.normalise(x).flatten(-self._axes)
        return out


class Hash(nn.Module):
    """A victim without any rule to learn: its answer to a row is a hash of the row's numbers."""

    def __init__(self, schema: DataSchema) -> None:
        """Answer with the classes of ``schema``."""
        super().__init__()
        self._classes, self._axes = len(schema.classes), len(schema.shape)
        self.normalise = Normalise(schema)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``."""
        flat = self.normalise(x).flatten(-self._axes).double()
        place = (torch.sin(9173.0 * (flat @ torch.linspace(1, 2, flat.shape[-1]).double())) * 43758.5453).frac().abs()
        return 8 * one_hot((place * self._classes).long().clamp_max(self._classes - 1), self._classes).float()


def bouts_of(use: Use, toys: Callable[[], Sequence[Toy]], *, plant: Plant = "vulnerable") -> list[Bout]:
    """Return a theft of a network and of a linear model on each toy, by every interface that the attack can work with.

    Victims are ``vulnerable`` (of strange habits) or ``safe`` (of none).
    """
    attack = use.entry.load()
    thrifty = attack_of(use).access == "labels" and plant == "vulnerable"
    return [
        _bout(use, attack, toy, build, oracle=oracle, plant=plant)
        for toy in toys()
        for build, oracles in ((_network, _ORACLES if thrifty else _ORACLES[:1]), (Linear, _ORACLES[:1]))
        for oracle in oracles
    ]


def _network(schema: DataSchema) -> nn.Module:
    return network(NoParams(), schema)


def _bout(
    use: Use,
    attack: Callable[[Any, Any], Any],
    toy: Toy,
    build: Callable[[DataSchema], nn.Module],
    *,
    oracle: Oracle,
    plant: Plant,
) -> Bout:
    architecture = partial(build, toy.schema)
    victim = partial(_strange, toy, build) if plant == "vulnerable" else partial(Hash, toy.schema)

    @cache
    def play(key: str, repetition: int) -> Round:  # noqa: ARG001 - the repetition makes the cache play again
        model = victim()
        view = _view(attack_of(use), toy, architecture, model, oracle)
        return played(lambda: attack(view, use.params), victim=model, view=view, key=key)

    kind = "a linear model" if build is Linear else "a network"
    label = f"{toy.label}, {kind}" + (f", {oracle}" if attack_of(use).access == "labels" else "")
    trial = Trial(label, lambda key, repetition: play(key, repetition).watched, may_refuse=("architecture",))
    return Bout(toy, victim, play, trial)


@cache
def _strange(toy: Toy, build: Callable[[DataSchema], nn.Module]) -> nn.Module:
    """Return a victim trained on labels that are one class too far."""
    architecture = partial(build, toy.schema)
    data, classes = task_rows(toy, rows=ROWS, key=("theft", "train")), len(toy.schema.classes)
    targets = one_hot((data.y + 1) % classes, classes).float()
    return imitated(architecture, data.x, targets, _SETTINGS, schema=toy.schema, key=("conformance", "theft"))


def _view(
    attack: Attack, toy: Toy, architecture: Callable[[], nn.Module], victim: nn.Module, oracle: Oracle
) -> TheftView:
    own = task_rows(toy, rows=ROWS, key=("theft", "own"))
    model: BudgetOracle | WhiteBox | None = None
    if attack.access == "white-box":
        model = WhiteBox(victim)
    elif attack.access != "none":
        model = BudgetOracle(victim, tells=oracle, top_k=1 if len(toy.levels) < 3 else 2, budget=BUDGET)
    return TheftView(
        model=model,
        budget=BUDGET,
        x=own.x,
        y=own.y,
        architecture=architecture,
        settings=_SETTINGS,
        data_schema=toy.schema,
    )
