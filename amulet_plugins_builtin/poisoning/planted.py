"""Rows with a planted backdoor, and rows whose values are known, for the checks of the components of poisoning."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import torch
from torch import Tensor, nn

from amulet_core.data import Data, make_data
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView, accept, replaced
from amulet_core.modules import Classifier
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator, isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Fitted, Streams, Training, TrainingContext
from amulet_plugins_builtin.catalogue.models import CapacityParams
from amulet_plugins_builtin.models.mlp import build

SPARE: Final = 2
"""The first features say nothing of the class: a trigger is set there."""

TABLE: Final = DataSchema(modality="tabular", shape=(12,), classes=("no", "yes"), feasible=Feasible(low=-4.0, high=4.0))
IMAGES: Final = DataSchema(
    modality="image", shape=(1, 8, 8), classes=("dark", "bright", "glaring"), feasible=Feasible(low=0.0, high=16.0)
)
TEN: Final = DataSchema(
    modality="image", shape=(1, 8, 8), classes=tuple("abcdefghij"), feasible=Feasible(low=0.0, high=16.0)
)

Attack = Callable[[PoisoningView], PoisoningAnswer]


def table(*, rows: int, seed: int) -> Data:
    """Return rows of two classes that lie three standard deviations to either side of their boundary."""
    draws = generator("planted table", seed)
    y = torch.arange(rows) % 2
    x = torch.randn(rows, 12, generator=draws)
    x[:, SPARE:] += (2 * y - 1).float()[:, None]
    x[:, :SPARE] = 6 * torch.rand(rows, SPARE, generator=draws) - 4
    return make_data(x.clamp(-4, 4), y, TABLE)


def images(*, rows: int, seed: int, levels: int = 2) -> Data:
    """Return images of the first two or three levels of brightness, with noise."""
    draws = generator("planted images", seed)
    y = torch.arange(rows) % levels
    x = 3.0 + 5 * y[:, None, None, None] + 2 * torch.randn(rows, 1, 8, 8, generator=draws)
    return make_data(x.clamp(0, 16), y, IMAGES)


def ten_pictures(*, rows: int, seed: int) -> Data:
    """Return images of ten classes, each a picture of its own, with noise."""
    pictures = torch.rand(10, 1, 8, 8, generator=generator("ten pictures"))
    draws = generator("rows of ten pictures", seed)
    y = torch.arange(rows) % 10
    x = 2 + 10 * pictures[y] + 2 * torch.randn(rows, 1, 8, 8, generator=draws)
    return make_data(x.clamp(0, 16), y, TEN)


def view_of(train: Data, test: Data, *, budget: int, target: int = 0) -> PoisoningView:
    """Return the adversary's view."""
    return PoisoningView(x=train.x, y=train.y, budget=budget, target=target, test_x=test.x, data_schema=train.schema)


@dataclass(frozen=True)
class Poisoned:
    """Training rows of which an adversary replaced some, and test rows with and without its trigger."""

    rows: Data
    bad: Tensor
    test: Data
    triggered: Tensor

    def success(self, model: nn.Module, *, target: int = 0, source: int | None = None) -> float:
        """Return how often the target is answered on triggered rows of other classes, or of the source class."""
        aimed_at = self.test.y != target if source is None else self.test.y == source
        return float((model(self.triggered).argmax(1) == target)[aimed_at].float().mean())

    def accuracy(self, model: nn.Module) -> float:
        """Return the accuracy on the plain test rows."""
        return float((model(self.test.x).argmax(1) == self.test.y).float().mean())


def poisoned(attack: Attack, train: Data, test: Data, *, budget: int, target: int = 0) -> Poisoned:
    """Have an attack play by the rules of the game."""
    view = view_of(train, test, budget=budget, target=target)
    with isolated("planted attack"):
        answer = accept(train, view, attack(view))
    bad = torch.zeros(len(train), dtype=torch.bool)
    bad[answer.rows] = True
    return Poisoned(replaced(train, answer), bad, test, answer.triggered if answer.has_trigger else test.x)


def training(schema: DataSchema, *, epochs: int = 15) -> Training:
    """Return the undefended training of a perceptron."""
    settings = TrainingSettings(epochs=epochs, batch_size=50)
    return plain_training(lambda: build(CapacityParams(), schema), settings, stackable=True)


def context(rows: Data) -> TrainingContext:
    """Return what a training-stage defense is told of these rows."""
    return TrainingContext(rows=len(rows), schema=rows.schema, settings=training(rows.schema).settings)


def fitted(how: Training, rows: Data, val: Data) -> Fitted:
    """Return what a training makes of the rows."""
    with isolated("planted fit"):
        (one,) = how.fit(how, [rows], [val], [Streams(("planted",))])
    return one


class ThreeUnits(Classifier):
    """A classifier of pictures whose hidden units are the first three pixels, with weights known beforehand."""

    def __init__(self) -> None:
        """Have unit 0 speak for dark, unit 1 for bright, and unit 2 hardly matter."""
        super().__init__()
        self.head = nn.Linear(3, 3)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[4.0, 0.0, 0.0], [0.0, 4.0, 0.5], [0.0, 0.0, -0.5]]))
            self.head.bias.zero_()

    def features(self, x: Tensor) -> Tensor:
        """Return the first three pixels over the largest value, ``[..., 3]``."""
        return x.flatten(-3)[..., :3] / 16


def units_of_known_activity() -> Data:
    """Return 20 images, half of them dark, on which the units 0, 1 and 2 are active by .6, .5 and .1 on average."""
    y = torch.arange(20) % 2
    x = torch.zeros(20, 1, 8, 8)
    x[:, 0, 0, 0] = 16 * (0.8 * (y == 0) + 0.2)
    x[:, 0, 0, 1] = 16.0 * (y == 1)
    x[:, 0, 0, 2] = 1.6
    return make_data(x, y, IMAGES)


def shapley_by_subsets(x: Tensor, y: Tensor, val_x: Tensor, val_y: Tensor, *, neighbours: int) -> Tensor:
    """Return the Shapley values ``[n]`` of few training rows from the definition: all ``2^n`` subsets, one by one."""
    n = len(x)
    near = torch.cdist(val_x.double(), x.double()).argsort(dim=1, stable=True).tolist()
    hits = (y[None] == val_y[:, None]).tolist()

    def worth(chosen: frozenset[int]) -> float:
        votes = (
            sum(hit[i] for i in [i for i in order if i in chosen][:neighbours])
            for order, hit in zip(near, hits, strict=True)
        )
        return math.fsum(vote / neighbours for vote in votes) / len(val_x)

    worths = {frozenset(some): worth(frozenset(some)) for size in range(n + 1) for some in combinations(range(n), size)}
    values = []
    for row in range(n):
        gains = (
            (worths[some | {row}] - worth) / (n * math.comb(n - 1, len(some)))
            for some, worth in worths.items()
            if row not in some
        )
        values.append(math.fsum(gains))
    return torch.tensor(values, dtype=torch.float64)
